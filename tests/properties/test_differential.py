"""Random queries over random rows end with what DuckDB makes of the same rows.

1,000 queries by default (``PENSTOCK_DIFFERENTIAL=20000`` for more), 50 of them at a time over one set of sources with
nulls, duplicates and disorder in time, on one partition or on three by turns (on both, for more than 1,000).  A failure
prints the seed, the statements, DuckDB's SQL and the rows that differ; ``PENSTOCK_DIFFERENTIAL_SEED=1234`` runs that query
alone.
"""

from __future__ import annotations

import math
import os
import struct
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from penstock.engine.database import Database, connect
from penstock.errors import PenstockError
from penstock.tests.properties.differential_expressions import COLUMNS, MACROS
from penstock.tests.properties.differential_queries import FLUSH_MS, KINDS, Query, query

QUERIES = int(os.environ.get("PENSTOCK_DIFFERENTIAL", "1000"))
CHUNK = 50
ONLY = os.environ.get("PENSTOCK_DIFFERENTIAL_SEED")
CHUNKS = range(-(-QUERIES // CHUNK)) if ONLY is None else [int(ONLY) // CHUNK]

ARROW = {
    "INT": pa.int32(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "DECIMAL(9, 2)": pa.decimal128(9, 2),
    "STRING": pa.string(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIME": pa.time32("ms"),
    "TIMESTAMP": pa.timestamp("ms"),
}
SCHEMA = pa.schema([("k", pa.int32()), *((c, ARROW[word]) for c, word in COLUMNS.items()), ("n", pa.float64())])
STREAM_ROWS, TABLE_ROWS, KEYS = 160, 40, 12
DISORDER_MS = 30_000
FLUSH_KEY = 1000


# --- data ----------------------------------------------------------------------------------


def value(random: Random, name: str) -> Any:
    """A value of a column, null in one of seven."""
    if random.random() < 1 / 7:
        return None
    choose = random.choice
    match name:
        case "i":
            return choose((0, 1, 2, 3, -1, -7, 100, 2**31 - 1, -(2**31)))
        case "j":
            return random.randrange(-3, 10)
        case "l":
            return choose((0, 1, -1, 3_000_000_000, 2**63 - 1, -(2**63), 12))
        case "d":
            return choose((0.0, 1.5, -2.25, 3.0, 1e10, 0.1, -0.3))
        case "n":
            return choose((math.nan, math.inf, -math.inf, 1.0, -0.5))
        case "p":
            return Decimal(random.randrange(-999, 1000)).scaleb(-2)
        case "s":
            return choose(("", "a", "ab", "B", " b ", "12", " -7", "x1", "caf\u00e9"))
        case "w":
            return choose(("a", "b", "A", "99999999999"))
        case "b":
            return random.random() < 0.5
        case "dt":
            return date(2020, 2, 26) + timedelta(days=random.randrange(6)) if random.random() < 0.8 else date(1969, 12, 31)
        case "tm":
            return time(random.randrange(24), 30)
    return (
        datetime(2020, 2, 28, random.randrange(24), 59, 59, 999_000) if random.random() < 0.8 else datetime(1969, 12, 31, 23)
    )


def rows(random: Random, count: int, nulls: bool) -> list[dict[str, Any]]:
    """Rows of a source; ``nulls``: keys may be null, too.  One in five repeats another but for its time."""
    made: list[dict[str, Any]] = []
    for _ in range(count):
        if made and random.random() < 0.2:
            row = dict(random.choice(made))
        else:
            row = {name: value(random, name) for name in SCHEMA.names[1:]}
            row["k"] = None if nulls and random.random() < 0.1 else random.randrange(KEYS)
        row["rowtime"] = random.randrange(DISORDER_MS)
        made.append(row)
    return made


class Sources:
    """The rows of all sources, in the order of their insertion: tables (with deletions) first.

    X and Y take turns, a second each, and so rise together in time.
    """

    def __init__(self, seed: int) -> None:
        random = Random(f"rows {seed}")
        self.streams = {name: rows(random, STREAM_ROWS, True) for name in "SRXY"}
        for name, odd in (("X", 0), ("Y", 1)):
            for row in self.streams[name]:
                row["rowtime"] = row["rowtime"] // 2000 * 2000 + odd * 1000 + row["rowtime"] % 1000
            self.streams[name].sort(key=lambda row: row["rowtime"])
        self.tables = {name: rows(random, TABLE_ROWS, False) for name in "TU"}
        self.deleted = {name: [random.randrange(KEYS) for _ in range(2)] for name in "TU"}

    def connect(self) -> Any:
        """DuckDB holding them."""
        connection = duckdb.connect()
        connection.execute(MACROS)
        columns = "* REPLACE (ts::TIMESTAMP AS ts)"
        for name, made in {**self.streams, **self.tables}.items():
            table = as_arrow(made).append_column("pos", pa.array(range(len(made)), pa.int64()))
            connection.register("rows", table)
            if name in self.streams:
                connection.execute(f"CREATE TABLE {name} AS SELECT {columns} FROM rows")
            else:
                gone = ", ".join(map(str, self.deleted[name]))
                last = "QUALIFY row_number() OVER (PARTITION BY k ORDER BY pos DESC) = 1"
                connection.execute(f"CREATE TABLE {name} AS SELECT {columns} FROM rows WHERE k NOT IN ({gone}) {last}")
            connection.unregister("rows")
        return connection

    def insert(self, database: Database) -> None:
        for name, made in self.tables.items():
            half = len(made) // 2
            database.insert(name, as_arrow(made[:half]))
            database.insert(name, as_arrow(made[half:]))
            for key in self.deleted[name]:
                database.produce(name, key=struct.pack(">i", key), value=None, timestamp=DISORDER_MS)
        for start in range(0, STREAM_ROWS, 40):
            for name in "SR":
                database.insert(name, as_arrow(self.streams[name][start : start + 40]))
        for second in range(DISORDER_MS // 1000):
            name = "XY"[second % 2]
            if part := [row for row in self.streams[name] if row["rowtime"] // 1000 == second]:
                database.insert(name, as_arrow(part))

    def flush(self, database: Database) -> None:
        """Rows that no group and no key of the others has, long after them, in every partition of all streams."""
        for name in "SRXY":
            made = [
                {"k": FLUSH_KEY + key, "j": FLUSH_KEY + key, "s": f"flush {key}", "w": f"flush {key}", "rowtime": FLUSH_MS}
                for key in range(20)
            ]
            database.insert(name, as_arrow(made))


def as_arrow(made: Sequence[dict[str, Any]]) -> pa.Table:
    columns = {field.name: pa.array([row.get(field.name) for row in made], field.type) for field in SCHEMA}
    return pa.table({**columns, "rowtime": pa.array([row["rowtime"] for row in made], pa.int64())})


# --- running -------------------------------------------------------------------------------


def found_by_us(sources: Sources, queries: Sequence[Query], partitions: int) -> dict[int, Any]:
    """The finished result of every query as rows, or the error that it ended with."""
    settings = {"processing.order": "arrival", "auto.offset.reset": "earliest"}
    found: dict[int, Any] = {}
    with connect(None, threads=0, settings=settings) as database:
        columns = ", ".join(f"{name} {type_}" for name, type_ in {**COLUMNS, "n": "DOUBLE"}.items())
        for name, kind in (
            ("S", "STREAM"),
            ("R", "STREAM"),
            ("X", "STREAM"),
            ("Y", "STREAM"),
            ("T", "TABLE"),
            ("U", "TABLE"),
        ):
            key = "KEY" if kind == "STREAM" else "PRIMARY KEY"
            database.execute(
                f"CREATE {kind} {name} (k INT {key}, {columns}) WITH (KAFKA_TOPIC='{name}', PARTITIONS={partitions},"
                " KEY_FORMAT='KAFKA', VALUE_FORMAT='ARROW');"
            )
        sources.insert(database)
        for q in queries:
            try:
                for statement in q.statements:
                    database.execute(statement)
            except PenstockError as error:
                found[q.seed] = error
        database.drain()
        if any("stream-stream" in q.kind for q in queries):
            for q in queries:
                if q.seed not in found and "stream-stream" not in q.kind:
                    found[q.seed] = result_of(database, q)
            sources.flush(database)
            database.drain()
        for q in queries:
            if q.seed not in found:
                found[q.seed] = result_of(database, q)
    return found


def result_of(database: Database, q: Query) -> Any:
    try:
        return table_rows(database.sql(f"SELECT * FROM {q.result};").arrow(), flushed=True)
    except PenstockError as error:
        return error


def table_rows(table: Any, flushed: bool = False) -> list[tuple[Any, ...]]:
    """Rows in an order that does not depend on the last digit of a floating-point number."""
    made = [tuple(map(plain, row.values())) for row in table.to_pylist()]
    if flushed:
        made = [row for row in made if not is_flush(row[0])]
    return sorted(made, key=lambda row: ([repr(v) for v in row if not isinstance(v, float)], [repr(v) for v in row]))


def is_flush(key: Any) -> bool:
    return (isinstance(key, int) and key >= FLUSH_KEY) or (isinstance(key, str) and key.startswith("flush "))


def plain(item: Any) -> Any:
    """Decimals without trailing zeros, and -0.0 as 0.0: SQL's equality does not tell them apart."""
    if isinstance(item, Decimal):
        return item.normalize() + 0
    if isinstance(item, list):
        return tuple(map(plain, item))
    return item + 0.0 if isinstance(item, float) else item


def same(ours: Any, theirs: Any) -> bool:
    """Equal, or floating-point numbers that differ as sums in another order do."""
    if isinstance(ours, float) and isinstance(theirs, float):
        return (math.isnan(ours) and math.isnan(theirs)) or math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-6)
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return type(ours) is type(theirs) and bool(ours == theirs)


def difference(ours: Any, theirs: list[tuple[Any, ...]]) -> str | None:
    """What differs, as text; None if nothing does."""
    if isinstance(ours, Exception):
        return f"it fails: {ours}"
    if len(ours) == len(theirs) and all(map(same, ours, theirs)):
        return None
    rest = list(theirs)
    extra = []
    for row in ours:
        match = next((i for i, other in enumerate(rest) if same(row, other)), None)
        if match is None:
            extra.append(row)
        else:
            del rest[match]
    if not extra and not rest:
        return None
    return "\n".join([f"  only ours:   {row}" for row in extra[:5]] + [f"  only DuckDB: {row}" for row in rest[:5]])


def check(queries: Sequence[Query], rows_seed: int, partitions: int) -> None:
    """Raises: AssertionError, with all that differ."""
    sources = Sources(rows_seed)
    found = found_by_us(sources, queries, partitions)
    wrong = []
    with sources.connect() as connection:
        for q in queries:
            try:
                text = difference(found[q.seed], table_rows(connection.sql(q.duck).to_arrow_table()))
            except duckdb.Error as error:
                text = f"  DuckDB refuses: {error}"
            if text is not None:
                wrong.append(f"{q}\n{text}")
    assert not wrong, f"{len(wrong)} of {len(queries)} on {partitions} partitions\n\n" + "\n\n".join(wrong)


@pytest.mark.parametrize("chunk", CHUNKS)
def test_queries_end_as_in_duckdb(chunk: int) -> None:
    """Each of a chunk's random queries, over the chunk's rows."""
    seeds = range(chunk * CHUNK, min((chunk + 1) * CHUNK, QUERIES)) if ONLY is None else [int(ONLY)]
    both = QUERIES > 1000 or ONLY is not None
    for partitions in (1, 3) if both else ((1, 3)[chunk % 2],):
        check([query(seed) for seed in seeds], chunk, partitions)


def test_all_kinds_of_queries_are_among_them() -> None:
    """A thousand seeds reach every family, dozens of times each."""
    kinds = Counter(query(seed).kind for seed in range(1000))
    families = {family: sum(n for kind, n in kinds.items() if kind.startswith(family)) for family in KINDS}
    assert min(families.values()) >= 40, families


WRONG = {
    "a row too many": ("CREATE STREAM Q0 AS SELECT k, i AS c FROM S WHERE i > 1;", "SELECT k, i FROM S WHERE i >= 1"),
    "logic of three values": ("CREATE STREAM Q0 AS SELECT k FROM S WHERE NOT (i = 1);", "SELECT k FROM S WHERE NOT (i = 1)"),
    "a wrong value": ("CREATE STREAM Q0 AS SELECT k, LEN(s) AS c FROM S;", "SELECT k, length(s) + 1 FROM S"),
    "duplicates lost": ("CREATE STREAM Q0 AS SELECT k, b AS c FROM S;", "SELECT DISTINCT k, b FROM S"),
    "nulls counted": (
        "CREATE TABLE Q0 AS SELECT k, COUNT(i) AS c FROM S GROUP BY k;",
        "SELECT k, count(*) FROM S WHERE k IS NOT NULL GROUP BY k",
    ),
    "a wrong window": (
        "CREATE TABLE Q0 AS SELECT k, COUNT(*) AS c FROM S WINDOW TUMBLING (SIZE 2 SECONDS, GRACE PERIOD 1 DAY) GROUP BY k;",
        "SELECT k, rowtime // 1000 * 1000, rowtime // 1000 * 1000 + 2000, count(*) FROM S WHERE k IS NOT NULL GROUP BY ALL",
    ),
    "the first row of a key": (
        "CREATE TABLE Q0 AS SELECT k, COUNT(*) AS c, LATEST_BY_OFFSET(j) AS l FROM S GROUP BY k;",
        "SELECT k, count(*), arg_min(j, pos) FILTER (j IS NOT NULL) FROM S WHERE k IS NOT NULL GROUP BY k",
    ),
    "a join without padding": (
        "CREATE STREAM Q0 AS SELECT a.k AS k, a.i AS c, b.i AS d FROM S a LEFT JOIN T b ON a.k = b.k;",
        "SELECT a.k, a.i, b.i FROM S a JOIN T b ON a.k = b.k",
    ),
    "a sum a little off": (
        "CREATE TABLE Q0 AS SELECT k, SUM(d) AS c FROM S GROUP BY k;",
        "SELECT k, sum(d) * 1.000001 FROM S WHERE k IS NOT NULL GROUP BY k",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_found(name: str) -> None:
    """Translations that are wrong on purpose, each in one rule, do not pass; the failure names seed and statements."""
    statement, duck = WRONG[name]
    with pytest.raises(AssertionError) as caught:
        check([Query(0, "wrong on purpose", (statement,), "Q0", duck)], 0, 1)
    assert "seed 0" in str(caught.value) and statement in str(caught.value) and "only " in str(caught.value)
