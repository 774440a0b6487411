-- A stream is joined with a stream and then with a table.
-- changes of O
CREATE STREAM s (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE STREAM r (k INT KEY, g STRING, v INT) WITH (KAFKA_TOPIC='r', PARTITIONS=1);
CREATE TABLE t (k INT PRIMARY KEY, g STRING, v INT) WITH (KAFKA_TOPIC='t', PARTITIONS=1);
CREATE STREAM o AS SELECT s.k AS k, s.v AS a, r.v AS b, t.g AS name FROM s JOIN r WITHIN 5 SECONDS ON s.k = r.k JOIN t ON s.k = t.k;
INSERT INTO t (ROWTIME, k, g, v) VALUES (500, 1, 'one', 0);
INSERT INTO s (ROWTIME, k, g, v) VALUES (1000, 1, 'a', 5);
INSERT INTO r (ROWTIME, k, g, v) VALUES (3000, 1, 'x', 50);
INSERT INTO r (ROWTIME, k, g, v) VALUES (2000, 2, 'y', 60);
INSERT INTO s (ROWTIME, k, g, v) VALUES (4000, 1, 'b', 6);
INSERT INTO r (ROWTIME, k, g, v) VALUES (20000, 1, 'z', 70);
INSERT INTO s (ROWTIME, k, g, v) VALUES (2500, 2, 'c', 7);
--> K | A | B | NAME | ROWTIME
--> 1 | 5 | 50 | one | 3000
--> 1 | 6 | 50 | one | 4000

-- An expression of the first ON that stands in the second one, too, is the key already: any column equal to it can be selected.
-- changes of O
CREATE STREAM s (k INT KEY, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
CREATE STREAM r (k INT KEY, v INT) WITH (KAFKA_TOPIC='r', PARTITIONS=1);
CREATE TABLE t (k INT PRIMARY KEY, g STRING) WITH (KAFKA_TOPIC='t', PARTITIONS=1);
CREATE STREAM o AS SELECT s.k AS k, s.v AS a, r.v AS b, t.g AS name FROM s LEFT JOIN r WITHIN 5 SECONDS ON s.k = r.k + 1 JOIN t ON r.k + 1 = t.k;
INSERT INTO t (ROWTIME, k, g) VALUES (500, 2, 'two');
INSERT INTO s (ROWTIME, k, v) VALUES (1000, 2, 5);
INSERT INTO r (ROWTIME, k, v) VALUES (3000, 1, 50);
INSERT INTO s (ROWTIME, k, v) VALUES (4000, 1, 6);
--> K | A | B | NAME | ROWTIME
--> 2 | 5 | null | two | 1000
--> 2 | 5 | 50 | two | 3000
