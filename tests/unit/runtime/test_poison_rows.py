"""Rows that an operator or a sink cannot take: each is found, left out and logged, whatever it is that fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.errors import DataError
from penstock.runtime.dataflow import Dataflow, Exchange, OperatorNode, Sink, Tap
from penstock.runtime.host import QueryHost
from penstock.runtime.kernel import Evaluated
from penstock.runtime.operators.filter import Filter
from penstock.runtime.operators.table_source import TableSource
from penstock.runtime.processing_log import TOPIC
from penstock.runtime.query.ledger import NoLedger
from penstock.runtime.query.lifecycle import QueryRun
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import Records
from penstock.tests.unit.runtime.test_queries import (
    KEY,
    VALUE,
    KeptCheckpoints,
    key_serde,
    make_log,
    produce,
    rows_of,
    source,
)

POISON = {13, 14, 40, 77}
ROWS = [(i % 7, i) for i in range(100)]
GOOD = [(k, v) for k, v in ROWS if v not in POISON]


class Picky:
    """A predicate that lets all rows pass, and raises if one of a batch is poison."""

    def __init__(self, error: Callable[[], BaseException] = lambda: ValueError("poison")) -> None:
        self.calls = 0
        self._error = error

    def __call__(self, columns: Sequence[Any], length: int) -> Evaluated:
        self.calls += 1
        if POISON & set(columns[1].to_pylist()):
            raise self._error()
        return Evaluated(pa.array([True] * length))


def keeping(picky: Any, partitions: int = 1) -> Dataflow:
    """A table, then what cannot take some rows: when it fails, the table has changed already."""
    schema = pa.schema([*KEY, *VALUE])
    return Dataflow(
        (
            source(is_table=True),
            Exchange("Exchange", 0, key_serde()),
            OperatorNode("Table", (1,), lambda context: TableSource(context, schema, 1)),
            OperatorNode("Filter", (2,), lambda context: Filter(context, picky)),
            Sink("Sink", 3, "out", key_serde(), None, is_table=True),
        ),
        partitions,
        every_update=True,
    )


def contents(run: QueryRun) -> dict[int, int]:
    with run.lock:
        rows = [r for t in run.tasks() for r in t.operators[2].stores[0].snapshot().table().to_pylist()]
    return {row["K"]: row["V"] for row in rows}


def logged(log: LocalLog) -> list[tuple[int, int, str]]:
    """Partition, offset and text of each report."""
    records = log.read(TOPIC, 0, 0, rows_max=1_000)
    found = []
    for row in records.values.to_pylist():
        message = row["MESSAGE"]
        place = message["recordProcessingError"] or message["serializationError"]
        found.append((place["partition"], place["offset"], place["errorMessage"]))
    return found


@pytest.mark.parametrize("rows_max", [1, 2, 7, 64, 1000])
@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("partitions", [1, 3])
def test_rows_at_fault_are_left_out(rows_max: int, kept: bool, partitions: int) -> None:
    """However the input is cut into steps: the same rows are written, the same state is kept, the same rows are logged."""
    log = make_log(partitions)
    host = QueryHost(log, KeptCheckpoints() if kept else None, threads=0, rows_max=rows_max)
    run = host.start("Q", replace(keeping(Picky()), order="arrival"), 1)
    produce(log, ROWS)
    host.drain()
    assert sorted(rows_of(log)) == sorted(GOOD)
    assert contents(run) == dict(GOOD)
    assert (run.status.account.read, run.status.account.bad, run.status.account.used) == (100, 4, 96)
    assert (run.state, run.status.lag) == ("RUNNING", 0)
    if partitions == 1:
        assert logged(log) == [(0, v, "ValueError: poison") for v in sorted(POISON)]
        assert rows_of(log) == GOOD
    else:
        assert len(logged(log)) == 4


@pytest.mark.parametrize("error", [DataError("poison"), KeyError(1), SystemExit(1), GeneratorExit()], ids=repr)
def test_whatever_is_raised(error: BaseException) -> None:
    """No kind of error stops the query."""
    log = make_log()
    host = QueryHost(log, KeptCheckpoints(), threads=0)
    run = host.start("Q", keeping(Picky(lambda: error)), 1)
    produce(log, ROWS)
    host.drain()
    assert contents(run) == dict(GOOD) and rows_of(log) == GOOD


def test_workers_with_commits_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """On workers, where the commit of one step runs beside the computation of the next: the same."""
    monkeypatch.setattr("penstock.runtime.query.stepping.PARALLEL_ROWS_MIN", 5)
    for kept in (KeptCheckpoints(), None):
        log = make_log()
        host = QueryHost(log, kept, threads=2, rows_max=10)
        run = host.start("Q", keeping(Picky()), 1)
        produce(log, ROWS)
        assert host.wait_idle(20)
        assert (contents(run), rows_of(log)) == (dict(GOOD), GOOD)
        assert (run.status.account.read, run.status.account.bad) == (100, 4)
        host.close()


class PickySerde:
    """A serde for keys that cannot write some of them, and says so by raising."""

    def __init__(self) -> None:
        self._serde = key_serde()

    def encode(self, columns: Sequence[Any], schema: Any, absent: Any = None) -> Any:
        if {2, 5} & set(columns[0].to_pylist()):
            raise TypeError("cannot be written")
        return self._serde.encode(columns, schema, absent)

    def decode(self, data: Any, schema: Any) -> Any:
        return self._serde.decode(data, schema)


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("kept", [False, True])
def test_rows_that_a_sink_cannot_take(threads: int, kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """They fail in the commit, beside the next step, and are found all the same."""
    monkeypatch.setattr("penstock.runtime.query.stepping.PARALLEL_ROWS_MIN", 5)
    log = make_log()
    host = QueryHost(log, KeptCheckpoints() if kept else None, threads=threads, rows_max=10)
    schema = pa.schema([*KEY, *VALUE])
    dataflow = Dataflow(
        (
            source(is_table=True),
            OperatorNode("Table", (0,), lambda context: TableSource(context, schema, 1)),
            Sink("Sink", 1, "out", PickySerde(), None, is_table=True),  # type: ignore[arg-type]
        ),
        1,
        every_update=True,
    )
    run = host.start("Q", dataflow, 1)
    produce(log, ROWS)
    assert host.wait_idle(20)
    assert run.state == "RUNNING", run.error
    wanted = [(k, v) for k, v in ROWS if k not in (2, 5)]
    assert rows_of(log) == wanted
    with run.lock:
        (task,) = run.tasks()
        assert {r["K"] for r in task.operators[1].stores[0].snapshot().table().to_pylist()} == {0, 1, 3, 4, 6}
    assert run.status.account.bad == len(ROWS) - len(wanted) == len(logged(log))
    assert "TypeError: cannot be written" in logged(log)[0][2]
    host.close()


def test_a_push_query_goes_on_behind_the_row() -> None:
    """A transient query with state goes back in memory; its reader sees the good rows once."""
    log = make_log()
    host = QueryHost(log, KeptCheckpoints(), threads=0)
    nodes = keeping(Picky()).nodes
    rows = host.pushes.subscribe(
        lambda receive: Dataflow((*nodes[:4], Tap("Tap", 3, receive)), 1, every_update=True), ("K", "V")
    )
    produce(log, ROWS[:50])
    host.drain()
    produce(log, ROWS[50:])
    host.drain()
    rows.end()
    assert [row.values for row in rows] == GOOD


def test_a_restarted_query_does_not_meet_the_row_again() -> None:
    """Its place is committed as read."""
    log, kept = make_log(), KeptCheckpoints()
    first = QueryHost(log, kept, threads=0)
    first.start("Q", keeping(Picky()), 1)
    produce(log, ROWS)
    first.drain()
    first.close()
    picky = Picky()
    second = QueryHost(log, kept, threads=0)
    run = second.start("Q", keeping(picky), 1)
    second.drain()
    assert picky.calls == 0 and contents(run) == dict(GOOD)
    assert (run.status.account.read, run.status.account.bad) == (100, 4)


def test_many_rows_at_fault_cost_steps_in_proportion() -> None:
    """Looking for a row costs about two logarithms of the step's rows."""
    log = make_log()
    host = QueryHost(log, KeptCheckpoints(), threads=0)
    picky = Picky()
    host.start("Q", keeping(picky), 1)
    n = 20_000
    keys = key_serde().encode([pa.array(np.zeros(n, np.int64))], KEY, None)
    values = pa.StructArray.from_arrays([pa.array(np.arange(n) % 1000 + 1000 * (np.arange(n) % 5000 != 13))], ["V"])
    transaction = log.transaction()
    transaction.append("in", Records(keys.data, values, np.zeros(n, np.int64)))
    transaction.commit()
    host.drain()
    assert len(logged(log)) == n // 5000
    assert picky.calls < (n // 5000) * 40


def test_a_transient_query_without_state() -> None:
    """It keeps nothing that it could go back to, and needs nothing."""
    log = make_log()
    host = QueryHost(log, None, threads=0)
    received: list[Any] = []
    dataflow = Dataflow(
        (
            source(),
            OperatorNode("Filter", (0,), lambda context: Filter(context, Picky())),
            Tap("Tap", 1, lambda batch: received.extend(batch.columns[1].to_pylist())),
        ),
        1,
    )
    run = QueryRun("P", dataflow, host.services, ledger=NoLedger())
    produce(log, ROWS)
    while run.step():
        pass
    assert received == [v for _, v in GOOD]
