"""Mistakes that people make, each with what it is answered: the place (between « and »), the cause and the remedy.

Typos in keywords, names and types; quotes; properties; windows; keys; habits from other dialects; calls in Python.
"""

# ruff: noqa: E501  # what people see is not folded

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import penstock

SETUP = """
CREATE STREAM orders (id INT KEY, customer STRING, item STRING, price DOUBLE, placed TIMESTAMP, tags ARRAY<STRING>) WITH (KAFKA_TOPIC='orders', PARTITIONS=2);
CREATE TABLE people (id STRING PRIMARY KEY, name STRING) WITH (KAFKA_TOPIC='people', PARTITIONS=2);
CREATE TABLE spend AS SELECT customer, SUM(price) AS total FROM orders GROUP BY customer;
CREATE TABLE hourly AS SELECT customer, COUNT(*) AS n FROM orders WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY customer;
CREATE STREAM visits (`WHEN` TIMESTAMP, address STRUCT<city STRING>) WITH (KAFKA_TOPIC='visits', PARTITIONS=1);
"""
MISTAKES = [
    (
        "SELECT price + «60_000» FROM orders;",
        "SELECT column 60_000 does not exist",
        "60_000 is a name: numbers have no underscores. Write 60000.",
    ),
    (
        "INSERT INTO orders (id) VALUES («60_000»);",
        "only constants may stand here, and 60_000 is a name",
        "Numbers have no underscores: write 60000.",
    ),
    (
        "SELECT * FROM orders LIMIT «60_000»;",
        "60_000 was not expected here",
        "Numbers have no underscores: write 60000.",
    ),
    (
        "SELECT 1_000«.5» FROM orders;",
        ".5 was not expected here",
        "Numbers have no underscores: write 1000.5.",
    ),
    (
        "SELECT * FROM people\n«INSERT» INTO people VALUES ('a', 'b');",
        "INSERT was not expected here",
        "Is a ; missing before INSERT?",
    ),
    (
        "SELECT * FROM people\nSHOW «STREAMS»;",
        "STREAMS was not expected here",
        "Is a ; missing before SHOW?",
    ),
    (
        "«SELCT» * FROM orders EMIT CHANGES;",
        "SELCT was not expected here",
        "Did you mean SELECT?",
    ),
    (
        "SELECT * «FORM» orders EMIT CHANGES;",
        "FORM was not expected here",
        "Did you mean FROM?",
    ),
    (
        "SELECT * FROM orders WERE «price» > 1 EMIT CHANGES;",
        "price was not expected here",
        "Did you mean WHERE instead of WERE?",
    ),
    (
        "SELECT customer, COUNT(*) FROM orders GRUOP «BY» customer EMIT CHANGES;",
        "BY was not expected here",
        "Did you mean GROUP instead of GRUOP?",
    ),
    (
        "SELECT «custmer» FROM orders EMIT CHANGES;",
        "SELECT column CUSTMER does not exist",
        "Did you mean CUSTOMER?",
    ),
    (
        "SELECT * FROM «ordrs» EMIT CHANGES;",
        "there is no stream or table named ORDRS",
        "Did you mean ORDERS?",
    ),
    (
        "SELECT «SUMM(price)» FROM orders GROUP BY customer EMIT CHANGES;",
        "there is no function named SUMM",
        "Did you mean SUM?",
    ),
    (
        "SELECT «LENGHT(item)» FROM orders EMIT CHANGES;",
        "there is no function named LENGHT",
        "It is called LEN here.",
    ),
    (
        "SELECT «LEN(item, 2)» FROM orders EMIT CHANGES;",
        "LEN cannot be called with (STRING, INTEGER)",
        "It can be called as:\n  LEN(text STRING) -> INTEGER\n  LEN(text BYTES) -> INTEGER",
    ),
    (
        "CREATE STREAM s (id «INTT» KEY) WITH (KAFKA_TOPIC='s', PARTITIONS=1);",
        "there is no type named INTT",
        "Did you mean INT?",
    ),
    (
        "CREATE STREAM s (id «TEXT») WITH (KAFKA_TOPIC='s', PARTITIONS=1);",
        "there is no type named TEXT",
        "Did you mean STRING?",
    ),
    (
        "CREATE STREAM s (id «LONG») WITH (KAFKA_TOPIC='s', PARTITIONS=1);",
        "there is no type named LONG",
        "Did you mean BIGINT?",
    ),
    (
        "CREATE STREAM s (id INT, ts «DATETIME») WITH (KAFKA_TOPIC='s', PARTITIONS=1);",
        "there is no type named DATETIME",
        "Did you mean TIMESTAMP?",
    ),
    (
        "SELECT * FROM orders WHERE item = «'»pen EMIT CHANGES;",
        "this text has no closing quote",
        "Close it with ', and write a quote inside of it as ''.",
    ),
    (
        "SELECT * FROM orders WHERE item = «pen» EMIT CHANGES;",
        "WHERE column PEN does not exist",
        "WHERE sees the columns of the sources, not the aliases of the SELECT list. A text is written in single quotes: 'text'.",
    ),
    (
        'SELECT * FROM orders WHERE item = «"pen"» EMIT CHANGES;',
        "WHERE column pen does not exist",
        "WHERE sees the columns of the sources, not the aliases of the SELECT list. A text is written in single quotes: 'text'.",
    ),
    (
        "SELECT * FROM orders WHERE «price = '1'» EMIT CHANGES;",
        "PRICE (DOUBLE) cannot be compared with '1' (STRING) by =",
        "Write 1 without quotes.",
    ),
    (
        "SELECT * FROM orders WHERE «item > 5» EMIT CHANGES;",
        "ITEM (STRING) cannot be compared with 5 (INTEGER) by >",
        "Write '5', or CAST(ITEM AS INTEGER).",
    ),
    (
        "CREATE STREAM s (id INT) WITH («KAFKA_TOPC='s'», PARTITIONS=1);",
        "the WITH clause of this statement has no property KAFKA_TOPC",
        "Did you mean KAFKA_TOPIC?",
    ),
    (
        "CREATE STREAM s (id INT) WITH («TOPIC»='s', PARTITIONS=1);",
        "TOPIC was not expected here",
        "The property is called KAFKA_TOPIC.",
    ),
    (
        "CREATE STREAM s (id INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT=«'JASON'»);",
        "there is no format JASON",
        "Formats are ARROW, NONE, KAFKA, DELIMITED, JSON, JSON_SR, AVRO, PROTOBUF, PROTOBUF_NOSR.",
    ),
    (
        "CREATE STREAM s (id INT) WITH (KAFKA_TOPIC='s', «PARTITIONS='two'»);",
        "PARTITIONS must be a whole number, not 'two'",
        "For example: PARTITIONS = 1.",
    ),
    (
        "CREATE STREAM s (id INT) WITH (KAFKA_TOPIC=«s», PARTITIONS=1);",
        "s was not expected here",
        "A text stands in quotes: 's'.",
    ),
    (
        "CREATE STREAM s (id INT) WITH (KAFKA_TOPIC='s' «PARTITIONS»=1);",
        "PARTITIONS was not expected here",
        "Is a comma missing before PARTITIONS?",
    ),
    (
        "CREATE STREAM s («id INT PRIMARY KEY») WITH (KAFKA_TOPIC='s', PARTITIONS=1);",
        "the column ID of a stream is marked PRIMARY KEY",
        "Write KEY.",
    ),
    (
        "CREATE TABLE t («id INT KEY», v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);",
        "the column ID of a table is marked KEY",
        "Write PRIMARY KEY.",
    ),
    (
        "CREATE TABLE «t» (id INT, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);",
        "the table T has no PRIMARY KEY",
        "Mark the column that identifies a row: ID INT PRIMARY KEY.",
    ),
    (
        "CREATE STREAM s (id INT, ts STRING) WITH (KAFKA_TOPIC='s', PARTITIONS=1, «TIMESTAMP='tss'»);",
        "TIMESTAMP names tss, which is not a column",
        "The columns are ID, TS.",
    ),
    (
        "CREATE TABLE t AS SELECT customer, «SUM(price)» AS total FROM orders EMIT CHANGES;",
        "SUM is an aggregate, which needs GROUP BY in a persistent query",
        "Group by a constant to have a single group: SELECT 1 AS k, .. GROUP BY 1.",
    ),
    (
        "CREATE STREAM s AS «SELECT customer, SUM(price) AS total FROM orders GROUP BY customer»;",
        "the query gives a table, not a stream",
        "Write CREATE TABLE S AS SELECT ..",
    ),
    (
        "CREATE TABLE t AS SELECT customer, «item», SUM(price) AS total FROM orders GROUP BY customer;",
        "the SELECT expression ITEM uses ITEM, which is neither in GROUP BY nor inside an aggregate",
        "Add it to GROUP BY, or aggregate it: LATEST_BY_OFFSET(ITEM).",
    ),
    (
        "CREATE TABLE t AS SELECT «SUM(price)» AS total FROM orders GROUP BY customer;",
        "the SELECT list of T lacks the grouping expression CUSTOMER",
        "Select CUSTOMER, too; an alias is fine.",
    ),
    (
        "CREATE TABLE t AS «SELECT * FROM orders»;",
        "the query gives a stream, not a table",
        "Write CREATE STREAM T AS SELECT ..",
    ),
    (
        "CREATE TABLE t AS SELECT customer, COUNT(*) FROM orders WINDOW TUMBLING («1» HOUR) GROUP BY customer;",
        "1 was not expected here",
        "Write SIZE before 1.",
    ),
    (
        "CREATE TABLE t AS SELECT customer, COUNT(*) FROM orders WINDOW TUMBLING (SIZE 1«)» GROUP BY customer;",
        ") was not expected here",
        "A length of time has a unit: 1 MINUTES.",
    ),
    (
        "CREATE TABLE t AS SELECT customer, COUNT(*) FROM orders WINDOW TUMBLNG «(»SIZE 1 HOUR) GROUP BY customer;",
        "( was not expected here",
        "Did you mean TUMBLING instead of TUMBLNG?",
    ),
    (
        "CREATE TABLE t AS SELECT customer, COUNT(*) FROM orders WINDOW TUMBLING (SIZE 1 «HUOR») GROUP BY customer;",
        "HUOR was not expected here",
        "Did you mean HOUR?",
    ),
    (
        "CREATE TABLE t AS SELECT customer, COUNT(*) FROM orders WINDOW HOPPING (SIZE 1 HOUR«)» GROUP BY customer;",
        ") was not expected here",
        "A hopping window also needs ADVANCE BY: HOPPING (SIZE 1 HOUR, ADVANCE BY 10 MINUTES).",
    ),
    (
        "CREATE TABLE t AS SELECT customer, COUNT(*) FROM orders WINDOW SESSION («SIZE» 1 HOUR) GROUP BY customer;",
        "SIZE was not expected here",
        "A session window has a gap and no size: WINDOW SESSION (30 MINUTES).",
    ),
    (
        "CREATE TABLE t AS SELECT customer, COUNT(*) FROM orders GROUP BY customer «WINDOW» TUMBLING (SIZE 1 HOUR);",
        "WINDOW was not expected here",
        "WINDOW stands before WHERE and GROUP BY: FROM .. WINDOW TUMBLING (SIZE 1 HOUR) .. GROUP BY ..",
    ),
    (
        "SELECT o.id, p.name FROM orders o JOIN people p ON «o.id = p.id» EMIT CHANGES;",
        "the two sides of the join condition have different types: INTEGER and STRING",
        "CAST one of them, for example CAST(.. AS STRING).",
    ),
    (
        "SELECT o.id FROM orders o JOIN «orders r» ON o.id = r.id EMIT CHANGES;",
        "ORDERS is joined more than once; a source can take part in a join only once",
        "Copy it first (CREATE STREAM ORDERS_2 AS SELECT * FROM ORDERS) and join the copy.",
    ),
    (
        "SELECT o.id, p.name FROM orders o JOIN people p «EMIT» CHANGES;",
        "EMIT was not expected here",
        "A JOIN needs its condition: JOIN .. ON a.x = b.y.",
    ),
    (
        "SELECT «id» FROM orders o JOIN people p ON o.customer = p.id EMIT CHANGES;",
        "SELECT column ID is ambiguous: several sources have one",
        "Write O.ID or P.ID.",
    ),
    (
        "SELECT * FROM «people»;",
        "no query keeps the rows of the table PEOPLE, so a pull query cannot read them",
        "CREATE TABLE .. AS SELECT * FROM PEOPLE; makes one that can.",
    ),
    (
        "SELECT * FROM «people» WHERE id = 'a';",
        "no query keeps the rows of the table PEOPLE, so a pull query cannot read them",
        "CREATE TABLE .. AS SELECT * FROM PEOPLE; makes one that can.",
    ),
    (
        "SELECT * FROM spend ORDER BY «total DESC» EMIT CHANGES;",
        "a query with EMIT CHANGES has no ORDER BY",
        "It has no end to be sorted by: ask its result with sql() and ORDER BY.",
    ),
    (
        "SELECT * FROM spend WHERE «customer = 5»;",
        "CUSTOMER (STRING) cannot be compared with 5 (INTEGER) by =",
        "Write '5', or CAST(CUSTOMER AS INTEGER).",
    ),
    (
        "«INSERT INTO orders (id, item) VALUES (1)»;",
        "there are 2 columns, but 1 values",
        "The columns are ID, ITEM.",
    ),
    (
        "INSERT INTO «orders» (id, itm) VALUES (1, 'a');",
        "ORDERS has no column ITM",
        "It has ID, CUSTOMER, ITEM, PRICE, PLACED, TAGS.",
    ),
    (
        "INSERT INTO orders VALUES (1, 'a', 'b', «'c'», NULL, NULL);",
        "'c' is not a valid DOUBLE",
        "DOUBLE is written as 1.5.",
    ),
    (
        "INSERT «orders» VALUES (1);",
        "orders was not expected here",
        "Write INTO before orders.",
    ),
    (
        "INSERT INTO «spend» VALUES ('a', 1.0);",
        "SPEND is the result of the query CTAS_SPEND_2, which alone changes it",
        "Write to what the query reads.",
    ),
    (
        "DROP STREAM «spend»;",
        "SPEND is a table, not a stream",
        "Write TABLE.",
    ),
    (
        "DROP TABLE «nothing»;",
        "there is no stream or table named NOTHING",
        "SHOW STREAMS; and SHOW TABLES; list them.",
    ),
    (
        "DROP STREAM «orders»;",
        "ORDERS cannot be dropped: HOURLY, SPEND read from it",
        "DROP what was derived from it first.",
    ),
    (
        "CREATE OR REPLACE TABLE «spend» AS SELECT item, COUNT(*) AS n FROM orders GROUP BY item;",
        "SPEND cannot be replaced: its key would change",
        "DROP it first, or give the new one another name.",
    ),
    (
        "CREATE STREAM «orders» (id INT) WITH (KAFKA_TOPIC='x', PARTITIONS=1);",
        "there is a stream named ORDERS already",
        "Use CREATE OR REPLACE STREAM, CREATE STREAM IF NOT EXISTS, or another name.",
    ),
    (
        "«SELECT DISTINCT customer FROM orders» EMIT CHANGES;",
        "a query with EMIT CHANGES has no DISTINCT",
        "Write GROUP BY.",
    ),
    (
        "SELECT customer, COUNT(*) FROM orders GROUP BY «ALL»;",
        "ALL was not expected here",
        "Name what to group by: GROUP BY column, ..",
    ),
    (
        "SELECT * «EXCLUDE» (price) FROM orders;",
        "EXCLUDE was not expected here",
        "EXCLUDE is not in this dialect: db.duckdb() takes DuckDB's own SQL, which has it (at the prompt: \\duckdb SELECT ..).",
    ),
    (
        "SELECT * FROM «'orders.parquet'»;",
        "'orders.parquet' was not expected here",
        "A file becomes a stream first: CREATE STREAM name FROM 'orders.parquet';",
    ),
    (
        "SELECT * FROM read_csv«(»'orders.csv');",
        "( was not expected here",
        "A function that makes rows stands in the SELECT list here: EXPLODE(..). db.duckdb() takes DuckDB's own SQL, which has it (at the prompt: \\duckdb SELECT ..).",
    ),
    (
        "SELECT customer, price FROM orders QUALIFY «ROW_NUMBER»() OVER (PARTITION BY customer) = 1;",
        "ROW_NUMBER was not expected here",
        "QUALIFY is not in this dialect: db.duckdb() takes DuckDB's own SQL, which has it (at the prompt: \\duckdb SELECT ..).",
    ),
    (
        "«FROM» orders;",
        "FROM was not expected here",
        "Write SELECT * FROM ..",
    ),
    (
        "SELECT * FROM orders LIMIT 5 «EMIT» CHANGES;",
        "EMIT was not expected here",
        "LIMIT stands last: EMIT CHANGES LIMIT 5.",
    ),
    (
        "SELECT price«:»:INT FROM orders EMIT CHANGES;",
        "the character : has no meaning here",
        "A type is changed by CAST(value AS type).",
    ),
    (
        "«UPDATE» orders SET price = 1;",
        "UPDATE was not expected here",
        "There is no UPDATE: insert a row with the same key instead.",
    ),
    (
        "DELETE FROM «orders» WHERE id = 1;",
        "ORDERS is a stream, and events cannot be deleted",
        "Retention removes old records: write RETENTION_MS = .. where the topic is made, or change it by "
        "db.alter_topic('orders', {'retention.ms': ..}) in Python.",
    ),
    (
        "WITH r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM «r» WHERE n < 5) SELECT * FROM r;",
        "there is no stream or table named R",
        "R is being defined here, and WITH is not recursive: db.duckdb() takes DuckDB's own SQL, which has it "
        "(at the prompt: \\duckdb SELECT ..).",
    ),
    (
        "WITH a AS (SELECT * FROM «b»), b AS (SELECT 1 AS n) SELECT * FROM a;",
        "there is no stream or table named B",
        "A table of WITH sees those before it: move B before A.",
    ),
    (
        "SHOW «TABELS»;",
        "TABELS was not expected here",
        "Did you mean TABLES?",
    ),
    (
        "DESCRIBE «ordrs»;",
        "there is no stream or table named ORDRS",
        "Did you mean ORDERS?",
    ),
    (
        "TERMINATE «spend»;",
        "there is no persistent query SPEND",
        "Did you mean CTAS_SPEND_2?",
    ),
    (
        "SET «auto».offset.reset = earliest;",
        "auto was not expected here",
        "A text stands in quotes: 'auto.offset.reset'.",
    ),
    (
        "SET «'auto.offset.reset'» = 'begin';",
        "auto.offset.reset must be one of latest, earliest, not 'begin'",
        "For example: 'latest'.",
    ),
    (
        "SELECT CASE WHEN price > 1 THEN 'a' ELSE «2» END FROM orders EMIT CHANGES;",
        "the results of a CASE have one type, and 2 is INTEGER, not STRING",
        "Write CAST(2 AS STRING).",
    ),
    (
        "SELECT «SUM(item)» FROM orders GROUP BY customer EMIT CHANGES;",
        "SUM cannot be called with (STRING)",
        "It can be called as:\n  SUM(value INTEGER) -> INTEGER\n  SUM(value BIGINT) -> BIGINT\n  SUM(value DOUBLE) -> DOUBLE\n  SUM(value DECIMAL) -> *",
    ),
    (
        "SELECT tags[0 «FROM» orders EMIT CHANGES;",
        "FROM was not expected here",
        "Write ] before FROM.",
    ),
    (
        "SELECT customer FROM orders WHERE «COUNT(*)» > 1 EMIT CHANGES;",
        "WHERE cannot use COUNT, which is an aggregate",
        "Use HAVING to filter by aggregates.",
    ),
    (
        "SELECT customer, SUM(price) AS t FROM orders WHERE «t» > 5 GROUP BY customer EMIT CHANGES;",
        "WHERE column T does not exist",
        "T is an alias of the SELECT list: write what it stands for, WHERE SUM(PRICE) .. (HAVING, if it is an aggregate)",
    ),
    (
        "SELECT customer, SUM(price) t FROM orders GROUP BY customer HAVING «totl» > 5 EMIT CHANGES;",
        "HAVING column TOTL does not exist",
        "HAVING sees the columns of the sources, not the aliases of the SELECT list. A text is written in single quotes: 'text'.",
    ),
    (
        "CREATE TABLE x (a INT PRIMARY KEY «AUTO_INCREMENT»);",
        "AUTO_INCREMENT was not expected here",
        "There is no AUTO_INCREMENT: every INSERT gives the keys of its rows.",
    ),
    (
        "ALTER STREAM orders ADD COLUMN«;»",
        "the statement is incomplete",
        "A column has a name and a type: ADD COLUMN name STRING.",
    ),
    (
        "ALTER TABLE spend «RENAME» TO s2;",
        "RENAME was not expected here",
        "There is no RENAME: copy it by CREATE .. AS SELECT under the new name, and DROP the old one.",
    ),
    (
        "SELECT * FROM orders«, people» EMIT CHANGES;",
        "a query with EMIT CHANGES has no CROSS JOIN",
        "Write JOIN .. ON ..",
    ),
    (
        "SELECT «NOW()» FROM orders EMIT CHANGES;",
        "there is no function named NOW",
        "Use UNIX_TIMESTAMP(), in milliseconds, or as a TIMESTAMP FROM_UNIXTIME(UNIX_TIMESTAMP()).",
    ),
    (
        "«PRINT order»;",
        "there is no topic order",
        "Did you mean orders? Names of topics keep their case.",
    ),
    (
        "SELECT * FROM orders WHERE «tags = 'a'» EMIT CHANGES;",
        "TAGS (ARRAY<STRING>) cannot be compared with 'a' (STRING) by =",
        "ARRAY_CONTAINS(TAGS, 'a') looks into an array.",
    ),
    (
        "SELECT * FROM orders WHERE item LIKE «5» EMIT CHANGES;",
        "LIKE compares strings, and 5 is INTEGER",
        "Write CAST(5 AS STRING).",
    ),
    (
        "SELECT * FROM orders WHERE item IN «'a'» EMIT CHANGES;",
        "'a' was not expected here",
        "Write ( before 'a'.",
    ),
    (
        "SELECT * FROM orders WHERE item =«=» 'a' EMIT CHANGES;",
        "= was not expected here",
        "Equality is written with one =.",
    ),
    (
        "SELECT * FROM orders WHERE «item = NULL» EMIT CHANGES;",
        "a comparison with NULL is never true: ITEM = NULL",
        "Use IS NULL or IS NOT NULL.",
    ),
    (
        "SELECT «DATE_TRUNC('hour', placed)» FROM orders EMIT CHANGES;",
        "there is no function named DATE_TRUNC",
        "Use WINDOW TUMBLING (SIZE 1 HOUR), or FORMAT_TIMESTAMP with a pattern that ends at the hour.",
    ),
    (
        "SELECT CAST(item AS «INTERVAL») FROM orders EMIT CHANGES;",
        "the dialect has no type INTERVAL",
        "Use BIGINT, for milliseconds.",
    ),
    (
        "SELECT «when» FROM visits;",
        "when was not expected here",
        "WHEN is a reserved word: to use it as a name, write `WHEN`.",
    ),
    (
        "SELECT «`when`» FROM visits;",
        "SELECT column when does not exist",
        "Did you mean `WHEN`?",
    ),
    (
        "SELECT «whn» FROM visits;",
        "SELECT column WHN does not exist",
        "Did you mean `WHEN`?",
    ),
    (
        "SELECT «address.city» FROM visits;",
        "ADDRESS is a column, whose fields are reached by ->",
        "Write ADDRESS->CITY.",
    ),
    (
        "SELECT id, «FROM» orders;",
        "FROM was not expected here",
        "Leave out the comma before FROM.",
    ),
    (
        "SELECT o. «FROM» orders o;",
        "FROM was not expected here",
        "The name of a column must follow the dot.",
    ),
    (
        "SELECT TOP «5» * FROM orders;",
        "5 was not expected here",
        "The number of rows stands last: SELECT .. LIMIT 5.",
    ),
    (
        "SELECT customer, COUNT(*) AS n FROM orders GROUP BY customer HAVING «n» > 1;",
        "HAVING column N does not exist",
        "N is an alias of the SELECT list: write what it stands for, HAVING COUNT(*) ..",
    ),
    (
        "CREATE TABLE x AS SELECT customer, COUNT(*) AS n FROM orders GROUP BY customer HAVING «n» > 1;",
        "HAVING column N does not exist",
        "N is an alias of the SELECT list: write what it stands for, HAVING COUNT(*) ..",
    ),
    (
        "SELECT * FROM orders WHERE placed > «CURRENT_TIMESTAMP»;",
        "WHERE column CURRENT_TIMESTAMP does not exist",
        "Use UNIX_TIMESTAMP(), in milliseconds, or as a TIMESTAMP FROM_UNIXTIME(UNIX_TIMESTAMP()).",
    ),
    (
        "SELECT * FROM orders WHERE placed > INTERVAL «'1 hour'»;",
        "'1 hour' was not expected here",
        "There is no INTERVAL: TIMESTAMPADD(HOURS, 1, t) and TIMESTAMPSUB(HOURS, 1, t) move a time.",
    ),
    (
        "SELECT * FROM orders WHERE placed > «'2024-01-05 10:00'»;",
        "'2024-01-05 10:00' is not a valid TIMESTAMP: '2024-01-05 10:00' is not a timestamp of the form"
        " yyyy-MM-ddTHH:mm:ss.SSS: a T stands before the time, '2024-01-05T10:00'",
        "TIMESTAMP is written as '2025-12-31T23:59:59'.",
    ),
    (
        "SELECT EXTRACT(hour «FROM» placed) FROM orders;",
        "FROM was not expected here",
        "There is no EXTRACT: FORMAT_TIMESTAMP(t, 'HH') gives the hour of a TIMESTAMP, as text.",
    ),
    (
        "SELECT «STDDEV(price)» FROM orders;",
        "there is no function named STDDEV",
        "It is called STDDEV_SAMPLE here.",
    ),
    (
        "CREATE TABLE x AS SELECT customer, COUNT(*) FROM orders WINDOW TUMBLING (SIZE «'5 minutes'») GROUP BY customer;",
        "'5 minutes' was not expected here",
        "A length of time is a number and a unit, without quotes: SIZE 5 MINUTES.",
    ),
    (
        "CREATE TABLE x AS SELECT customer, COUNT(*) FROM orders WINDOW TUMBLING (SIZE «5h») GROUP BY customer;",
        "5h was not expected here",
        "A length of time is a number and a unit, without quotes: SIZE 5 HOURS.",
    ),
    (
        "CREATE «VIEW» v AS SELECT * FROM orders;",
        "VIEW was not expected here",
        "CREATE TABLE name AS SELECT keeps a result up to date.",
    ),
    (
        "«BEGIN»;",
        "BEGIN was not expected here",
        "Each statement is one commit; an INSERT takes several rows: VALUES (..), (..).",
    ),
    (
        "«USE» shop;",
        "USE was not expected here",
        "A database is a directory: penstock -d shop.db, or penstock.connect('shop.db').",
    ),
    (
        "DROP «spend»;",
        "spend was not expected here",
        "Write what it is: DROP STREAM spend, or DROP TABLE spend.",
    ),
    (
        "TERMINATE «QUERY» ctas_spend_1;",
        "QUERY was not expected here",
        "Leave out QUERY: TERMINATE and the query's id.",
    ),
    (
        "INSERT INTO orders (id, tags) VALUES (1, «[»'a']);",
        "[ was not expected here",
        "An array is written ARRAY[.., ..].",
    ),
    (
        "INSERT INTO visits (address) VALUES («{»'city': 'x'});",
        "the character { has no meaning here",
        "The fields of a struct have names: STRUCT(name := value, ..); a map MAP(key := value, ..).",
    ),
    (
        "INSERT INTO visits (address) VALUES (STRUCT(«'x'»));",
        "'x' was not expected here",
        "The fields of a struct have names: STRUCT(name := value, ..).",
    ),
    (
        "SELECT * FROM orders WHERE customer = «:»name;",
        "the character : has no meaning here",
        "Parameters are written ? or $name.",
    ),
    (
        "SELECT * FROM orders WHERE customer = «%»s;",
        "% was not expected here",
        "Parameters are written ? or $name.",
    ),
]
CALLS: list[tuple[str, Callable[[penstock.Database], Any], str, str]] = [
    ("source", lambda db: db.insert("ordrs", {"id": 1}), "no stream or table named ORDRS", "Did you mean ORDERS?"),
    ("column", lambda db: db.insert("orders", {"id": 1, "itm": "a"}), "ORDERS has no column itm", "It has ID, CUSTOMER"),
    ("row", lambda db: db.insert("orders", [(1, 2)]), "row 1 has 2 values, and there are 6 columns", "give dicts"),
    ("push in sql", lambda db: db.sql("SELECT * FROM spend EMIT CHANGES"), "a push query, which has no end", "subscribe()"),
    ("pull in subscribe", lambda db: db.subscribe("SELECT * FROM spend"), "takes a push query", "EMIT CHANGES"),
    ("two statements", lambda db: db.sql("SELECT 1; SELECT 2"), "another one follows", "execute()"),
    ("no SELECT", lambda db: db.sql("CREATE STREAM x (id INT)"), "sql() takes a SELECT", "execute()"),
    ("no text", lambda db: db.sql(""), "there is no statement here", "SELECT"),
    ("a missing value", lambda db: db.sql("SELECT * FROM spend WHERE customer = ?"), "has no value", "a list for ?"),
    ("a property", lambda db: penstock.connect(auto_ofset_reset="earliest"), "auto.ofset.reset", "auto.offset.reset?"),
    ("its value", lambda db: penstock.connect(auto_offset_reset="begin"), "latest, earliest, not 'begin'", "'latest'"),
    ("the kind", lambda db: db.table("orders"), "ORDERS is a stream", "stream('orders')"),
    ("time", lambda db: db.advance(minutes=5), "only a ManualClock can be advanced", "connect(clock=ManualClock())"),
    ("half a sequence", lambda db: db.insert("orders", {"id": 1}, producer="a"), "go together", "Give both"),
    ("a name twice", lambda db: db.register("orders", {"a": [1]}), "a stream or table has this name", "another name"),
    ("one parameter", lambda db: db.sql("SELECT * FROM spend WHERE customer = ?", "ada"), "not str", "[value]"),
    ("a key", lambda db: db.create_table("x", {"a": [1]}, key="b"), "no column B for the key", "It has A"),
]


@pytest.fixture(scope="module")
def database() -> Iterator[penstock.Database]:
    with penstock.connect(threads=0) as db:
        db.execute(SETUP)
        yield db


@pytest.mark.parametrize(("marked", "cause", "remedy"), MISTAKES, ids=[marked for marked, _, _ in MISTAKES])
def test_a_statement_that_is_wrong(database: penstock.Database, marked: str, cause: str, remedy: str) -> None:
    """The error points at the place, and says what is wrong and what to do; all of it is in its text, too."""
    text = marked.replace("«", "").replace("»", "")
    with pytest.raises(penstock.StatementError) as raised:
        database.execute(text)
    error = raised.value
    assert error.span is not None
    assert text[: error.span.start] + "«" + text[error.span.start : error.span.end] + "»" + text[error.span.end :] == marked
    assert (error.message, error.hint) == (cause, remedy)
    assert error.code in ("statement", "unsupported")
    shown = str(error)
    assert cause in shown and remedy in shown and "^" in shown and f"line {error.span.line}, column" in shown


@pytest.mark.parametrize(("call", "cause", "remedy"), [c[1:] for c in CALLS], ids=[c[0] for c in CALLS])
def test_a_call_that_is_wrong(
    database: penstock.Database, call: Callable[[penstock.Database], Any], cause: str, remedy: str
) -> None:
    """In Python, too."""
    with pytest.raises(penstock.StatementError) as raised:
        call(database)
    assert cause in raised.value.message and remedy in (raised.value.hint or ""), str(raised.value)


def test_there_are_many() -> None:
    """At least sixty."""
    assert len(MISTAKES) + len(CALLS) >= 60


def test_a_description_is_printed_as_text() -> None:
    """Not as the object that it is."""
    with penstock.connect() as database:
        database.execute("CREATE STREAM s (id INT KEY, v STRING) WITH (KAFKA_TOPIC='s', PARTITIONS=1);")
        (described,) = database.execute("DESCRIBE s EXTENDED;")
    lines = str(described).splitlines()
    assert lines[0] == "S"
    assert {"Topic: s", "Partitions: 1"} <= set(lines)
    assert any(line.startswith("ID ") and "INTEGER" in line for line in lines)
    assert "Description(" not in str(described) and str([described]) == f"[{described}]"


def test_what_goes_on_is_printed_as_what_it_is() -> None:
    """The results of a push query and of PRINT in a list of results."""
    with penstock.connect() as database:
        database.execute("CREATE STREAM s (id INT KEY, v STRING) WITH (KAFKA_TOPIC='s', PARTITIONS=1);")
        pushed, printed = database.execute("SELECT * FROM s EMIT CHANGES; PRINT s;")
        assert isinstance(pushed, penstock.PushResult) and isinstance(printed, penstock.PrintResult)
        shown = (str(pushed), str(printed))
        pushed.close()
        printed.close()
    assert shown == ("<push query: iterate it for its rows of ID, V>", "<PRINT s: iterate it for its records>")


@pytest.mark.parametrize("address", ["localhost:8088", "10.0.0.7:8088/"])
def test_an_address_without_its_scheme_is_no_directory(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It made an empty database in a directory of that name; with ./ before it, it still does."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(penstock.StatementError, match="address without its scheme") as caught:
        penstock.connect(address)
    assert caught.value.suggestion is not None and f"http://{address}" in caught.value.suggestion
    assert not list(tmp_path.iterdir())
    with penstock.connect(f"./{address}", threads=0):
        assert (tmp_path / address).is_dir()
