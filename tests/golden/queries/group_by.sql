-- Every row updates its group; rows of a NULL group are dropped.
-- changes of N
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE TABLE n AS SELECT g, COUNT(*) AS n, SUM(v) AS total FROM s GROUP BY g;
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO s (ROWTIME, k, g, v) VALUES (2000, 2, 'b', -1);
INSERT INTO s (ROWTIME, k, g, v) VALUES (3000, 1, 'a', 7);
INSERT INTO s (ROWTIME, k, g, v) VALUES (4000, NULL, 'c', 3);
INSERT INTO s (ROWTIME, k, g, v) VALUES (5000, 3, NULL, 4);
--> G | N | TOTAL | ROWTIME
--> a | 1 | 5 | 1000
--> b | 1 | -1 | 2000
--> a | 2 | 12 | 3000
--> c | 1 | 3 | 4000

-- With the cache on only the last state of a group counts.
-- table N
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE TABLE n AS SELECT g, COUNT(*) AS n, SUM(v) AS total FROM s GROUP BY g;
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO s (ROWTIME, k, g, v) VALUES (2000, 2, 'b', -1);
INSERT INTO s (ROWTIME, k, g, v) VALUES (3000, 1, 'a', 7);
INSERT INTO s (ROWTIME, k, g, v) VALUES (4000, NULL, 'c', 3);
INSERT INTO s (ROWTIME, k, g, v) VALUES (5000, 3, NULL, 4);
--> G | N | TOTAL
--> a | 2 | 12
--> b | 1 | -1
--> c | 1 | 3

-- An aggregate of nothing, or of *, is one of ROWTIME; in a join, of the first source's.
-- changes of N
CREATE STREAM s (k INT KEY, g STRING) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE TABLE n AS SELECT g, MAX(*) AS latest, MIN() AS first, AVG(*) AS mean, COUNT(*) AS n FROM s GROUP BY g;
INSERT INTO s (ROWTIME, k, g) VALUES (2000, 1, 'a');
INSERT INTO s (ROWTIME, k, g) VALUES (1000, 2, 'a');
INSERT INTO s (ROWTIME, k, g) VALUES (3000, 2, 'a');
--> G | LATEST | FIRST | MEAN | N | ROWTIME
--> a | 2000 | 2000 | 2000.0 | 1 | 2000
--> a | 2000 | 1000 | 1500.0 | 2 | 2000
--> a | 3000 | 1000 | 2000.0 | 3 | 3000

-- A group that leaves HAVING is deleted.
-- changes of N
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE TABLE n AS SELECT k, SUM(v) AS total FROM s GROUP BY k HAVING SUM(v) > 6;
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO s (ROWTIME, k, g, v) VALUES (2000, 2, 'b', -1);
INSERT INTO s (ROWTIME, k, g, v) VALUES (3000, 1, 'a', 7);
INSERT INTO s (ROWTIME, k, g, v) VALUES (4000, NULL, 'c', 3);
INSERT INTO s (ROWTIME, k, g, v) VALUES (5000, 3, NULL, 4);
INSERT INTO s (ROWTIME, k, g, v) VALUES (6000, 1, 'a', -9);
INSERT INTO s (ROWTIME, k, g, v) VALUES (7000, 1, 'a', 2);
--> K | TOTAL | ROWTIME
--> 1 | 12 | 3000
--> 1 | (deleted) | 6000

-- A table row that changes its group leaves the old one first.
-- changes of N
CREATE TABLE t (k INT PRIMARY KEY, g STRING, v INT) WITH (KAFKA_TOPIC='t', PARTITIONS=1);
CREATE TABLE n AS SELECT g, COUNT(*) AS n, SUM(v) AS total FROM t GROUP BY g;
INSERT INTO t (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO t (ROWTIME, k, g, v) VALUES (2000, 2, 'a', 7);
INSERT INTO t (ROWTIME, k, g, v) VALUES (3000, 1, 'b', 6);
INSERT INTO t (ROWTIME, k, g, v) VALUES (4000, 2, 'a', 1);
--> G | N | TOTAL | ROWTIME
--> a | 1 | 5 | 1000
--> a | 2 | 12 | 2000
--> a | 1 | 7 | 3000
--> b | 1 | 6 | 3000
--> a | 1 | 1 | 4000

-- The first and last values are those of the order in which rows came.
-- changes of N
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE TABLE n AS SELECT g, EARLIEST_BY_OFFSET(v) AS first, LATEST_BY_OFFSET(v) AS last, COLLECT_LIST(v) AS all_of_them FROM s GROUP BY g;
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO s (ROWTIME, k, g, v) VALUES (2000, 2, 'b', -1);
INSERT INTO s (ROWTIME, k, g, v) VALUES (3000, 1, 'a', 7);
INSERT INTO s (ROWTIME, k, g, v) VALUES (4000, NULL, 'c', 3);
INSERT INTO s (ROWTIME, k, g, v) VALUES (5000, 3, NULL, 4);
INSERT INTO s (ROWTIME, k, g, v) VALUES (500, 9, 'a', 1);
--> G | FIRST | LAST | ALL_OF_THEM | ROWTIME
--> a | 5 | 5 | [5] | 1000
--> b | -1 | -1 | [-1] | 2000
--> a | 5 | 7 | [5, 7] | 3000
--> c | 3 | 3 | [3] | 4000
--> a | 5 | 1 | [5, 7, 1] | 3000

-- Tables can be aggregated again.
-- table M
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE TABLE n AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;
CREATE TABLE m AS SELECT n, COUNT(*) AS keys FROM n GROUP BY n HAVING COUNT(*) > 0;
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO s (ROWTIME, k, g, v) VALUES (2000, 2, 'b', -1);
INSERT INTO s (ROWTIME, k, g, v) VALUES (3000, 1, 'a', 7);
INSERT INTO s (ROWTIME, k, g, v) VALUES (4000, NULL, 'c', 3);
INSERT INTO s (ROWTIME, k, g, v) VALUES (5000, 3, NULL, 4);
--> N | KEYS
--> 1 | 2
--> 2 | 1

-- A group whose first row does not pass HAVING, while no rows would, is deleted before it was there, as in Kafka Streams.
-- changes of N
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE TABLE n AS SELECT k, SUM(v) AS total FROM s GROUP BY k HAVING SUM(v) < 6 AND k IS DISTINCT FROM 3;
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO s (ROWTIME, k, g, v) VALUES (2000, 2, 'b', 7);
INSERT INTO s (ROWTIME, k, g, v) VALUES (3000, 2, 'a', 7);
INSERT INTO s (ROWTIME, k, g, v) VALUES (4000, 2, 'a', -9);
INSERT INTO s (ROWTIME, k, g, v) VALUES (5000, 1, 'a', 9);
--> K | TOTAL | ROWTIME
--> 1 | 5 | 1000
--> 2 | (deleted) | 2000
--> 2 | 5 | 4000
--> 1 | (deleted) | 5000
