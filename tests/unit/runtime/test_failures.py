"""What a query that breaks off inside a step leaves behind, and what goes on beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from penstock.errors import DataError, InternalError, StatementError, StorageError
from penstock.runtime.batch import Batch, concat
from penstock.runtime.clock import ManualClock, now_ms, use_clock
from penstock.runtime.dataflow import Dataflow, OperatorNode, Sink, Source, Tap
from penstock.runtime.host import QueryHost
from penstock.runtime.kernel import Evaluated
from penstock.runtime.operators.base import Operator
from penstock.runtime.operators.filter import Filter
from penstock.runtime.operators.table_source import TableSource
from penstock.runtime.query.lifecycle import QueryRun
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import TopicConfig
from penstock.tests.unit.runtime.test_queries import (
    KEY,
    VALUE,
    KeptCheckpoints,
    filtering,
    key_serde,
    make_log,
    produce,
    rows_of,
    source,
)


class Fuse:
    """A predicate that lets all rows pass, and breaks once when it is lit."""

    def __init__(self, error: Exception) -> None:
        self.lit = False
        self._error = error

    def __call__(self, columns: Sequence[Any], length: int) -> Evaluated:
        if self.lit and length:
            self.lit = False
            raise self._error
        return Evaluated(pa.array([True] * length))


def keeping(fuse: Fuse) -> Dataflow:
    """A table is kept, then the fuse, then its changes are written: when it breaks, the table has changed already."""
    schema = pa.schema([*KEY, *VALUE])
    return Dataflow(
        (
            source(is_table=True),
            OperatorNode("Table", (0,), lambda context: TableSource(context, schema, 1)),
            OperatorNode("Filter", (1,), lambda context: Filter(context, fuse)),
            Sink("Sink", 2, "out", key_serde(), None, is_table=True),
        ),
        1,
        every_update=True,
        row_failure="stop",
    )


def contents(run: QueryRun) -> dict[int, int]:
    """What the query's table holds."""
    with run.lock:
        (task,) = run.tasks()
        return {row["K"]: row["V"] for row in task.operators[1].stores[0].snapshot().table().to_pylist()}


def broken(log: LocalLog, checkpoints: KeptCheckpoints | None) -> tuple[QueryHost, QueryRun]:
    """A query that took in (1, 1), and broke off while it took in (1, 2) and (2, 2)."""
    fuse = Fuse(DataError("it broke"))
    host = QueryHost(log, checkpoints, threads=0)
    run = host.start("Q", keeping(fuse), 1)
    produce(log, [(1, 1)])
    host.drain()
    fuse.lit = True
    produce(log, [(1, 2), (2, 2)])
    with pytest.raises(DataError, match="it broke"):
        host.drain()
    assert run.state == "ERROR"
    return host, run


def test_a_step_that_breaks_off_cannot_be_seen() -> None:
    """Readers of a failed query's table get the last commit; resumed, the query takes every record in once."""
    log = make_log()
    host, run = broken(log, KeptCheckpoints())
    assert contents(run) == {1: 1}
    assert (run.status.account.read, run.status.lag) == (1, 2)
    host.resume("Q")
    host.drain()
    assert contents(run) == {1: 2, 2: 2}
    assert (run.status.account.read, run.status.account.written, rows_of(log)) == (3, 3, [(1, 1), (1, 2), (2, 2)])


def test_state_in_memory_that_is_lost_is_not_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine in memory has no changelog: if its state is too large to be marked, a query that broke off cannot be read
    or resumed, and says so."""
    monkeypatch.setattr("penstock.runtime.query.stepping.MARKED_STATE_BYTES_MAX", 0)
    host, run = broken(make_log(), None)
    with pytest.raises(DataError, match="memory"):
        contents(run)
    with pytest.raises(StatementError, match="memory"):
        host.resume("Q")
    assert run.state == "ERROR" and str(run.error).endswith("it broke")


def test_state_in_memory_is_taken_back() -> None:
    """State of ordinary size is as before the step that broke off, and the query can go on."""
    log = make_log()
    host, run = broken(log, None)
    assert contents(run) == {1: 1}
    host.resume("Q")
    host.drain()
    assert (contents(run), rows_of(log)) == ({1: 2, 2: 2}, [(1, 1), (1, 2), (2, 2)])


def test_a_query_that_takes_the_place_of_a_failed_one_starts_from_its_last_commit() -> None:
    """CREATE OR REPLACE mends a failed query: nothing of the step that broke off is taken over."""
    log = make_log()
    host, _ = broken(log, KeptCheckpoints())
    run = host.replace("Q", keeping(Fuse(DataError("never"))), 1)
    assert contents(run) == {1: 1}
    host.drain()
    assert contents(run) == {1: 2, 2: 2}


def test_a_query_goes_on_if_the_one_to_replace_it_cannot_start() -> None:
    """A replacement that fails changes nothing."""
    log = make_log()
    host = QueryHost(log, None, threads=0)
    host.start("Q", filtering(), 1)
    nodes = filtering().nodes
    with pytest.raises(StorageError, match="nowhere"):
        host.replace("Q", Dataflow((replace(source(), topic="nowhere"), *nodes[1:]), 1), 1)
    produce(log, [(1, 1)])
    host.drain()
    assert rows_of(log) == [(1, 1)]


def test_a_replaced_query_goes_on_where_each_of_its_inputs_was() -> None:
    """Two sources of one topic have positions of their own, and keep them."""
    log = make_log()

    def twice() -> Dataflow:
        names = ("A", "B")
        sources = tuple(replace(source(), name=name) for name in names)
        return Dataflow((*sources, *(Sink(f"to-{n}", i, "out", key_serde(), None) for i, n in enumerate(names))), 1)

    host = QueryHost(log, None, threads=0, rows_max=1)
    run = host.start("Q", twice(), 1)
    produce(log, [(1, 1), (2, 2)])
    assert run.step()
    replaced = host.replace("Q", twice(), 1)
    host.drain()
    assert sorted(rows_of(log)) == [(1, 1), (1, 1), (2, 2), (2, 2)]
    assert replaced.status.account.read == 4


def test_a_failed_query_does_not_hold_up_the_others() -> None:
    """drain() brings the other queries to the end, then tells of the failure."""
    log = make_log()
    log.create_topic("other", TopicConfig(1, pa.struct(list(VALUE))))
    host, _ = broken(log, KeptCheckpoints())
    nodes = filtering().nodes
    host.start("R", Dataflow((*nodes[:2], Sink("Sink", 1, "other", key_serde(), None)), 1), 2)
    produce(log, [(5, 5)])
    with pytest.raises(DataError):
        host.drain()
    assert rows_of(log, "other") == [(1, 1), (1, 2), (2, 2), (5, 5)]


def test_what_is_no_error_of_ours_stops_the_query_as_an_internal_error() -> None:
    """Whatever an operator raises, the query is left in state ERROR, with the cause."""
    log = make_log()
    fuse = Fuse(ZeroDivisionError("oh"))
    host = QueryHost(log, KeptCheckpoints(), threads=0)
    run = host.start("Q", keeping(fuse), 1)
    produce(log, [(1, 1)])
    fuse.lit = True
    with pytest.raises(InternalError, match="ZeroDivisionError: oh") as caught:
        run.step()
    assert run.state == "ERROR" and isinstance(caught.value.__cause__, ZeroDivisionError)


def test_an_interrupted_step_did_not_happen() -> None:
    """Ctrl-C inside a step leaves a query that goes on from the last commit."""
    log = make_log()
    fuse = Fuse(DataError("never"))
    fuse._error = KeyboardInterrupt()  # type: ignore[assignment]
    host = QueryHost(log, KeptCheckpoints(), threads=0)
    run = host.start("Q", keeping(fuse), 1)
    produce(log, [(1, 1), (2, 2)])
    fuse.lit = True
    with pytest.raises(KeyboardInterrupt):
        host.drain()
    host.drain()
    assert (run.state, rows_of(log), contents(run)) == ("RUNNING", [(1, 1), (2, 2)], {1: 1, 2: 2})


def test_waiting_for_a_failed_query_says_so() -> None:
    """A read after a write does not step a query that broke off, nor wait for it."""
    log = make_log()
    fuse = Fuse(DataError("it broke"))
    host = QueryHost(log, KeptCheckpoints(), threads=0)
    run = host.start("Q", keeping(fuse), 1)
    fuse.lit = True
    token = produce(log, [(1, 1)])
    with pytest.raises(DataError, match="it broke"):
        host.wait_for(token, ["Q"], timeout_s=5)
    assert run.state == "ERROR"
    with pytest.raises(StatementError, match="terminated"):
        host.wait_for(token, ["R"], timeout_s=5)


class FullDisk(KeptCheckpoints):
    """Checkpoints that cannot be written."""

    def save(self, query_id: str, name: str, partition: int, offset: int, table: Any, base: int | None = None) -> None:
        raise StorageError("no space left")


def test_a_checkpoint_that_fails_in_the_background_loses_nothing() -> None:
    """The changelog has it all: stopping and ending the query work, and a new start finds its state."""
    log = make_log()
    checkpoints = FullDisk()
    with ThreadPoolExecutor(1) as executor:
        host = QueryHost(log, checkpoints, threads=0)
        host.services.checkpointer = executor
        run = host.start("Q", keeping(Fuse(DataError("never"))), 1)
        produce(log, [(1, 1)])
        host.drain()
        for durable in run.parts.keeper.stores:
            run.parts.keeper.checkpoint(durable)
        run.stop()
        again = QueryHost(log, checkpoints, threads=0).start("Q", keeping(Fuse(DataError("never"))), 1)
        assert contents(again) == {1: 1}


# --- push queries --------------------------------------------------------------------------


def tapped(fuse: Fuse) -> Callable[[Callable[[Batch], None]], Dataflow]:
    def make(receive: Callable[[Batch], None]) -> Dataflow:
        step = OperatorNode("Filter", (0,), lambda context: Filter(context, fuse))
        return Dataflow((source(), step, Tap("Tap", 1, receive)), 1, row_failure="stop")

    return make


def test_closing_ends_the_readers_of_push_queries() -> None:
    """Whoever waits for the next row gets the end, not silence."""
    host = QueryHost(make_log(), None, threads=1)
    subscription = host.pushes.subscribe(tapped(Fuse(DataError("never"))), ("K", "V"))
    host.close()
    assert subscription.poll(timeout_s=10) is None and subscription.finished


def test_waiting_until_idle_waits_for_push_queries() -> None:
    """Once all is taken in, ending a push query leaves its reader every row."""
    log = make_log()
    host = QueryHost(log, None, threads=1)
    subscription = host.pushes.subscribe(tapped(Fuse(DataError("never"))), ("K", "V"))
    for i in range(20):
        produce(log, [(i, i)])
    assert host.wait_idle(60)
    subscription.end()
    assert [row.values[0] for row in subscription] == list(range(20))
    host.close()


def test_async_readers_are_told_of_the_failure() -> None:
    """A push query that failed before its reader looked raises, it does not just end."""
    log = make_log()
    host = QueryHost(log, None, threads=0)
    fuse = Fuse(DataError("it broke"))
    subscription = host.pushes.subscribe(tapped(fuse), ("K", "V"))
    fuse.lit = True
    produce(log, [(1, 1)])
    with pytest.raises(DataError):
        host.drain()

    async def read() -> list[Any]:
        return [row async for row in subscription]

    with pytest.raises(DataError, match="it broke"):
        asyncio.run(read())


def test_a_push_query_that_reached_its_limit_reads_no_more() -> None:
    """Records after the LIMIT are not read for nobody."""
    log = make_log()
    host = QueryHost(log, None, threads=0, rows_max=1)
    subscription = host.pushes.subscribe(tapped(Fuse(DataError("never"))), ("K", "V"), limit=1)
    (run,) = host._scheduler.runs()
    produce(log, [(i, i) for i in range(5)])
    host.drain()
    assert run.status.progress.steps == 1 and subscription.poll() is not None


# --- clocks and waiting --------------------------------------------------------------------


@pytest.mark.parametrize("partitions", [1, 4])
def test_workers_see_the_clock_in_force(partitions: int) -> None:
    """Volatile functions give the database's time on whatever thread they are computed."""
    log = make_log(partitions)
    seen: set[int] = set()

    def note(columns: Sequence[Any], length: int) -> Evaluated:
        if length:
            seen.add(now_ms())
        return Evaluated(pa.array([True] * length))

    nodes = (source(), OperatorNode("Filter", (0,), lambda c: Filter(c, note)), Sink("Sink", 1, "out", key_serde(), None))
    with use_clock(ManualClock(77)):
        host = QueryHost(log, None, threads=2)
        host.start("Q", Dataflow(nodes, 1), 1)
        token = produce(log, [(i, i) for i in range(5_000)])
        host.wait_for(token, ["Q"], timeout_s=10)
        host.close()
    assert seen == {77}


class Both(Operator):
    """The rows of both inputs."""

    def process(self, inputs: Sequence[Batch]) -> Batch:
        return concat(inputs)


def two_inputs(idle_ms: int) -> Dataflow:
    """Two topics that one task reads; what no operator brings together is not waited for, as in Kafka Streams."""
    sources: list[Source] = [replace(source(), name=topic, topic=topic) for topic in ("in", "late")]
    both = OperatorNode("Both", (0, 1), Both)
    return Dataflow(
        (*sources, both, Sink("Sink", 2, "out", key_serde(), None)), 1, order="timestamp", max_task_idle_ms=idle_ms
    )


def test_an_input_without_records_is_waited_for_no_longer_than_it_says() -> None:
    """max.task.idle.ms: the record with the smallest timestamp may be the one that has not come yet."""
    log = make_log()
    log.create_topic("late", TopicConfig(1, pa.struct(list(VALUE))))
    clock = ManualClock(1_000)
    with use_clock(clock):
        run = QueryHost(log, None, threads=0).start("Q", two_inputs(500), 1)
        assert not run.step(patient=True) and run.patience_s is None
        produce(log, [(1, 1)])
        assert not run.step(patient=True) and run.patience_s == 0.5
        clock.advance(499)
        assert not run.step(patient=True)
        clock.advance(1)
        assert run.step(patient=True) and run.status.lag == 0
        produce(log, [(2, 2)])
        produce(log, [(3, 3)], "late")
        assert run.step(patient=True) and run.status.lag == 0
        produce(log, [(4, 4)])
        assert not run.step(patient=True)
        assert run.step()
    assert [v for _, v in rows_of(log)] == [1, 2, 3, 4]


def test_workers_go_on_when_the_wait_is_over() -> None:
    """Nothing has to happen for a patient query to lose its patience."""
    log = make_log()
    log.create_topic("late", TopicConfig(1, pa.struct(list(VALUE))))
    host = QueryHost(log, None, threads=1)
    host.start("Q", two_inputs(20), 1)
    token = produce(log, [(1, 1)])
    host.wait_for(token, ["Q"], timeout_s=10)
    assert rows_of(log) == [(1, 1)]
    host.close()
