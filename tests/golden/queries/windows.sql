-- A tumbling window takes late rows until its grace is over.
-- changes of N
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE TABLE n AS SELECT k, COUNT(*) AS n, SUM(v) AS total FROM s WINDOW TUMBLING (SIZE 10 SECONDS, GRACE PERIOD 20 SECONDS) GROUP BY k;
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO s (ROWTIME, k, g, v) VALUES (9000, 1, 'a', 1);
INSERT INTO s (ROWTIME, k, g, v) VALUES (12000, 1, 'a', 7);
INSERT INTO s (ROWTIME, k, g, v) VALUES (8000, 1, 'a', 3);
INSERT INTO s (ROWTIME, k, g, v) VALUES (31000, 1, 'a', 4);
INSERT INTO s (ROWTIME, k, g, v) VALUES (4000, 1, 'a', 9);
--> K | WINDOWSTART | WINDOWEND | N | TOTAL | ROWTIME
--> 1 | 0 | 10000 | 1 | 5 | 1000
--> 1 | 0 | 10000 | 2 | 6 | 9000
--> 1 | 10000 | 20000 | 1 | 7 | 12000
--> 1 | 0 | 10000 | 3 | 9 | 9000
--> 1 | 30000 | 40000 | 1 | 4 | 31000

-- A row belongs to every hopping window that covers it.
-- changes of N
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE TABLE n AS SELECT k, COUNT(*) AS n FROM s WINDOW HOPPING (SIZE 10 SECONDS, ADVANCE BY 5 SECONDS) GROUP BY k;
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO s (ROWTIME, k, g, v) VALUES (9000, 1, 'a', 1);
INSERT INTO s (ROWTIME, k, g, v) VALUES (12000, 1, 'a', 7);
INSERT INTO s (ROWTIME, k, g, v) VALUES (8000, 1, 'a', 3);
--> K | WINDOWSTART | WINDOWEND | N | ROWTIME
--> 1 | 0 | 10000 | 1 | 1000
--> 1 | 0 | 10000 | 2 | 9000
--> 1 | 5000 | 15000 | 1 | 9000
--> 1 | 5000 | 15000 | 2 | 12000
--> 1 | 10000 | 20000 | 1 | 12000
--> 1 | 0 | 10000 | 3 | 9000
--> 1 | 5000 | 15000 | 3 | 12000

-- A row between two sessions merges them.
-- changes of N
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE TABLE n AS SELECT k, COUNT(*) AS n FROM s WINDOW SESSION (5 SECONDS) GROUP BY k;
INSERT INTO s (ROWTIME, k, g, v) VALUES (0, 1, 'a', 1);
INSERT INTO s (ROWTIME, k, g, v) VALUES (9000, 1, 'a', 1);
INSERT INTO s (ROWTIME, k, g, v) VALUES (5000, 1, 'a', 1);
INSERT INTO s (ROWTIME, k, g, v) VALUES (3000, 2, 'b', 1);
--> K | WINDOWSTART | WINDOWEND | N | ROWTIME
--> 1 | 0 | 0 | 1 | 0
--> 1 | 9000 | 9000 | 1 | 9000
--> 1 | 0 | 0 | (deleted) | 0
--> 1 | 9000 | 9000 | (deleted) | 9000
--> 1 | 0 | 9000 | 3 | 9000
--> 2 | 3000 | 3000 | 1 | 3000

-- EMIT FINAL gives a window once, when a later row closes it.
-- changes of N
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE TABLE n AS SELECT k, COUNT(*) AS n, SUM(v) AS total FROM s WINDOW TUMBLING (SIZE 10 SECONDS, GRACE PERIOD 5 SECONDS) GROUP BY k EMIT FINAL;
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO s (ROWTIME, k, g, v) VALUES (11000, 1, 'a', 1);
INSERT INTO s (ROWTIME, k, g, v) VALUES (9000, 1, 'a', 7);
INSERT INTO s (ROWTIME, k, g, v) VALUES (15000, 1, 'a', 3);
INSERT INTO s (ROWTIME, k, g, v) VALUES (8000, 1, 'a', 9);
INSERT INTO s (ROWTIME, k, g, v) VALUES (26000, 1, 'a', 2);
--> K | WINDOWSTART | WINDOWEND | N | TOTAL | ROWTIME
--> 1 | 0 | 10000 | 2 | 12 | 9000
--> 1 | 10000 | 20000 | 2 | 4 | 15000

-- The table of a windowed aggregation holds its windows.
-- table N
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE TABLE n AS SELECT g, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 10 SECONDS) GROUP BY g;
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO s (ROWTIME, k, g, v) VALUES (9000, 1, 'a', 1);
INSERT INTO s (ROWTIME, k, g, v) VALUES (12000, 1, 'a', 7);
INSERT INTO s (ROWTIME, k, g, v) VALUES (8000, 1, 'a', 3);
INSERT INTO s (ROWTIME, k, g, v) VALUES (3000, 2, 'b', 2);
INSERT INTO s (ROWTIME, k, g, v) VALUES (31000, 1, 'a', 4);
INSERT INTO s (ROWTIME, k, g, v) VALUES (4000, 1, 'a', 9);
--> G | WINDOWSTART | WINDOWEND | N
--> a | 0 | 10000 | 4
--> a | 10000 | 20000 | 1
--> a | 30000 | 40000 | 1
--> b | 0 | 10000 | 1

-- A windowed stream can be grouped by anything, its windows' bounds included; the groups have no windows.
-- changes of STARTS
CREATE STREAM s (k INT KEY, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE TABLE w WITH (KAFKA_TOPIC='w') AS SELECT k, SUM(v) AS total FROM s WINDOW TUMBLING (SIZE 1 SECOND) GROUP BY k;
CREATE STREAM totals (k INT KEY, total INT) WITH (KAFKA_TOPIC='w', WINDOW_TYPE='TUMBLING', WINDOW_SIZE='1 SECOND');
CREATE TABLE starts WITH (KEY_FORMAT='JSON') AS SELECT k, WINDOWSTART AS start, MAX(total) AS most, COUNT(*) AS updates FROM totals GROUP BY k, WINDOWSTART;
INSERT INTO s (ROWTIME, k, v) VALUES (1000, 1, 5);
INSERT INTO s (ROWTIME, k, v) VALUES (1500, 1, -7);
INSERT INTO s (ROWTIME, k, v) VALUES (2000, 1, 3);
INSERT INTO s (ROWTIME, k, v) VALUES (1900, 2, 4);
--> K | START | MOST | UPDATES | ROWTIME
--> 1 | 1000 | 5 | 1 | 1000
--> 1 | 1000 | 5 | 2 | 1500
--> 1 | 2000 | 3 | 1 | 2000
--> 2 | 1000 | 4 | 1 | 1900

-- A windowed stream in windows of a query's own: the bounds are the query's.
-- changes of DAILY
CREATE STREAM s (k INT KEY, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE TABLE w WITH (KAFKA_TOPIC='w') AS SELECT k, SUM(v) AS total FROM s WINDOW TUMBLING (SIZE 1 SECOND) GROUP BY k;
CREATE STREAM totals (k INT KEY, total INT) WITH (KAFKA_TOPIC='w', WINDOW_TYPE='TUMBLING', WINDOW_SIZE='1 SECOND');
CREATE TABLE daily AS SELECT k + 0 AS k0, WINDOWSTART AS start, COUNT(*) AS updates FROM totals WINDOW TUMBLING (SIZE 1 DAY) GROUP BY k + 0;
INSERT INTO s (ROWTIME, k, v) VALUES (1000, 1, 5);
INSERT INTO s (ROWTIME, k, v) VALUES (2500, 1, 6);
INSERT INTO s (ROWTIME, k, v) VALUES (86400000, 1, 7);
--> K0 | WINDOWSTART | WINDOWEND | START | UPDATES | ROWTIME
--> 1 | 0 | 86400000 | 0 | 1 | 1000
--> 1 | 0 | 86400000 | 0 | 2 | 2500
--> 1 | 86400000 | 172800000 | 86400000 | 1 | 86400000
