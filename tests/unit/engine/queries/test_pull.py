"""Pull queries: what they read, which keys they look up, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.engine.analysis.pull import PullPlan, analyse_pull
from penstock.engine.analysis.query import QueryContext
from penstock.engine.functions import load_built_ins
from penstock.errors import StatementError
from penstock.grammar import ast
from penstock.grammar.parse import parse_statement


def plan(bench: Any, text: str, **properties: str) -> PullPlan:
    """Analyse a pull query."""
    query = parse_statement(text + ";")
    assert isinstance(query, ast.Query)
    settings = {name.replace("_", "."): value for name, value in properties.items()}
    return analyse_pull(query, QueryContext(bench.catalog, load_built_ins(), settings))


def answer(bench: Any, text: str) -> list[dict[str, Any]]:
    """Run a pull query over a table, by lookup if it is one."""
    pull = plan(bench, text)
    bench.drain()
    (snapshot,) = bench.host.tables({"T": pull.query_id}).values()
    rows = snapshot.table() if pull.keys is None else snapshot.lookup(pull.keys)
    return list(pull.answer(rows).to_pylist())


@pytest.fixture
def counts(bench: Any) -> Any:
    """A table of counts by name, and a windowed one by id."""
    bench.source("CREATE STREAM S (ID INT KEY, NAME STRING)")
    bench.source("CREATE TABLE PLAIN (ID INT PRIMARY KEY, V INT)")
    bench.run("CREATE TABLE C AS SELECT NAME, COUNT(*) AS N FROM S GROUP BY NAME")
    bench.run("CREATE TABLE W AS SELECT ID, COUNT(*) AS N FROM S WINDOW TUMBLING (SIZE 10 MILLISECONDS) GROUP BY ID")
    bench.produce("S", [(1, {"NAME": "a"}, 1), (2, {"NAME": "b"}, 2), (1, {"NAME": "a"}, 13)])
    return bench


@pytest.mark.parametrize(
    ("where", "keys"),
    [
        ("NAME = 'a'", ["a"]),
        ("'a' = NAME AND N > 0", ["a"]),
        ("NAME IN ('a', 'b', 'a')", ["a", "b"]),
        ("NAME = 'a' OR (NAME = 'b' AND N = 1)", ["a", "b"]),
        ("NAME = 'a' AND NAME IN ('b', 'c')", []),
        ("NAME = 'a' OR N = 1", None),
        ("NAME > 'a'", None),
        ("NAME <> 'a'", None),
        ("UCASE(NAME) = 'A'", None),
    ],
)
def test_keys_are_looked_up_where_all_alternatives_name_them(counts: Any, where: str, keys: list[str] | None) -> None:
    """WHERE in disjunctive form gives the keys; anything else scans."""
    found = plan(counts, f"SELECT * FROM C WHERE {where}").keys
    assert (None if found is None else found[0].to_pylist()) == keys


def test_results(counts: Any) -> None:
    """Lookups and scans give the rows that WHERE is true for, with the selected columns."""
    assert answer(counts, "SELECT * FROM C WHERE NAME = 'a'") == [{"NAME": "a", "N": 2}]
    assert answer(counts, "SELECT * FROM C WHERE NAME = 'a' AND N > 2") == []
    assert answer(counts, "SELECT N * 2, NAME AS X, ROWTIME FROM C WHERE N < 2") == [
        {"KSQL_COL_0": 2, "X": "b", "ROWTIME": 2}
    ]
    assert len(answer(counts, "SELECT * FROM C LIMIT 1")) == 1


def test_windowed_tables_show_their_bounds(counts: Any) -> None:
    """The bounds come after the key, count as key, and can be compared with times as text."""
    pull = plan(counts, "SELECT * FROM W")
    assert [str(c) for c in pull.columns] == [
        "`ID` INTEGER KEY",
        "`WINDOWSTART` BIGINT KEY",
        "`WINDOWEND` BIGINT KEY",
        "`N` BIGINT",
    ]
    text = "SELECT * FROM W WHERE ID = 1 AND WINDOWSTART > '1970-01-01T00:00:00.000'"
    assert answer(counts, text) == [{"ID": 1, "WINDOWSTART": 10, "WINDOWEND": 20, "N": 1}]


def test_a_stream_is_read_by_a_query_that_ends(counts: Any) -> None:
    """The plan holds the resolved push query."""
    pull = plan(counts, "SELECT NAME, ID FROM S WHERE ID = 1 LIMIT 5")
    assert pull.stream is not None and pull.query_id is None
    assert [c.name for c in pull.columns] == ["NAME", "ID"]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM PLAIN",
        "SELECT * FROM C JOIN PLAIN ON C.N = PLAIN.ID",
        "SELECT NAME FROM C GROUP BY NAME",
        "SELECT NAME FROM C HAVING N > 1",
        "SELECT * FROM S PARTITION BY NAME",
        "SELECT * FROM C WINDOW TUMBLING (SIZE 1 SECOND)",
        "SELECT COUNT(*) FROM C",
        "SELECT COUNT(*) FROM S",
        "SELECT NAME, ROWPARTITION FROM C",
        "SELECT NAME FROM S WHERE ROWOFFSET = 1",
        "SELECT * FROM C WHERE WINDOWSTART = 1",
        "SELECT * FROM W WHERE WINDOWSTART > 1 AND WINDOWSTART > 2",
        "SELECT * FROM C WHERE N",
        "SELECT N, N FROM C",
    ],
)
def test_what_is_refused(counts: Any, text: str) -> None:
    """Clauses, columns and tables that pull queries cannot have."""
    with pytest.raises(StatementError):
        plan(counts, text)


def test_scans_can_be_switched_off(counts: Any) -> None:
    """Then a query needs its keys, or a range of a STRING key."""
    off = {"ksql_query_pull_table_scan_enabled": "false"}
    plan(counts, "SELECT * FROM C WHERE NAME = 'a'", **off)
    plan(counts, "SELECT * FROM C WHERE NAME > 'a'", **off)
    with pytest.raises(StatementError, match="scan"):
        plan(counts, "SELECT * FROM C WHERE N > 1", **off)
