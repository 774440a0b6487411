"""Random histories of statements: a database that is opened again has the same catalog, queries and rows as before.

Statements that are refused are part of a history: they must leave no trace.
"""

from __future__ import annotations

import contextlib
import tempfile
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.engine.database import Database, connect
from penstock.errors import StatementError
from penstock.runtime.clock import ManualClock

SOURCES = ("a", "b")
DERIVED = ("x", "y")
FORMATS = ("JSON", "ARROW", "AVRO")


def _source(name: str, format_: str, kind: str, head: str, extra: bool) -> str:
    key = "KEY" if kind == "STREAM" else "PRIMARY KEY"
    more = ", w STRING" if extra else ""
    return (
        f"{head} {kind} {name} (k INT {key}, v INT{more}) "
        f"WITH (KAFKA_TOPIC='{name}', VALUE_FORMAT='{format_}', PARTITIONS=1);"
    )


def _derived(name: str, source: str, head: str, limit: int, copy: bool) -> str:
    columns = "k, v, v + 1 AS u" if copy else "k, v"
    return f"{head} STREAM {name} WITH (KAFKA_TOPIC='{name}_t') AS SELECT {columns} FROM {source} WHERE v > {limit};"


sources, derived = st.sampled_from(SOURCES), st.sampled_from(DERIVED)
heads = st.sampled_from(("CREATE", "CREATE OR REPLACE"))
statements = st.one_of(
    st.builds(
        _source, sources, st.sampled_from(FORMATS), st.sampled_from(("STREAM", "STREAM", "TABLE")), heads, st.booleans()
    ),
    st.builds(_derived, derived, st.sampled_from(SOURCES + DERIVED), heads, st.integers(0, 2), st.booleans()),
    st.builds(
        lambda name, source: f"CREATE TABLE {name} AS SELECT k, COUNT(*) AS n FROM {source} GROUP BY k;", derived, sources
    ),
    st.builds(lambda kind, name: f"ALTER {kind} {name} ADD COLUMN z INT;", st.sampled_from(("STREAM", "TABLE")), sources),
    st.builds(
        lambda kind, name, end: f"DROP {kind} IF EXISTS {name}{end};",
        st.sampled_from(("STREAM", "STREAM", "TABLE")),
        st.sampled_from(SOURCES + DERIVED),
        st.sampled_from(("", " DELETE TOPIC")),
    ),
    st.builds(lambda target, source: f"INSERT INTO {target} SELECT k, v FROM {source};", derived, sources),
    st.builds(
        lambda name, k, v: f"INSERT INTO {name} (k, v) VALUES ({k}, {v});", sources, st.integers(0, 3), st.integers(0, 4)
    ),
    st.sampled_from(("PAUSE ALL;", "RESUME ALL;", "TERMINATE ALL;", "CREATE TYPE t AS INT;", "DROP TYPE t;")),
)


def picture(db: Database) -> Any:
    """All that statements decide: the catalog, the states of queries, topics, and the rows of everything."""
    rows = {}
    for name, source in db.catalog.sources.items():
        rows[name] = [(r.key, r.value, r.timestamp) for r in db.consume(source.topic)]
    views = {n: s for n, s in db.catalog.sources.items() if s.kind == "TABLE" and s.query_id is not None}
    kept = {n: sorted(db.sql(f"SELECT * FROM `{n}`;").fetchall(), key=repr) for n in views}
    states = {query_id: (handle.state, handle.lag) for query_id, handle in db.queries.items()}
    planned = {query_id: handle.explain() for query_id, handle in db.queries.items()}
    return db.catalog, states, planned, db.topic_names(), rows, kept, db._engine.journal.next_offset


def opened(path: str) -> Database:
    """Nothing runs by itself."""
    return connect(path, threads=0, clock=ManualClock(5), settings={"auto.offset.reset": "earliest"})


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(statements, min_size=3, max_size=25), st.sets(st.integers(0, 24), max_size=3))
def test_a_history_replays_to_the_same_database(history: list[str], reopened_after: set[int]) -> None:
    """However often it is closed in between; ids of queries are never given twice."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/db"
        seen: dict[str, str] = {}
        db = opened(path)
        try:
            for number, statement in enumerate(history):
                with contextlib.suppress(StatementError):  # refused ones are part of the history
                    db.execute(statement)
                db.drain()
                for query_id, query in db.catalog.queries.items():
                    created = seen.setdefault(query_id, query.sink)
                    assert created == query.sink, f"the id {query_id} was given twice"
                if number in reopened_after or number == len(history) - 1:
                    before = picture(db)
                    db.close()
                    db = opened(path)
                    assert picture(db) == before
        finally:
            db.close()
