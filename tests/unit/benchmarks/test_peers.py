"""The comparison with others: its events, its loops, and the answers of a small run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from benchmarks.peers import events
from benchmarks.peers.loops import LOOPS
from benchmarks.peers.more_loops import MORE_LOOPS
from benchmarks.peers.run import ALL, main


def test_events_are_those_of_the_site() -> None:
    """One person, three auctions and 46 bids of fifty; a longer run begins with a shorter one's events."""
    short, long = (list(events.blocks(n)) for n in (5_000, 250_000))
    assert {name: batch.num_rows for name, batch in short[0].items()} == {"persons": 100, "auctions": 300, "bids": 4_600}
    assert len(long) == 2
    for name, schema in events.STREAMS.items():
        assert short[0][name].schema == schema
        assert short[0][name].equals(long[0][name].slice(0, short[0][name].num_rows))


@pytest.mark.parametrize("name", ["q0", "q2", "q3", "q11", "q12", "q13", "q14", "q17", "q20", "q21", "q22"])
def test_loops_do_what_the_queries_say(name: str) -> None:
    """As many results as DuckDB's answer has rows."""
    made = next(iter(events.blocks(10_000)))
    tables: dict[str, Any] = {s: pa.Table.from_batches([made[s]]) for s in ALL[name].reads}
    connection = duckdb.connect()
    for stream, table in tables.items():
        connection.register(stream, table.append_column("place", pa.array(range(len(table)))))
    wanted = len(connection.sql(ALL[name].oracle).fetchall())
    assert sum(1 for _ in (LOOPS | MORE_LOOPS)[name](*(t.to_pylist() for t in tables.values()))) == wanted


@pytest.mark.xdist_group("processes")
def test_a_small_comparison(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It fills a database, runs a query, checks the answer against DuckDB's and prints ratios."""
    options = ["--events", "20000", "--repeat", "1", "--queries", "q4,q5,q13,q20", "--systems", "penstock,duckdb"]
    assert main([*options, "--data", str(tmp_path)]) == 0
    printed = capfd.readouterr().out
    assert "q4 " in printed and "q13 " in printed and "q5 " in printed and "q20 " in printed and "geometric means" in printed
