-- Rows of one key that are near in time pair up, at the later time.
-- changes of O
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE STREAM r (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='r', PARTITIONS=1);
CREATE STREAM o AS SELECT s.k AS k, s.v AS a, r.v AS b FROM s JOIN r WITHIN 5 SECONDS ON s.k = r.k;
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO r (ROWTIME, k, g, v) VALUES (3000, 1, 'x', 50);
INSERT INTO r (ROWTIME, k, g, v) VALUES (2000, 2, 'y', 60);
INSERT INTO s (ROWTIME, k, g, v) VALUES (4000, 1, 'b', 6);
INSERT INTO r (ROWTIME, k, g, v) VALUES (20000, 1, 'z', 70);
INSERT INTO s (ROWTIME, k, g, v) VALUES (2500, 2, 'c', 7);
--> K | A | B | ROWTIME
--> 1 | 5 | 50 | 3000
--> 1 | 6 | 50 | 4000
--> 2 | 7 | 60 | 2500

-- Without a grace period an unmatched row is padded at once, and may match later.
-- changes of O
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE STREAM r (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='r', PARTITIONS=1);
CREATE STREAM o AS SELECT s.k AS k, s.v AS a, r.v AS b FROM s LEFT JOIN r WITHIN 5 SECONDS ON s.k = r.k;
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO r (ROWTIME, k, g, v) VALUES (3000, 1, 'x', 50);
INSERT INTO r (ROWTIME, k, g, v) VALUES (2000, 2, 'y', 60);
INSERT INTO s (ROWTIME, k, g, v) VALUES (4000, 1, 'b', 6);
INSERT INTO r (ROWTIME, k, g, v) VALUES (20000, 1, 'z', 70);
INSERT INTO s (ROWTIME, k, g, v) VALUES (2500, 2, 'c', 7);
--> K | A | B | ROWTIME
--> 1 | 5 | null | 1000
--> 1 | 5 | 50 | 3000
--> 1 | 6 | 50 | 4000
--> 2 | 7 | 60 | 2500

-- With a grace period a row is padded once, when nothing can match it any more.
-- changes of O
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE STREAM r (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='r', PARTITIONS=1);
CREATE STREAM o AS SELECT s.k AS k, s.v AS a, r.v AS b FROM s LEFT JOIN r WITHIN 5 SECONDS GRACE PERIOD 1 SECOND ON s.k = r.k;
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO r (ROWTIME, k, g, v) VALUES (20000, 1, 'x', 50);
INSERT INTO s (ROWTIME, k, g, v) VALUES (19000, 1, 'b', 6);
--> K | A | B | ROWTIME
--> 1 | 5 | null | 1000
--> 1 | 6 | 50 | 20000

-- Keys in different formats meet: one side is moved to where the other lies.
-- changes of O
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE STREAM r (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='r', PARTITIONS=1, KEY_FORMAT='JSON');
CREATE STREAM o AS SELECT s.k AS k, s.v AS a, r.v AS b FROM s JOIN r WITHIN 5 SECONDS ON s.k = r.k;
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO r (ROWTIME, k, g, v) VALUES (3000, 1, 'x', 50);
INSERT INTO r (ROWTIME, k, g, v) VALUES (2000, 2, 'y', 60);
INSERT INTO s (ROWTIME, k, g, v) VALUES (4000, 1, 'b', 6);
INSERT INTO r (ROWTIME, k, g, v) VALUES (20000, 1, 'z', 70);
INSERT INTO s (ROWTIME, k, g, v) VALUES (2500, 2, 'c', 7);
--> K | A | B | ROWTIME
--> 1 | 5 | 50 | 3000
--> 1 | 6 | 50 | 4000
--> 2 | 7 | 60 | 2500
