-- The joined row changes with either side.
-- changes of J
CREATE TABLE t (k INT PRIMARY KEY, g STRING, v INT) WITH (KAFKA_TOPIC='t', PARTITIONS=1);
CREATE TABLE u (k INT PRIMARY KEY, g STRING, v INT) WITH (KAFKA_TOPIC='u', PARTITIONS=1);
CREATE TABLE j AS SELECT t.k AS k, t.v AS a, u.v AS b FROM t JOIN u ON t.k = u.k;
INSERT INTO t (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO u (ROWTIME, k, g, v) VALUES (2000, 1, 'x', 50);
INSERT INTO u (ROWTIME, k, g, v) VALUES (3000, 2, 'y', 60);
INSERT INTO t (ROWTIME, k, g, v) VALUES (4000, 1, 'b', 6);
INSERT INTO u (ROWTIME, k, g, v) VALUES (5000, 1, 'z', 51);
--> K | A | B | ROWTIME
--> 1 | 5 | 50 | 2000
--> 1 | 6 | 50 | 4000
--> 1 | 6 | 51 | 5000

-- A full join holds the rows of both.
-- table J
CREATE TABLE t (k INT PRIMARY KEY, g STRING, v INT) WITH (KAFKA_TOPIC='t', PARTITIONS=1);
CREATE TABLE u (k INT PRIMARY KEY, g STRING, v INT) WITH (KAFKA_TOPIC='u', PARTITIONS=1);
CREATE TABLE j AS SELECT ROWKEY AS k, t.v AS a, u.v AS b FROM t FULL JOIN u ON t.k = u.k;
INSERT INTO t (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO u (ROWTIME, k, g, v) VALUES (2000, 1, 'x', 50);
INSERT INTO u (ROWTIME, k, g, v) VALUES (3000, 2, 'y', 60);
INSERT INTO t (ROWTIME, k, g, v) VALUES (4000, 1, 'b', 6);
INSERT INTO u (ROWTIME, k, g, v) VALUES (5000, 1, 'z', 51);
--> K | A | B
--> 1 | 6 | 51
--> 2 | null | 60
