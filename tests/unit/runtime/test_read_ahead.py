"""Records that are fetched while the step before is computed: found by the next step, and waited for at the end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.errors import StorageError
from penstock.runtime.dataflow import Dataflow, Sink, Source
from penstock.runtime.query import inputs as inputs_module
from penstock.runtime.query.inputs import Inputs
from penstock.runtime.query.lifecycle import QueryRun
from penstock.runtime.query.recovery import NoCheckpoints
from penstock.runtime.query.services import Services
from penstock.runtime.query.step_data import InputSlice
from penstock.runtime.source import DecodedTopics
from penstock.storage.files import MemoryFiles
from penstock.storage.layout import prepare
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings

VALUE = pa.schema([("V", pa.int64())])
ROWS, ROWS_PER_STEP = 1_000, 100
SOURCE = Source("S", "in", False, None, pa.schema([]), None, VALUE)
DATAFLOW = Dataflow((SOURCE, Sink("Sink", 0, "out", None, None)), 2)


class Decoded(DecodedTopics):
    """Notes where reading began, and may be told to fail or to wait."""

    failing = False

    def __init__(self, log: Any) -> None:
        super().__init__(log)
        self.read: list[tuple[int, int]] = []
        self.gate = threading.Event()
        self.gate.set()

    def fetch(self, source: Source, partition: int, offset: int, *args: Any, **named: Any) -> Any:
        self.read.append((partition, offset))
        assert self.gate.wait(60)
        if self.failing:
            raise StorageError("the disk is gone")
        return super().fetch(source, partition, offset, *args, **named)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalLog]:
    monkeypatch.setattr(inputs_module, "PARALLEL_ROWS_MIN", ROWS_PER_STEP)
    made = LocalLog(prepare(MemoryFiles()), LogSettings(background=False))
    for name in ("in", "out"):
        made.create_topic(name, TopicConfig(2, pa.struct(list(VALUE))))
    for partition in range(2):
        values = pa.StructArray.from_arrays([pa.array(np.arange(ROWS) * 2 + partition)], fields=list(VALUE))
        transaction = made.transaction()
        transaction.append("in", Records(None, values, np.arange(ROWS)), partition)
        transaction.commit()
    yield made
    made.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as made:
        yield made


def values(taken: list[InputSlice]) -> list[list[int]]:
    """The values of the records of a step, input by input."""
    return [item.chunk.values[0].slice(item.start, item.stop - item.start).to_pylist() for item in taken if item.chunk]


def go_on(taken: list[InputSlice]) -> None:
    for item in taken:
        item.input.offset = item.next_offset


def test_the_next_step_finds_what_was_read_ahead(log: LocalLog, pool: ThreadPoolExecutor) -> None:
    """It takes the records that it would have taken otherwise, and the log is not read again for them."""
    decoded = Decoded(log)
    ahead, alone = (Inputs(DATAFLOW, log, d, ROWS_PER_STEP, p) for d, p in ((decoded, pool), (DecodedTopics(log), None)))
    used = 0
    while True:
        taken, wanted = ahead.take(ROWS_PER_STEP, patient=False), alone.take(ROWS_PER_STEP, patient=False)
        assert values(taken) == values(wanted)
        if not taken:
            break
        ahead.read_ahead(taken)
        wait(ahead._ahead)
        if ahead._ahead:
            used += 1
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(log, "read", None)  # nobody reads
                go_on(taken)
                assert ahead.take(ROWS_PER_STEP, patient=False)
        go_on(taken)
        go_on(wanted)
    assert used > 3


def test_a_failure_is_met_by_the_step_itself(log: LocalLog, pool: ThreadPoolExecutor) -> None:
    """Reading ahead fails silently: the step that needs the records raises, or finds that they can be read by now."""
    decoded = Decoded(log)
    inputs = Inputs(DATAFLOW, log, decoded, ROWS_PER_STEP, pool)
    taken: list[InputSlice] = []
    while not inputs._ahead:
        go_on(taken)
        taken = inputs.take(ROWS_PER_STEP, patient=False)
        decoded.failing = True
        inputs.read_ahead(taken)
        wait(inputs._ahead)
        decoded.failing = False
    go_on(taken)
    assert inputs.take(ROWS_PER_STEP, patient=False)
    decoded.failing = True
    with pytest.raises(StorageError, match="gone"):
        inputs.take(ROWS_PER_STEP, patient=False)


@pytest.mark.parametrize("end", ["stop", "terminate"])
def test_nothing_is_read_for_a_query_that_has_ended(log: LocalLog, pool: ThreadPoolExecutor, end: str) -> None:
    """Its topics may be deleted then, and others get their names."""
    decoded = Decoded(log)
    services = Services(log, decoded, NoCheckpoints(), pool=pool, rows_max=ROWS_PER_STEP)  # type: ignore[arg-type]
    run = QueryRun("Q", DATAFLOW, services)
    inputs = run.parts.inputs
    read_ahead = inputs.read_ahead

    def hanging(taken: list[InputSlice]) -> None:
        decoded.gate.clear()
        read_ahead(taken)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inputs, "read_ahead", hanging)
        while not inputs._ahead:
            decoded.gate.set()
            assert run.step()
    threading.Timer(0.2, decoded.gate.set).start()
    getattr(run, end)()
    assert decoded.gate.is_set()
    read = len(decoded.read)
    pool.shutdown()
    assert len(decoded.read) == read
