-- A row of the stream finds the table as it is then; changes of the table put nothing out.
-- changes of O
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE TABLE t (k INT PRIMARY KEY, g STRING, v INT) WITH (KAFKA_TOPIC='t', PARTITIONS=1);
CREATE STREAM o AS SELECT s.k AS k, s.v AS a, t.v AS b FROM s LEFT JOIN t ON s.k = t.k;
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO t (ROWTIME, k, g, v) VALUES (2000, 1, 'x', 50);
INSERT INTO s (ROWTIME, k, g, v) VALUES (3000, 1, 'a', 6);
INSERT INTO t (ROWTIME, k, g, v) VALUES (4000, 1, 'x', 51);
INSERT INTO s (ROWTIME, k, g, v) VALUES (5000, 1, 'a', 7);
--> K | A | B | ROWTIME
--> 1 | 5 | null | 1000
--> 1 | 6 | 50 | 3000
--> 1 | 7 | 51 | 5000

-- A stream is re-keyed for the join, and the result has the new key.
-- changes of O
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE TABLE t (k INT PRIMARY KEY, g STRING, v INT) WITH (KAFKA_TOPIC='t', PARTITIONS=1);
CREATE STREAM o AS SELECT t.k AS k, s.g AS g, t.v AS b FROM s JOIN t ON s.v = t.k;
INSERT INTO t (ROWTIME, k, g, v) VALUES (1000, 5, 'x', 50);
INSERT INTO t (ROWTIME, k, g, v) VALUES (1000, 6, 'y', 60);
INSERT INTO s (ROWTIME, k, g, v) VALUES (2000, 1, 'a', 5);
INSERT INTO s (ROWTIME, k, g, v) VALUES (3000, 2, 'b', 6);
INSERT INTO s (ROWTIME, k, g, v) VALUES (4000, 3, 'c', 7);
INSERT INTO s (ROWTIME, k, g, v) VALUES (5000, 4, 'd', 5);
--> K | G | B | ROWTIME
--> 5 | a | 50 | 2000
--> 6 | b | 60 | 3000
--> 5 | d | 50 | 5000
