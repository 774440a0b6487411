-- Expressions are computed row by row; a failing one is NULL.
-- changes of O
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE STREAM o AS SELECT k, v * 2 AS w, UCASE(g) AS g, 10 / (v - 5) AS q FROM s;
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO s (ROWTIME, k, g, v) VALUES (2000, 2, 'b', -1);
INSERT INTO s (ROWTIME, k, g, v) VALUES (3000, 1, 'a', 7);
INSERT INTO s (ROWTIME, k, g, v) VALUES (4000, NULL, 'c', 3);
INSERT INTO s (ROWTIME, k, g, v) VALUES (5000, 3, NULL, 4);
--> K | W | G | Q | ROWTIME
--> 1 | 10 | A | null | 1000
--> 2 | -2 | B | -1 | 2000
--> 1 | 14 | A | 5 | 3000
--> null | 6 | C | -5 | 4000
--> 3 | 8 | null | -10 | 5000

-- A table function gives one row per item, each with the key and the time of its record.
-- changes of O
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE STREAM o AS SELECT k, EXPLODE(GENERATE_SERIES(1, v)) AS i FROM s WHERE v IN (3, -1);
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO s (ROWTIME, k, g, v) VALUES (2000, 2, 'b', -1);
INSERT INTO s (ROWTIME, k, g, v) VALUES (3000, 1, 'a', 7);
INSERT INTO s (ROWTIME, k, g, v) VALUES (4000, NULL, 'c', 3);
INSERT INTO s (ROWTIME, k, g, v) VALUES (5000, 3, NULL, 4);
INSERT INTO s (ROWTIME, k, g, v) VALUES (6000, 4, 'd', 2);
--> K | I | ROWTIME
--> 2 | 1 | 2000
--> 2 | 0 | 2000
--> 2 | -1 | 2000
--> null | 1 | 4000
--> null | 2 | 4000
--> null | 3 | 4000
