"""Changes: what the journal holds, applied when a database is opened, and never checked again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import Database, StorageError, connect
from penstock.engine import change_codec, journal
from penstock.engine import types as t
from penstock.engine.catalog import Catalog, DataSource, FormatInfo, QueryEntry, WindowInfo
from penstock.engine.changes import (
    AddQuery,
    Change,
    DropSource,
    DropType,
    EndQueries,
    NewTopic,
    PauseQueries,
    SetSource,
    SetType,
)
from penstock.engine.schema import Column, Schema
from penstock.engine.statements import definitions, recorded
from penstock.grammar import ast
from penstock.grammar.parse import parse_statement
from penstock.grammar.unparse import unparse
from penstock.runtime.clock import ManualClock
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import Records, TopicConfig

ROOT = Path(__file__).parents[3]
GOLDEN = sorted((ROOT / "tests" / "golden" / "queries").glob("*.sql"))
EXAMPLES = sorted((ROOT / "examples").glob("*/*.sql"))
EVERY_KIND = """
    CREATE TYPE pair AS STRUCT<`a b` INT, C ARRAY<DECIMAL(10, 2)>>;
    CREATE TYPE gone AS MAP<STRING, DOUBLE>;
    CREATE STREAM s (k INT KEY, v pair, h BYTES HEADER('x'), hs ARRAY<STRUCT<KEY STRING, VALUE BYTES>> HEADERS, ts BIGINT)
        WITH (KAFKA_TOPIC='s', PARTITIONS=2, REPLICAS=3, VALUE_FORMAT='JSON', RETENTION_MS=5000, TIMESTAMP='ts');
    CREATE STREAM small (a STRING) WITH (KAFKA_TOPIC='small', PARTITIONS=1, VALUE_FORMAT='DELIMITED', VALUE_DELIMITER=';');
    CREATE STREAM typed (k INT KEY, v INT) WITH (KAFKA_TOPIC='typed', PARTITIONS=1);
    CREATE OR REPLACE STREAM typed (k INT KEY, v INT, w DOUBLE) WITH (KAFKA_TOPIC='typed');
    ALTER STREAM small ADD COLUMN b INT;
    CREATE STREAM win (k STRING KEY, v INT)
        WITH (KAFKA_TOPIC='win', PARTITIONS=1, FORMAT='JSON', WINDOW_TYPE='TUMBLING', WINDOW_SIZE='3 SECONDS');
    CREATE SOURCE TABLE st (k INT PRIMARY KEY, v INT) WITH (KAFKA_TOPIC='typed', VALUE_FORMAT='ARROW');
    CREATE STREAM av (k INT KEY, v INT) WITH (KAFKA_TOPIC='av', PARTITIONS=1, VALUE_FORMAT='AVRO');
    CREATE STREAM inferred (k INT KEY) WITH (KAFKA_TOPIC='av', VALUE_FORMAT='AVRO');
    CREATE STREAM big AS SELECT * FROM typed WHERE v > 1;
    CREATE OR REPLACE STREAM big AS SELECT * FROM typed WHERE v > 2;
    SET 'penstock.internal.topics' = 'true';
    CREATE TABLE n AS SELECT v, COUNT(*) AS n FROM typed GROUP BY v;
    UNSET 'penstock.internal.topics';
    CREATE STREAM dead AS SELECT * FROM typed;
    INSERT INTO big SELECT * FROM typed;
    INSERT INTO big WITH (QUERY_ID='mine') SELECT * FROM typed;
    PAUSE CTAS_N_13;
    PAUSE mine;
    RESUME mine;
    TERMINATE INSERTQUERY_15;
    DROP STREAM dead DELETE TOPIC;
    CREATE STREAM dead (k INT KEY) WITH (KAFKA_TOPIC='DEAD', PARTITIONS=3, VALUE_FORMAT='JSON');
    DROP STREAM small;
    DROP TYPE gone;
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here crashes, so nothing need be on disk."""
    for sync in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, sync, lambda descriptor: None, raising=False)


def opened(path: Path, **settings: object) -> Database:
    return connect(path, threads=0, clock=ManualClock(5), settings={"auto.offset.reset": "earliest", **settings})


def plans(db: Database) -> dict[str, str]:
    return {query_id: handle.explain() for query_id, handle in db.queries.items()}


def is_same_again(path: Path, monkeypatch: pytest.MonkeyPatch, **settings: object) -> None:
    """The database in a directory has its catalog, plans and topics again, without one check."""
    with opened(path, **settings) as db:
        before, planned, topics = db.catalog, plans(db), dict(db._engine.log.topics())
    with monkeypatch.context() as patch:
        for module in (definitions, recorded):
            patch.setattr(module, "check", lambda *_: pytest.fail("a statement was checked again"))
        with opened(path, **settings) as db:
            assert db.catalog == before
            assert plans(db) == planned
            assert dict(db._engine.log.topics()) == topics


# --- every script -------------------------------------------------------------------------


def cases_of(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The statements of each case of a golden script, with what it sets."""
    from tests.golden_runner import read

    for case in read(path):
        yield "\n".join(case.statements), case.settings


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_a_golden_script_comes_back_as_it_was(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, (text, settings) in enumerate(cases_of(path)):
        with opened(tmp_path / str(number), **settings) as db:
            db.execute(text)
        is_same_again(tmp_path / str(number), monkeypatch, **settings)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_an_example_comes_back_as_it_was(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as db:
        if path.parent.name == "ksqldb-migration":  # its topics were there before
            for topic in ("customers", "orders"):
                db.create_topic(topic, partitions=3)
        db.execute(path.read_text(), path=path)
        assert db.queries
    is_same_again(tmp_path, monkeypatch)


def test_every_kind_of_change_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as db:
        db.execute(EVERY_KIND)
        assert {q.id: q.paused for q in db.catalog.queries.values()} == {
            "CST_ST_8": False,
            "CSAS_BIG_11": False,
            "CTAS_N_13": True,
            "MINE": False,
        }
        kinds = {type(entry.change) for entry in db._engine.journal.entries()}
    assert kinds == {SetSource, AddQuery, DropSource, EndQueries, PauseQueries, SetType, DropType}
    is_same_again(tmp_path, monkeypatch)


# --- what the journal looked like before ---------------------------------------------------


def as_before(entry: journal.JournalEntry) -> dict[str, Any]:
    """An entry as it was written before entries held changes: the statement, and what was looked up."""
    found: dict[str, Any] = {"statement": entry.statement, "properties": dict(entry.properties), "clock": 5}
    match entry.change:
        case SetSource(source=source):
            statement = parse_statement(entry.statement)
            if isinstance(statement, ast.CreateSource):  # it was written with the columns that the registry gave
                columns = ", ".join(f"`{c.name}` {c.type}{_role(c, source)}" for c in source.schema)
                filled = parse_statement(f"CREATE STREAM x ({columns}) WITH (KAFKA_TOPIC='x');")
                assert isinstance(filled, ast.CreateSource)
                found["statement"] = unparse(replace(statement, columns=filled.columns))
            if not isinstance(statement, ast.AlterSource):
                found["topic"] = (source.topic, source.partitions)
        case DropSource(deleted=tuple(deleted)):
            found["deleted"] = deleted
    return found


def _role(column: Column, source: DataSource) -> str:
    if column.role == "KEY":
        return " KEY" if source.kind == "STREAM" else " PRIMARY KEY"
    return {"VALUE": "", "HEADERS": " HEADERS", "HEADER": f" HEADER('{column.header}')"}[column.role]


def rewrite(path: Path, entries: list[Mapping[str, Any]]) -> None:
    """Put other entries into the journal of a closed database."""
    log = LocalLog.open(path)
    log.delete_topic(journal.TOPIC)
    log.create_topic(journal.TOPIC, TopicConfig(internal=True))
    for entry in entries:
        transaction = log.transaction()
        encoded = pa.array([msgspec.json.encode(entry)], pa.binary())
        transaction.append(journal.TOPIC, Records(None, encoded, np.array([5], np.int64)), 0)
        transaction.commit()
    log.close()


def made(path: Path, text: str, **settings: object) -> tuple[Any, dict[str, str], list[journal.JournalEntry]]:
    with opened(path, **settings) as db:
        db.execute(text)
        return db.catalog, plans(db), list(db._engine.journal.entries())


def without_texts(catalog: Catalog) -> tuple[Any, ...]:
    """The catalog but for the texts of statements, which were kept with their inferred columns."""
    sources = {name: replace(s, statement="") for name, s in catalog.sources.items()}
    return sources, dict(catalog.types), {i: replace(q, statement="") for i, q in catalog.queries.items()}


def test_a_journal_of_before_is_read(tmp_path: Path) -> None:
    """Its statements stand for the changes that are written today."""
    before, planned, entries = made(tmp_path, EVERY_KIND)
    rewrite(tmp_path, [as_before(entry) for entry in entries])
    with opened(tmp_path) as db:
        assert without_texts(db.catalog) == without_texts(before)
        assert plans(db) == planned
        db.execute("CREATE STREAM later AS SELECT * FROM typed;")
        later = db.catalog
    with opened(tmp_path) as db:
        assert db.catalog == later


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_the_journal_of_a_golden_script_could_be_of_before(path: Path, tmp_path: Path) -> None:
    for number, (text, settings) in enumerate(cases_of(path)):
        before, planned, entries = made(tmp_path / str(number), text, **settings)
        rewrite(tmp_path / str(number), [as_before(entry) for entry in entries])
        with opened(tmp_path / str(number), **settings) as db:
            assert without_texts(db.catalog) == without_texts(before)
            assert plans(db) == planned


def test_an_unfinished_statement_of_before_is_finished(tmp_path: Path) -> None:
    """The topic of the last entry is made, if a crash came before."""
    entry = {
        "statement": "CREATE STREAM s (k INT KEY, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=3, VALUE_FORMAT='JSON')",
        "properties": {},
        "clock": 5,
        "topic": ["s", 3],
    }
    opened(tmp_path).close()
    rewrite(tmp_path, [entry])
    with opened(tmp_path) as db:
        assert db.topic_names() == ["ksql_processing_log", "s"]
        assert len(db.describe_topic("s").partitions) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "Nothing"},
        {},
        {"kind": "SetType", "name": "x", "type": ["NUMBER"]},
        {"kind": "SetType", "name": "x", "type": "NUMBER"},
        {"kind": "SetSource", "source": {"name": "x"}},
        {"kind": "DropType", "name": "x", "other": 1},
        [],
        "SetType",
    ],
)
def test_an_entry_that_is_no_change_is_an_error_that_names_it(change: Any, tmp_path: Path) -> None:
    """Never another catalog."""
    opened(tmp_path).close()
    rewrite(tmp_path, [{"text": "x", "properties": {}, "clock": 5, "change": change}])
    with pytest.raises(StorageError, match="offset 0"):
        opened(tmp_path)


def test_a_query_that_is_gone_needs_no_functions(tmp_path: Path) -> None:
    """Only queries that are left are planned when a database is opened."""
    from penstock.engine.functions.registry import Registry

    text = """CREATE STREAM s (a INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);
        CREATE STREAM d AS SELECT ABS(a) AS b FROM s;"""
    with opened(tmp_path) as db:
        db.execute(text)
    empty = Registry()
    with pytest.raises(StorageError, match="statement 1 of the journal cannot be replayed"):
        connect(tmp_path, threads=0, registry=empty)
    with opened(tmp_path) as db:
        db.execute("DROP STREAM d;")
    with connect(tmp_path, threads=0, registry=empty) as db:
        assert set(db.catalog.sources) == {"S", "KSQL_PROCESSING_LOG"}


@pytest.mark.parametrize("statement", ["CREATE STREAM d AS SELECT * FROM s;", "DROP STREAM s;"])
def test_after_a_failure_that_nobody_foresaw_the_journal_counts(statement: str, tmp_path: Path) -> None:
    """No further statement is taken; opening the database finishes the one in hand."""
    db = opened(tmp_path)
    db.execute("CREATE STREAM s (a INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1);")
    with (
        mock.patch.object(SetSource, "on", side_effect=MemoryError),
        mock.patch.object(DropSource, "on", side_effect=MemoryError),
        pytest.raises(MemoryError),
    ):
        db.execute(statement)
    with pytest.raises(StorageError, match="is in the journal, but cannot be finished"):
        db.execute("CREATE TYPE t AS INT;")
    db.close()
    with opened(tmp_path) as db:
        assert ("D" in db.catalog.sources) is statement.startswith("CREATE")
        assert ("S" in db.catalog.sources) is statement.startswith("CREATE")
        db.execute("CREATE TYPE t AS INT;")


# --- the codec ------------------------------------------------------------------------------

NAMES = st.text(min_size=1, max_size=5)
TYPES: st.SearchStrategy[t.SqlType] = st.recursive(
    st.sampled_from(list(t.Primitive)) | st.builds(t.Decimal, st.just(9), st.integers(0, 9)),
    lambda inner: (
        st.builds(t.Array, inner)
        | st.builds(t.Map, inner, inner)
        | st.builds(t.Struct, st.lists(st.tuples(NAMES, inner), max_size=3).map(tuple))
    ),
    max_leaves=6,
)
FORMATS = st.builds(FormatInfo, NAMES, st.dictionaries(NAMES, NAMES, max_size=2), st.frozensets(NAMES, max_size=2))
COLUMNS = st.builds(Column, NAMES, TYPES, st.sampled_from(("KEY", "VALUE", "HEADERS", "HEADER")), st.none() | NAMES)
SOURCES = st.builds(
    DataSource,
    NAMES,
    st.sampled_from(("STREAM", "TABLE")),
    st.builds(Schema, st.lists(COLUMNS, max_size=3).map(tuple)),
    NAMES,
    FORMATS,
    FORMATS,
    st.integers(1, 99),
    st.none() | st.builds(WindowInfo, st.just("SESSION"), st.none() | st.integers(1, 9)),
    st.none() | NAMES,
    st.none() | NAMES,
    st.booleans(),
    st.none() | NAMES,
    NAMES,
)
IDS = st.lists(NAMES, max_size=3).map(tuple)
QUERIES = st.builds(
    QueryEntry, NAMES, st.just("CSAS"), NAMES, IDS, NAMES, st.integers(0, 9), st.dictionaries(NAMES, NAMES), st.booleans()
)
TOPICS = st.builds(NewTopic, st.integers(1, 9), st.integers(1, 9), st.just("compact,delete"), st.none() | st.integers(0, 9))
CHANGES: st.SearchStrategy[Change] = st.one_of(
    st.builds(SetSource, SOURCES, st.none() | QUERIES, st.none() | TOPICS),
    st.builds(AddQuery, QUERIES),
    st.builds(DropSource, NAMES, st.none() | NAMES, st.none() | st.tuples(NAMES, st.integers(0, 9))),
    st.builds(EndQueries, IDS),
    st.builds(PauseQueries, IDS, st.booleans()),
    st.builds(SetType, NAMES, TYPES),
    st.builds(DropType, NAMES),
)


@given(CHANGES)
def test_a_change_is_the_same_after_a_round_through_json(change: Change) -> None:
    """Whatever is in it."""
    written = msgspec.json.encode(change_codec.to_plain(change))
    assert change_codec.from_plain(msgspec.json.decode(written)) == change
