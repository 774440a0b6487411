"""Readers of tables do not wait for the step in hand, and see whole commits only."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.runtime.dataflow import Dataflow, OperatorNode, Sink, TableView
from penstock.runtime.host import QueryHost
from penstock.runtime.kernel import Evaluated
from penstock.runtime.operators.filter import Filter
from penstock.runtime.operators.table_source import TableSource
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.tests.unit.runtime.test_queries import KEY, VALUE, KeptCheckpoints, key_serde, make_log, produce, source

SCHEMA = pa.schema([*KEY, *VALUE])


class Gate:
    """A predicate at which a step stands still, with its table changed already, until it is let through."""

    def __init__(self) -> None:
        self.closed = False
        self.reached = threading.Event()
        self.gave_up = False
        self._open = threading.Event()

    def __call__(self, columns: Sequence[Any], length: int) -> Evaluated:
        if self.closed and length:
            self.reached.set()
            self.gave_up = not self._open.wait(60)
        return Evaluated(pa.array([True] * length))

    def open(self) -> None:
        self.closed = False
        self._open.set()


def keeping(gate: Gate) -> Dataflow:
    return Dataflow(
        (
            source(is_table=True),
            OperatorNode("Table", (0,), lambda context: TableSource(context, SCHEMA, 1)),
            OperatorNode("Filter", (1,), lambda context: Filter(context, gate)),
            Sink("Sink", 2, "out", key_serde(), None, is_table=True),
        ),
        1,
        every_update=True,
        view=TableView("Table", "table", lambda columns: list(columns.values()), SCHEMA, 1),
    )


@pytest.fixture(params=[False, True], ids=["memory", "kept"])
def host(request: pytest.FixtureRequest) -> Iterator[QueryHost]:
    made = QueryHost(make_log(), KeptCheckpoints() if request.param else None, threads=1)
    yield made
    made.close()


def read(host: QueryHost) -> dict[int, int]:
    (store,) = host.run("Q").snapshot()
    return {row["K"]: row["V"] for row in store.table().to_pylist()}


def log_of(host: QueryHost) -> LocalLog:
    assert isinstance(host.log, LocalLog)
    return host.log


def test_a_reader_does_not_wait_for_a_step(host: QueryHost) -> None:
    """While a step stands still, a reader gets the last commit at once; afterwards the next one."""
    gate = Gate()
    host.start("Q", keeping(gate), 1)
    produce(log_of(host), [(1, 1), (2, 2)])
    assert host.wait_idle(60)
    assert read(host) == {1: 1, 2: 2}
    gate.closed = True
    produce(log_of(host), [(1, 10), (3, 30)])
    assert gate.reached.wait(60)
    for _ in range(100):
        assert read(host) == {1: 1, 2: 2}
    assert not gate.gave_up  # nobody waited for the step
    gate.open()
    assert host.wait_idle(60)
    assert read(host) == {1: 10, 2: 2, 3: 30}


def test_the_first_reader_does_not_wait_for_the_first_step(host: QueryHost) -> None:
    """Before anything is committed the table is empty."""
    gate = Gate()
    gate.closed = True
    host.start("Q", keeping(gate), 1)
    produce(log_of(host), [(1, 1)])
    assert gate.reached.wait(60)
    assert read(host) == {}
    assert not gate.gave_up
    gate.open()


def test_after_a_long_step_any_reader_is_served_at_once(host: QueryHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one who comes for the first time, when a step is under way."""
    monkeypatch.setattr("penstock.runtime.query.published._LONG_STEP_S", 0.0)
    gate = Gate()
    host.start("Q", keeping(gate), 1)
    for i in range(3):
        produce(log_of(host), [(i, i)])
        assert host.wait_idle(60)
    gate.closed = True
    produce(log_of(host), [(9, 9)])
    assert gate.reached.wait(60)
    assert read(host) == {0: 0, 1: 1, 2: 2}
    gate.open()


def test_a_read_after_a_write_sees_it(host: QueryHost) -> None:
    """What is published is never behind the positions that a reader waits for."""
    host.start("Q", keeping(Gate()), 1)
    for i in range(200):
        token = produce(log_of(host), [(1, i)])
        host.wait_for(token, ["Q"], 10)
        assert read(host) == {1: i}


def test_several_tables_are_of_one_moment() -> None:
    """Two queries that take in the same rows are never seen apart by more than the step that is under way."""
    log = make_log()
    log.create_topic("out2", log.topics()["out"])
    host = QueryHost(log, None, threads=0)
    for name, topic in (("Q", "out"), ("R", "out2")):
        nodes = keeping(Gate()).nodes
        flow = Dataflow(
            (*nodes[:3], Sink("Sink", 2, topic, key_serde(), None, is_table=True)),
            1,
            view=TableView("Table", "table", lambda columns: list(columns.values()), SCHEMA, 1),
        )
        host.start(name, flow, 1)
    stop = threading.Event()

    def write() -> None:
        for i in range(300):
            produce(log, [(1, i)])
            host.drain()
        stop.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not stop.is_set():
        found = host.tables({"A": "Q", "B": "R"})
        a, b = ([r["V"] for r in found[n].parts[0].table().to_pylist()] for n in ("A", "B"))
        ahead = (a[0] if a else -1) - (b[0] if b else -1)
        assert ahead in (0, 1), (a, b)
    thread.join()


def test_whoever_waits_for_rest_looks_again_soon_after_a_commit(host: QueryHost) -> None:
    """A commit wakes those who wait a moment before its query counts it; they neither sleep long nor look all the time."""
    gate = Gate()
    gate.closed = True
    host.start("Q", keeping(gate), 1)
    produce(log_of(host), [(1, 1)])
    assert gate.reached.wait(60)
    looks = host._until_idle(None)
    pauses = [next(looks).seconds for _ in range(10)]
    assert pauses[0] <= 0.001 and pauses == sorted(pauses) and pauses[-1] == 0.05
    log_of(host).create_topic("other", TopicConfig(1))
    transaction = log_of(host).transaction()
    transaction.append("other", Records(None, pa.array([b"x"]), np.zeros(1, np.int64)))
    transaction.commit()
    assert next(looks).seconds <= 0.001
    gate.open()
    assert host.wait_idle(60)
