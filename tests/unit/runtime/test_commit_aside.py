"""Commits that run beside the computation of the next step: order, positions, state, a commit that fails, shared syncs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event, Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.engine.database import connect
from penstock.errors import StorageError
from penstock.runtime.dataflow import Dataflow, OperatorNode, Sink, Source
from penstock.runtime.operators.table_source import TableSource
from penstock.runtime.processing_log import TOPIC, VALUE_TYPE
from penstock.runtime.query.group_commit import GroupCommit
from penstock.runtime.query.lifecycle import QueryRun
from penstock.runtime.query.recovery import NoCheckpoints
from penstock.runtime.query.services import Services
from penstock.runtime.source import DecodedTopics
from penstock.storage.files import MemoryFiles, _RealFile
from penstock.storage.formats import make_serde
from penstock.storage.formats.base import SerdeOptions
from penstock.storage.layout import prepare
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings

KEY = pa.schema([("K", pa.int64())])
VALUE = pa.schema([("V", pa.int64())])
ROWS_PER_STEP = 2_500
ROWS = 4 * ROWS_PER_STEP


class Transaction:
    """Passes everything on; its commit waits for ``gate`` and fails if told so."""

    def __init__(self, inner: Any, log: Log) -> None:
        self._inner = inner
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def commit(self, durable: bool = True) -> Any:
        self._log.gate.wait(10)
        self._log.commits += 1
        if self._log.commits in self._log.failing:
            self._inner.abort()
            raise StorageError("no space left")
        return self._inner.commit(durable)

    def begin_commit(self, durable: bool = True, after: Begun | None = None) -> Begun:
        return Begun(self, durable, after)


class Begun:
    """A commit that waits for the one before it, and happens once it is asked for."""

    def __init__(self, transaction: Transaction, durable: bool, after: Begun | None) -> None:
        self._transaction, self._durable, self._after = transaction, durable, after
        self._lock = Lock()
        self._outcome: Any = None

    def result(self) -> Any:
        if self._after is not None:
            self._after.result()
        with self._lock:
            if self._outcome is None:
                try:
                    self._outcome = self._transaction.commit(self._durable)
                except StorageError as error:
                    self._outcome = error
        if isinstance(self._outcome, StorageError):
            raise self._outcome
        return self._outcome


class Log:
    """A log whose commits can be held up and made to fail."""

    def __init__(self) -> None:
        self._inner = LocalLog(prepare(MemoryFiles()), LogSettings(background=False))
        self.gate = Event()
        self.gate.set()
        self.commits = 0
        self.failing: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def transaction(self, *, whole: bool = True) -> Any:
        return Transaction(self._inner.transaction(), self)

    def commit_all(self, transactions: Any, outcomes: list[Any]) -> None:
        for transaction, durable in transactions:
            try:
                outcomes.append(transaction.commit(durable))
            except StorageError as error:
                outcomes.append(error)


@pytest.fixture
def log() -> Log:
    made = Log()
    made.create_topic(TOPIC, TopicConfig(1, VALUE_TYPE))
    for name in ("in", "out"):
        made.create_topic(name, TopicConfig(1, pa.struct(list(VALUE))))
    keys = pa.array(np.arange(ROWS) % 700)
    encoded = make_serde("KAFKA", SerdeOptions(is_key=True)).encode([keys], KEY, None)
    values = pa.StructArray.from_arrays([pa.array(np.arange(ROWS))], fields=list(VALUE))
    transaction = made.transaction()
    transaction.append("in", Records(encoded.data, values, np.arange(ROWS)), 0)
    transaction.commit()
    return made


@pytest.fixture
def committer() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def start(log: Log, committer: ThreadPoolExecutor | None, rows_max: int = ROWS_PER_STEP, name: str = "Q") -> QueryRun:
    """A query that keeps a table of the input and writes its changes."""
    serde = make_serde("KAFKA", SerdeOptions(is_key=True))
    schema = pa.schema([*KEY, *VALUE])
    dataflow = Dataflow(
        (
            Source("S", "in", True, serde, KEY, None, VALUE),
            OperatorNode("Table", (0,), lambda context: TableSource(context, schema, 1)),
            Sink("Sink", 1, "out", serde, None, is_table=True),
        ),
        1,
        every_update=True,
    )
    services = Services(log, DecodedTopics(log), NoCheckpoints(), committer=committer, rows_max=rows_max)  # type: ignore[arg-type]
    return QueryRun(name, dataflow, services)


def written(log: Log) -> list[int]:
    """The values in the output topic."""
    return [v["V"] for v in log.read("out", 0, 0, rows_max=10 * ROWS).values.to_pylist()]


def table_of(run: QueryRun) -> dict[int, int]:
    """What the query's store holds."""
    with run.lock:
        (task,) = run.tasks()
        rows = task.operators[1].stores[0].snapshot().table().to_pylist()
    return {row["K"]: row["V"] for row in rows}


def test_the_output_is_that_of_commits_at_the_end_of_each_step(log: Log, committer: ThreadPoolExecutor) -> None:
    """Output, account and positions do not depend on where the commits run."""
    run = start(log, committer)
    while run.step():
        pass
    assert written(log) == list(range(ROWS))
    assert (run.status.account.read, run.status.account.written, run.status.lag) == (ROWS, ROWS, 0)
    assert log.positions("Q/S") == {("in", 0): ROWS}


def test_positions_and_lag_count_what_is_committed(log: Log, committer: ThreadPoolExecutor) -> None:
    """While a commit is under way its rows are not yet taken in."""
    run = start(log, committer)
    log.gate.clear()
    assert run.step()
    assert (run.status.positions, run.status.lag) == ({("in", 0): 0}, ROWS)
    log.gate.set()
    assert len(table_of(run)) == 700
    assert run.status.positions == {("in", 0): ROWS_PER_STEP}


def test_pausing_waits_for_the_commit(log: Log, committer: ThreadPoolExecutor) -> None:
    """A paused query has nothing under way, and takes nothing in."""
    run = start(log, committer)
    run.step()
    run.pause()
    assert log.positions("Q/S") == {("in", 0): ROWS_PER_STEP}
    assert not run.step()


def test_a_commit_that_fails_stops_the_query_and_what_was_computed_on_it_is_forgotten(
    log: Log, committer: ThreadPoolExecutor
) -> None:
    """The step after it does not happen either; resumed, the query goes on from the last good commit."""
    run = start(log, committer)
    log.failing = {log.commits + 2}
    with pytest.raises(StorageError, match="no space"):
        while run.step():
            pass
    assert run.state == "ERROR"
    assert written(log) == list(range(ROWS_PER_STEP))
    run.resume()
    while run.step():
        pass
    assert written(log) == list(range(ROWS))
    assert run.status.account.read == ROWS
    assert table_of(run) == {k: max(v for v in range(k, ROWS, 700)) for k in range(700)}


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_of_two_commits_under_way_none_happens_without_the_one_before(log: Log, failing: int) -> None:
    """Three steps are computed while the disk works for the first one's commit: what was done on top of the one that fails
    is forgotten, whichever it is."""
    with ThreadPoolExecutor(4) as several:
        run = start(log, several)
        log.failing = {log.commits + failing}
        log.gate.clear()
        assert run.step()
        assert run.step()
        log.gate.set()
        with pytest.raises(StorageError, match="no space"):
            while run.step():
                pass
        assert run.state == "ERROR"
        assert written(log) == list(range((failing - 1) * ROWS_PER_STEP))
        assert run.status.account.read == (failing - 1) * ROWS_PER_STEP
        run.resume()
        while run.step():
            pass
    assert written(log) == list(range(ROWS))
    assert (run.status.account.read, run.status.account.written, run.status.lag) == (ROWS, ROWS, 0)
    assert table_of(run) == {k: max(v for v in range(k, ROWS, 700)) for k in range(700)}


def test_two_commits_are_under_way_at_most(log: Log) -> None:
    """The third step is computed, and waits for the first one's commit."""
    with ThreadPoolExecutor(4) as several:
        run = start(log, several)
        log.gate.clear()
        assert run.step()
        assert run.step()
        third = several.submit(run.step)
        assert not wait([third], 0.2).done
        assert run.status.positions == {("in", 0): 0}
        log.gate.set()
        assert third.result()
        while run.step():
            pass
    assert written(log) == list(range(ROWS))


def test_a_reader_of_the_state_is_told_that_the_commit_failed(log: Log, committer: ThreadPoolExecutor) -> None:
    """State that was never committed is not handed out."""
    run = start(log, committer)
    log.failing = {log.commits + 1}
    run.step()
    with pytest.raises(StorageError, match="no space"):
        table_of(run)
    assert run.state == "ERROR"


def test_a_small_step_waits_for_its_commit_unless_others_are_to_be_stepped(log: Log) -> None:
    """With others its commit waits for theirs; the query's next step has it done."""
    run, group = start(log, None, rows_max=10), GroupCommit(log)  # type: ignore[arg-type]
    run.step()
    assert run.status.positions == {("in", 0): 10}
    assert run.step(group_commit=group)
    assert run.status.positions == {("in", 0): 10}
    group.commit()
    assert run.status.positions == {("in", 0): 20}
    while run.step(group_commit=group):
        pass
    assert written(log) == list(range(ROWS))


def test_a_commit_aside_does_not_overtake_one_that_waits_for_others(
    log: Log, committer: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small step's commit waits for those of other queries when a large step is computed: its records stay the first."""
    run, group = start(log, committer), GroupCommit(log)  # type: ignore[arg-type]
    with monkeypatch.context() as small:
        small.setattr("penstock.runtime.query.stepping.PARALLEL_ROWS_MIN", ROWS)
        assert run.step(group_commit=group)
    assert written(log) == []
    while run.step(group_commit=group):
        pass
    assert written(log) == list(range(ROWS))
    assert (run.status.account.read, run.status.account.written) == (ROWS, ROWS)
    assert table_of(run) == {k: max(v for v in range(k, ROWS, 700)) for k in range(700)}


def test_whoever_asks_does_not_wait_for_the_others(log: Log) -> None:
    """A reader of the state, and a pause, commit what has gathered themselves: whose turn it is may wait for them."""
    runs, group = [start(log, None, rows_max=10, name=name) for name in "QRS"], GroupCommit(log)  # type: ignore[arg-type]
    assert all(run.step(group_commit=group) for run in runs)
    assert len(table_of(runs[0])) == 10
    assert [run.status.positions["in", 0] for run in runs] == [10, 10, 10]
    assert runs[1].step(group_commit=group)
    runs[1].pause()
    assert [run.status.positions["in", 0] for run in runs] == [10, 20, 10]


def test_of_commits_done_together_one_that_fails_stops_its_own_query(log: Log) -> None:
    """The others have happened; the one at fault goes on from its last commit when it is resumed."""
    runs, group = [start(log, None, rows_max=10, name=name) for name in "QRS"], GroupCommit(log)  # type: ignore[arg-type]
    log.failing = {log.commits + 2}
    assert all(run.step(group_commit=group) for run in runs)
    group.commit()
    for run in (runs[0], runs[2]):
        run.settle()
    with pytest.raises(StorageError, match="no space"):
        runs[1].settle()
    assert [run.state for run in runs] == ["RUNNING", "ERROR", "RUNNING"]
    assert [run.status.positions["in", 0] for run in runs] == [10, 0, 10]
    runs[1].resume()
    while runs[1].step():
        pass
    assert (runs[1].status.account.read, len(written(log))) == (ROWS, ROWS + 20)


def test_the_commits_of_many_queries_share_syncs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six queries read each row: there are far fewer syncs than commits, and every query counts every row."""
    synced = []
    sync = _RealFile.sync

    def slow(file: _RealFile) -> None:
        synced.append(file.path)
        time.sleep(0.01)
        sync(file)

    with connect(tmp_path / "db", threads=2) as db:
        db.execute("CREATE STREAM S (K INT KEY, V INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='ARROW');")
        for number in range(6):
            db.execute(f"CREATE TABLE T{number} AS SELECT K, COUNT(*) AS N FROM S GROUP BY K;")
        db.wait(db.insert("S", [{"K": 0, "V": 0}]))
        monkeypatch.setattr(_RealFile, "sync", slow)
        before = db._engine.log.epoch
        for value in range(20):
            db.wait(db.insert("S", [{"K": 1, "V": value}]))
        commits = db._engine.log.epoch - before
        assert commits == 20 * 7
        assert len(synced) < 0.7 * commits
        monkeypatch.undo()
        for number in range(6):
            assert db.sql(f"SELECT N FROM T{number} WHERE K = 1").fetchone() == (20,)


def test_an_account_from_before_is_read_and_goes_on(log: Log) -> None:
    """A directory from before has a query's counters as positions of a group; the next commit writes them as metadata."""
    transaction = log.transaction()
    transaction.set_positions("Q#account", {("read", 0): 7, ("written", 0): 5})
    transaction.set_positions("Q/S", {("in", 0): 7})
    transaction.commit()
    run = start(log, None, rows_max=10)
    assert (run.status.account.read, run.status.account.written, run.status.account.late) == (7, 5, 0)
    run.step()
    again = start(log, None, rows_max=10)
    assert (again.status.account.read, again.status.account.written) == (17, 15)
    assert again.status.positions == {("in", 0): 17}
