-- Rows that do not pass a filter are dropped; the others keep key and time.
-- changes of BIG
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE STREAM big AS SELECT * FROM s WHERE v > 0;
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO s (ROWTIME, k, g, v) VALUES (2000, 2, 'b', -1);
INSERT INTO s (ROWTIME, k, g, v) VALUES (3000, 1, 'a', 7);
INSERT INTO s (ROWTIME, k, g, v) VALUES (4000, NULL, 'c', 3);
INSERT INTO s (ROWTIME, k, g, v) VALUES (5000, 3, NULL, 4);
--> K | G | V | ROWTIME
--> 1 | a | 5 | 1000
--> 1 | a | 7 | 3000
--> null | c | 3 | 4000
--> 3 | null | 4 | 5000

-- A comparison with NULL is false, and NOT of it is true.
-- changes of O
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE STREAM o AS SELECT k, g FROM s WHERE NOT (g = 'a');
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO s (ROWTIME, k, g, v) VALUES (2000, 2, 'b', -1);
INSERT INTO s (ROWTIME, k, g, v) VALUES (3000, 1, 'a', 7);
INSERT INTO s (ROWTIME, k, g, v) VALUES (4000, NULL, 'c', 3);
INSERT INTO s (ROWTIME, k, g, v) VALUES (5000, 3, NULL, 4);
--> K | G | ROWTIME
--> 2 | b | 2000
--> null | c | 4000
--> 3 | null | 5000

-- A row of a table that stops passing is deleted; one that never passed leaves nothing.
-- changes of F
CREATE TABLE t (k INT PRIMARY KEY, g STRING, v INT) WITH (KAFKA_TOPIC='t', PARTITIONS=1);
CREATE TABLE f AS SELECT k, v FROM t WHERE v > 0;
INSERT INTO t (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO t (ROWTIME, k, g, v) VALUES (2000, 2, 'b', -1);
INSERT INTO t (ROWTIME, k, g, v) VALUES (3000, 1, 'a', -7);
INSERT INTO t (ROWTIME, k, g, v) VALUES (4000, 2, 'b', 8);
--> K | V | ROWTIME
--> 1 | 5 | 1000
--> 1 | (deleted) | 3000
--> 2 | 8 | 4000
