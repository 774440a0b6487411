-- The new key moves out of the value and the old one into it; a NULL key stays.
-- changes of O
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE STREAM o AS SELECT g, k, v FROM s PARTITION BY g;
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO s (ROWTIME, k, g, v) VALUES (2000, 2, 'b', -1);
INSERT INTO s (ROWTIME, k, g, v) VALUES (3000, 1, 'a', 7);
INSERT INTO s (ROWTIME, k, g, v) VALUES (4000, NULL, 'c', 3);
INSERT INTO s (ROWTIME, k, g, v) VALUES (5000, 3, NULL, 4);
--> G | K | V | ROWTIME
--> a | 1 | 5 | 1000
--> b | 2 | -1 | 2000
--> a | 1 | 7 | 3000
--> c | null | 3 | 4000
--> null | 3 | 4 | 5000

-- Two columns make a key of two columns.
-- changes of O
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE STREAM o WITH (KEY_FORMAT='JSON') AS SELECT g, v, k FROM s PARTITION BY g, v;
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO s (ROWTIME, k, g, v) VALUES (2000, 2, 'b', -1);
INSERT INTO s (ROWTIME, k, g, v) VALUES (3000, 1, 'a', 7);
INSERT INTO s (ROWTIME, k, g, v) VALUES (4000, NULL, 'c', 3);
INSERT INTO s (ROWTIME, k, g, v) VALUES (5000, 3, NULL, 4);
--> G | V | K | ROWTIME
--> a | 5 | 1 | 1000
--> b | -1 | 2 | 2000
--> a | 7 | 1 | 3000
--> c | 3 | null | 4000
--> null | 4 | 3 | 5000

-- PARTITION BY NULL takes the key away.
-- changes of O
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE STREAM o AS SELECT k, v FROM s PARTITION BY NULL;
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO s (ROWTIME, k, g, v) VALUES (2000, 2, 'b', -1);
INSERT INTO s (ROWTIME, k, g, v) VALUES (3000, 1, 'a', 7);
--> K | V | ROWTIME
--> 1 | 5 | 1000
--> 2 | -1 | 2000
--> 1 | 7 | 3000
