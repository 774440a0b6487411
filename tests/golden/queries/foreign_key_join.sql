-- A change of the right row goes to all rows that point to it.
-- changes of J
CREATE TABLE t (k INT PRIMARY KEY, g STRING, v INT) WITH (KAFKA_TOPIC='t', PARTITIONS=1);
CREATE TABLE u (k INT PRIMARY KEY, g STRING, v INT) WITH (KAFKA_TOPIC='u', PARTITIONS=1);
CREATE TABLE j AS SELECT t.k AS k, t.g AS g, u.g AS name FROM t JOIN u ON t.v = u.k;
INSERT INTO u (ROWTIME, k, g, v) VALUES (1000, 10, 'x', 50);
INSERT INTO t (ROWTIME, k, g, v) VALUES (2000, 1, 'a', 10);
INSERT INTO t (ROWTIME, k, g, v) VALUES (3000, 2, 'b', 10);
INSERT INTO t (ROWTIME, k, g, v) VALUES (4000, 3, 'c', 11);
INSERT INTO u (ROWTIME, k, g, v) VALUES (5000, 10, 'y', 51);
INSERT INTO u (ROWTIME, k, g, v) VALUES (6000, 11, 'z', 60);
INSERT INTO t (ROWTIME, k, g, v) VALUES (7000, 1, 'a', 11);
--> K | G | NAME | ROWTIME
--> 1 | a | x | 2000
--> 2 | b | x | 3000
--> 1 | a | y | 5000
--> 2 | b | y | 5000
--> 3 | c | z | 6000
--> 1 | a | z | 7000

-- A left join keeps rows that point to nothing.
-- table J
CREATE TABLE t (k INT PRIMARY KEY, g STRING, v INT) WITH (KAFKA_TOPIC='t', PARTITIONS=1);
CREATE TABLE u (k INT PRIMARY KEY, g STRING, v INT) WITH (KAFKA_TOPIC='u', PARTITIONS=1);
CREATE TABLE j AS SELECT t.k AS k, t.g AS g, u.g AS name FROM t LEFT JOIN u ON t.v = u.k;
INSERT INTO u (ROWTIME, k, g, v) VALUES (1000, 10, 'x', 50);
INSERT INTO t (ROWTIME, k, g, v) VALUES (2000, 1, 'a', 10);
INSERT INTO t (ROWTIME, k, g, v) VALUES (3000, 2, 'b', 10);
INSERT INTO t (ROWTIME, k, g, v) VALUES (4000, 3, 'c', 11);
--> K | G | NAME
--> 1 | a | x
--> 2 | b | x
--> 3 | c | null
