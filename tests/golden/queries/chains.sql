-- A second stream may be written into by two queries, which follow each other.
-- table N
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE STREAM r (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='r', PARTITIONS=1);
CREATE STREAM o AS SELECT k, v FROM s;
INSERT INTO o SELECT k, v FROM r WHERE v > 50;
CREATE TABLE n AS SELECT k, COUNT(*) AS n, SUM(v) AS total FROM o GROUP BY k;
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO r (ROWTIME, k, g, v) VALUES (3000, 1, 'x', 50);
INSERT INTO r (ROWTIME, k, g, v) VALUES (2000, 2, 'y', 60);
INSERT INTO s (ROWTIME, k, g, v) VALUES (4000, 1, 'b', 6);
INSERT INTO r (ROWTIME, k, g, v) VALUES (20000, 1, 'z', 70);
INSERT INTO s (ROWTIME, k, g, v) VALUES (2500, 2, 'c', 7);
--> K | N | TOTAL
--> 1 | 3 | 81
--> 2 | 2 | 67

-- A sink with other partitions and another key format holds the same rows.
-- changes of O
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE STREAM o WITH (PARTITIONS=5, KEY_FORMAT='JSON', VALUE_FORMAT='JSON') AS SELECT * FROM s;
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO s (ROWTIME, k, g, v) VALUES (2000, 2, 'b', -1);
INSERT INTO s (ROWTIME, k, g, v) VALUES (3000, 1, 'a', 7);
INSERT INTO s (ROWTIME, k, g, v) VALUES (4000, NULL, 'c', 3);
INSERT INTO s (ROWTIME, k, g, v) VALUES (5000, 3, NULL, 4);
--> K | G | V | ROWTIME
--> 1 | a | 5 | 1000
--> 2 | b | -1 | 2000
--> 1 | a | 7 | 3000
--> null | c | 3 | 4000
--> 3 | null | 4 | 5000

-- Twice re-keyed, the rows of a key are still in order.
-- changes of N
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE STREAM a AS SELECT g, k, v FROM s PARTITION BY g;
CREATE STREAM b AS SELECT k, v FROM a PARTITION BY k;
CREATE TABLE n AS SELECT k, COLLECT_LIST(v) AS vs FROM b GROUP BY k;
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO s (ROWTIME, k, g, v) VALUES (2000, 2, 'b', -1);
INSERT INTO s (ROWTIME, k, g, v) VALUES (3000, 1, 'a', 7);
INSERT INTO s (ROWTIME, k, g, v) VALUES (4000, NULL, 'c', 3);
INSERT INTO s (ROWTIME, k, g, v) VALUES (5000, 3, NULL, 4);
--> K | VS | ROWTIME
--> 1 | [5] | 1000
--> 2 | [-1] | 2000
--> 1 | [5, 7] | 3000
--> 3 | [4] | 5000
