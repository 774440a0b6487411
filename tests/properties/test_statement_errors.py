"""A statement that fails has changed nothing, says where it is wrong, and fails with an error of ours."""

from __future__ import annotations

import random
import re
from datetime import date, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.engine.database import Database, connect
from penstock.errors import InternalError, PenstockError, StatementError

SETUP = """
CREATE STREAM S (ID INT KEY, V INT, W DOUBLE, NAME STRING, ITEMS ARRAY<INT>, M MAP<STRING, INT>, R STRUCT<A INT, B STRING>,
  D DATE, T TIMESTAMP, P DECIMAL(6, 2), B BYTES) WITH (KAFKA_TOPIC='s', PARTITIONS=2, VALUE_FORMAT='JSON');
CREATE STREAM L (ID INT KEY, V INT) WITH (KAFKA_TOPIC='l', PARTITIONS=2);
CREATE TABLE C (ID INT PRIMARY KEY, CITY STRING) WITH (KAFKA_TOPIC='c', PARTITIONS=2);
CREATE STREAM F AS SELECT ID, V FROM S WHERE V > 1;
CREATE TABLE G AS SELECT ID, COUNT(*) AS N FROM S GROUP BY ID;
CREATE TYPE ADDRESS AS STRUCT<STREET STRING, NUMBER INT>;
INSERT INTO L (ID, V) VALUES (1, 2);
"""

STATEMENTS = """
CREATE STREAM X (ID INT KEY, A ADDRESS, V ARRAY<STRING>) WITH (KAFKA_TOPIC='x', PARTITIONS=2, VALUE_FORMAT='AVRO')
CREATE TABLE X (ID STRING PRIMARY KEY, V BIGINT) WITH (KAFKA_TOPIC='x', PARTITIONS=1, FORMAT='JSON', TIMESTAMP='V')
CREATE SOURCE TABLE X (ID INT PRIMARY KEY, CITY STRING) WITH (KAFKA_TOPIC='c')
CREATE STREAM X WITH (KAFKA_TOPIC='y', PARTITIONS=3) AS SELECT ID, V + 1 AS A, UCASE(NAME) AS U FROM S PARTITION BY ID
CREATE STREAM X AS SELECT ID, EXPLODE(ITEMS) AS I, R->A AS A, M['a'] AS MA, ITEMS[1] AS I1 FROM S WHERE W BETWEEN 1 AND 2.5
CREATE TABLE X AS SELECT NAME, SUM(V) AS T, AVG(W) AS A FROM S WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY NAME HAVING SUM(V) > 3
CREATE TABLE X AS SELECT V, COUNT(*) AS N FROM S WINDOW SESSION (5 MINUTES) GROUP BY V EMIT FINAL
CREATE TABLE X AS SELECT C.ID, G.N, C.CITY FROM C LEFT JOIN G ON C.ID = G.ID
CREATE STREAM X AS SELECT S.ID, L.V, S.NAME FROM S JOIN L WITHIN (1 MINUTE, 2 MINUTES) GRACE PERIOD 1 SECOND ON S.ID = L.ID
CREATE STREAM X AS SELECT L.ID AS ID, CITY, CASE WHEN V > 1 THEN 'a' ELSE 'b' END AS K FROM L LEFT JOIN C ON L.ID = C.ID
CREATE OR REPLACE STREAM F AS SELECT ID, V, NAME FROM S WHERE V > 2
CREATE OR REPLACE TABLE G AS SELECT ID, COUNT(*) AS N FROM S WHERE ID > 1 GROUP BY ID
CREATE OR REPLACE STREAM L (ID INT KEY, V INT, Z INT) WITH (KAFKA_TOPIC='l')
INSERT INTO L SELECT ID, V FROM S WHERE NAME LIKE 'a%'
INSERT INTO S (ID, V, NAME, ITEMS, M, R, D, T, P, B) VALUES (1, 2, 'x', ARRAY[1],
 MAP('a' := 1), STRUCT(A := 1, B := 'b'),
 '2020-01-01', '2020-01-01T00:00:00', 1.25, 'AQID')
INSERT INTO C VALUES (1, 'x')
ALTER STREAM L ADD COLUMN Y INT, ADD Q STRING
DROP STREAM F DELETE TOPIC
DROP TABLE IF EXISTS G
CREATE TYPE POINT AS STRUCT<X INT, Y INT>
DROP TYPE ADDRESS
TERMINATE CSAS_F_3
PAUSE CTAS_G_4
RESUME ALL
SET 'auto.offset.reset' = 'earliest'
UNSET 'auto.offset.reset'
DEFINE n = 'v'
UNDEFINE n
SHOW STREAMS
LIST TOPICS
DESCRIBE S EXTENDED
DESCRIBE FUNCTION UCASE
EXPLAIN SELECT ID, TRANSFORM(ITEMS, x => x + 1) FROM S EMIT CHANGES
SHOW QUERIES EXTENDED
SELECT * FROM G WHERE ID = 1
SELECT ID, N + 1 AS M, ROWTIME FROM G WHERE ID IN (1, 2) LIMIT 3
SELECT ID, COUNT(*) FROM S GROUP BY ID EMIT CHANGES LIMIT 2
PRINT 's' FROM BEGINNING LIMIT 1
ASSERT TOPIC 's' WITH (PARTITIONS=2) TIMEOUT 1 SECONDS
ASSERT NOT EXISTS SCHEMA SUBJECT 's-value' TIMEOUT 1 SECONDS
CREATE STREAM X AS SELECT ID, REDUCE(ITEMS, 0, (y, z) => y + z) AS R, CAST(T AS STRING) AS TS, P * 2 AS P2 FROM S
CREATE STREAM X AS SELECT ID, DATEADD(DAYS, 1, D) AS D, FORMAT_TIMESTAMP(T, 'yyyy') AS Y, ROWTIME AS RT FROM S
"""
VALID = [s for s in re.split(r"\n(?! )", STATEMENTS.strip()) if s]
TOKEN = re.compile(r"'(?:[^']|'')*'|[A-Za-z_]\w*|\d+(?:\.\d+)?|->|:=|=>|<>|<=|>=|\S")
ODD = [
    "''", "'x'", "NULL", "0", "-1", "99999999999999999999", "1e400", "1.5", "TRUE", "*", "(", ")", ",", ";", "=", "<", ">",
    "->", "[", "]", "AS", "FROM", "WHERE", "SELECT", "GROUP", "BY", "S", "L", "C", "F", "G", "X", "ID", "V", "W", "NAME",
    "ITEMS", "M", "R", "D", "T", "P", "B", "ROWTIME", "WINDOWSTART", "`x y`", '"q"', "`", "'", "COUNT(*)", "SUM(V)",
    "SUM(NAME)", "EXPLODE(ITEMS)", "COLLECT_LIST(R)", "UCASE(1)", "NOSUCH(1)", "LATEST_BY_OFFSET(V, -1)", "1/0", "INT",
    "STRING", "ARRAY<MAP<INT, INT>>", "STRUCT<>", "DECIMAL(99, 100)", "DECIMAL(0,0)", "ADDRESS", "KEY", "PRIMARY KEY",
    "HEADERS", "'KAFKA'", "'DELIMITED'", "'PROTOBUF'", "'NONE'", "'ARROW'", "PARTITIONS=0", "PARTITIONS=100000000", "EMIT",
    "FINAL", "CHANGES", "LIMIT", "-", "x => y", "${v}", "/*", "--", "é", "\udc80", "\x00", "😀", "99999999999999999 DAYS",
    "ksql_processing_log", "KSQL_PROCESSING_LOG", "'_penstock-statements'", "CAST(V AS STRUCT<A INT>)",
    "V IN ()", "V LIKE 1",
    "TOPK(V, 9999999)",
    "SUBSTRING('x', 99999999999)", "LPAD('x', 2000000000, 'y')", "GENERATE_SERIES(1, 2000000000)",
]  # fmt: skip


def mutated(seed: int) -> str:
    """One of the statements with one to three of its tokens dropped, doubled, swapped or replaced."""
    chance = random.Random(seed)
    tokens = TOKEN.findall(chance.choice(VALID))
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at = chance.randrange(len(tokens))
        kind = chance.choice(("drop", "double", "swap", "odd", "odd", "odd", "other", "cut"))
        if kind == "drop" and len(tokens) > 1:
            del tokens[at]
        elif kind == "double":
            tokens.insert(at, tokens[at])
        elif kind == "swap":
            other = chance.randrange(len(tokens))
            tokens[at], tokens[other] = tokens[other], tokens[at]
        elif kind == "other":
            tokens[at] = chance.choice(TOKEN.findall(chance.choice(VALID)))
        elif kind == "cut" and at:
            tokens = tokens[:at]
        else:
            tokens[at] = chance.choice(ODD)
    return " ".join(tokens) + ";"


def fingerprint(db: Database) -> Any:
    """Everything that a statement could change."""
    engine = db._engine
    log = engine.log
    ends = {(t, p): log.end_offset(t, p) for t, c in log.topics().items() for p in range(c.partitions)}
    runs = {i: (id(r), r.state) for i, r in engine.host.runs.items()}
    topics = {name: repr(config) for name, config in log.topics().items()}
    places = (id(engine.catalog), topics, ends, list(log.groups()), runs, sorted(engine.planned))
    return (*places, dict(db.settings), dict(db.variables), engine.host.subscriptions)


def fresh() -> Database:
    db = connect(threads=0, settings={"ksql.assert.topic.default.timeout.ms": "0"})
    db.execute(SETUP)
    return db


class Bench:
    """A database that is made anew after a statement that went through."""

    def __init__(self) -> None:
        self.db = fresh()

    def check(self, text: str) -> None:
        before = fingerprint(self.db)
        try:
            for result in self.db.execute(text):
                if hasattr(result, "subscription"):
                    result.subscription.close()
        except StatementError as error:
            assert fingerprint(self.db) == before, text
            assert not isinstance(error, InternalError)
            assert str(error)
            assert error.span is not None, f"{text}\n{error}"
        except InternalError as error:
            raise AssertionError(f"{text}\n{error}") from error
        except PenstockError:
            assert fingerprint(self.db) == before, text
        except Exception as error:
            raise AssertionError(f"{text!r}: {type(error).__name__}: {error}") from error
        else:
            self._use(text)
            self.db.close()
            self.db = fresh()

    def _use(self, text: str) -> None:
        """What went through must also work, or fail as a query, on any data."""
        db = self.db
        try:
            if "S" in db.catalog.sources:
                db.insert("S", ROWS)
            for row in RAW:
                for topic in ("s", "l", "c"):
                    if topic in db.topic_names() and db._engine.log.topics()[topic].value_type is None:
                        db.produce(topic, key=row[0], value=row[1], timestamp=row[2])
            if "L" in db.catalog.sources:
                db.insert("L", [{"ID": 1, "V": 1}, {"V": None}])
            db.drain()
        except InternalError as error:
            raise AssertionError(f"{text}\n{error}") from error
        except PenstockError:
            pass
        except Exception as error:
            raise AssertionError(f"{text!r}: {type(error).__name__}: {error}") from error


LAST = 2**31 - 1
ROWS: list[dict[str, Any]] = [
    {},
    {"ID": 1, "V": 2, "W": 1.5, "NAME": "abc", "ITEMS": [1, None], "M": {"a": 1}, "R": {"A": 1, "B": "x"}},
    {"ID": LAST, "V": -LAST - 1, "W": float("nan"), "NAME": "", "ITEMS": [], "M": {}, "R": {}},
    {"ID": 0, "V": 0, "W": float("inf"), "NAME": "\0\U0001f600", "ITEMS": [LAST], "M": {"": None}, "P": 9999},
    {"ID": 1, "V": 1, "W": 1e308, "NAME": "%_\\", "B": b"\xff", "D": date.max, "T": datetime.max, "ROWTIME": 2**62},
    {"ID": 1, "V": 1, "D": date.min, "T": datetime(1, 1, 1), "ROWTIME": 0},
]
RAW: list[tuple[bytes | None, bytes | None, int]] = [
    (None, None, 0),
    (b"\0\0\0\1", None, 5),
    (b"x", b"x", 1),
    (b"\0\0\0\2", b'{"V": 1e999, "NAME": "\\ud800", "D": 999999999, "T": 9223372036854775807, "P": 1e9}', 2**63 - 1),
    (b"\0\0\0\2", b'{"V": null, "ITEMS": [null], "R": {"A": null}, "T": -9223372036854775808, "D": -99999}', 1),
    (b"\0\0\0\2", b'{"v": 3, "name": "x", "W": 1, "B": "AQ==", "P": "1.5", "M": {"x": 2147483647}}', 7),
]

BENCH: list[Bench] = []


def bench() -> Bench:
    if not BENCH:
        BENCH.append(Bench())
    return BENCH[0]


def test_the_statements_that_are_mutated_are_valid() -> None:
    """Else the mutations would test little."""
    for text in VALID:
        db = fresh()
        for result in db.execute(text + ";"):
            if hasattr(result, "subscription"):
                result.subscription.close()
        db.close()


@settings(max_examples=400)
@given(st.integers(0, 2**32))
def test_a_statement_that_fails_changes_nothing(seed: int) -> None:
    """Whatever is done to a valid statement: it works, or is refused by an error with a place, and nothing is changed."""
    bench().check(mutated(seed))


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_a_script_stops_at_its_first_error(first: int, second: int) -> None:
    """Statements before the one that fails stay executed; the failing one and those after it change nothing."""
    db = fresh()
    good = f"DEFINE a = '{first}'; CREATE STREAM Y (ID INT KEY, V INT) WITH (KAFKA_TOPIC='y{second}', PARTITIONS=1);"
    try:
        db.execute(good + "CREATE STREAM Z AS SELECT NOTHING FROM Y; CREATE STREAM N AS SELECT * FROM Y;")
    except StatementError as error:
        assert error.span is not None
        assert error.text is not None
        assert error.text[error.span.start : error.span.end] == "NOTHING"
    assert "Y" in db.catalog.sources
    assert not {"Z", "N"} & set(db.catalog.sources)
    assert {t for t in db.topic_names() if t not in "slc"} == {"F", "G", "ksql_processing_log", f"y{second}"}
    db.close()
