"""A running query: positions, tasks, and one step after the other, each committed as a whole."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Container, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pyarrow as pa

from ...errors import DataError, InternalError, OffsetOutOfRangeError, PenstockError, StatementError, StorageError
from ...limits import BATCH_ROWS_MAX
from ...storage.log.protocol import Log, TopicConfig, TopicPartition, Transaction
from ..batch import Batch, Int64s, concat
from ..dataflow import Dataflow, Exchange, Sink, Source, Tap
from ..metrics import Account, Progress
from ..processing_log import SERIALIZATION_ERROR, TOPIC, ProcessingLog
from ..sink import SinkWriter
from ..source import DecodedTopics, all_null, empty_source_batch, to_batch
from .commit import Checkpoints, DurableStore, NoCheckpoints, StateKeeper
from .inputs import Inputs
from .reports import complain, complain_about_gap, complain_about_input, complain_about_reports
from .step import Input, Outcome, Taken
from .task import Task, account_of, input_nodes, stages

_LOGGER = logging.getLogger("penstock.queries")

State = Literal["RUNNING", "PAUSED", "ERROR", "TERMINATED"]
COPY_OF = "copy.of"
"""The property of an internal topic that names the query which copies rows to it."""

_PARALLEL_ROWS_MIN = 2_000
"""Rows of a step from which handing tasks to the pool pays for itself."""


@dataclass(slots=True)
class Services:
    """What queries share.

    Attributes:
        durable: changelogs and checkpoints are kept (an engine in memory keeps none).
        pool: runs the tasks of different partitions side by side; None runs them one after the other.
        committer: commits steps while the next one, of this query or of another, is computed; None commits every step at
            its end.
        rows_max: rows a step takes at most.
        recovered: is told of rows of state that recovery has taken in, see `StateKeeper.recover`.
    """

    log: Log
    decoded: DecodedTopics
    checkpoints: Checkpoints = field(default_factory=NoCheckpoints)
    durable: bool = True
    pool: Executor | None = None
    committer: Executor | None = None
    checkpointer: Executor | None = None
    rows_max: int = BATCH_ROWS_MAX
    recovered: Callable[[int], None] = lambda rows: None


class QueryRun:
    """One query, persistent or transient.  Thread-safe: ``lock`` is held during a step.

    Where much is waiting, the commit of a step runs beside the computation of the next one (one at most, in order), and
    where several queries have something to do, beside the steps of the others, so that their commits share a sync.  What
    others see, positions, account and state, is what is committed: whoever asks for the state waits for a commit that is
    under way.

    A persistent query commits its positions, state changes and outputs together and resumes where it stopped.  A
    transient one (``persistent=False``) keeps nothing and starts where its sources say.

    Args:
        inherit: the query that this one replaces.
        opening: if its state cannot be read, the query is in state ERROR; else that is a `StorageError`.
    """

    def __init__(
        self,
        query_id: str,
        dataflow: Dataflow,
        services: Services,
        *,
        persistent: bool = True,
        inherit: QueryRun | None = None,
        opening: bool = False,
    ) -> None:
        self.query_id = query_id
        self.dataflow = dataflow
        self.persistent = persistent
        self.lock = threading.RLock()
        self.state: State = "RUNNING"
        self.error: PenstockError | Exception | None = None
        self.steps = 0
        self._services = services
        self._log = services.log
        self._depths = stages(dataflow)
        topics = self._log.topics()
        sources = [node for node in dataflow.nodes if isinstance(node, Source)]
        for source in sources:
            if source.topic not in topics:
                raise StorageError(f"query {query_id} reads topic {source.topic}, which does not exist")
        self.partitions = max((topics[s.topic].partitions for s in sources), default=1)
        self._inputs = Inputs(dataflow, self._log, services.decoded, services.rows_max)
        self._account = Account()
        self._committing: Future[None] | None = None
        self._dirty = False
        """A step began and did not commit: the operators' state in memory is not that of any commit."""
        self._build(inherit, opening)

    # --- life cycle ------------------------------------------------------------------------

    def _build(self, inherit: QueryRun | None = None, opening: bool = False) -> None:
        """Make tasks, recover their state and find the positions."""
        self._ensure_copies()
        topics = self._log.topics()
        self._tasks = [Task(self.query_id, self.dataflow, p) for p in range(self.partitions)]
        self._empty = {n: empty_source_batch(s) for n, s in enumerate(self.dataflow.nodes) if isinstance(s, Source)}
        self._input_nodes = input_nodes(self.dataflow, self._tasks[0].operators)
        self._writers = {
            number: SinkWriter(node, self._log, topics[node.topic].partitions if node.topic else 1)
            for number, node in enumerate(self.dataflow.nodes)
            if isinstance(node, Sink)
        }
        keeper = StateKeeper(self._log, self._services.checkpoints, executor=self._services.checkpointer)
        for task in self._tasks:
            for number, operator in task.operators.items():
                node = self.dataflow.nodes[number].name
                for store in operator.stores:
                    name = f"{node}-{store.name}"
                    keeper.stores.append(DurableStore(self.query_id, name, task.partition, self.partitions, store))
        self._keeper = keeper
        self._complaints = ProcessingLog()
        committed: Mapping[TopicPartition, int] = {}
        if inherit is not None:
            self._adopt(inherit)
            return
        fresh = True
        for source in {i.source.name for i in self._inputs}:
            committed = self._log.positions(self._group(source)) if self.persistent else {}
            for entry in self._inputs:
                if entry.source.name != source:
                    continue
                place = (entry.source.topic, entry.partition)
                if place in committed:
                    entry.offset = committed[place]
                    fresh = False
                elif entry.source.from_beginning:
                    entry.offset = self._log.start_offset(*place)
                else:
                    entry.offset = self._log.end_offset(*place)
                entry.committed = entry.offset
        if self.persistent:
            if self._keeps_state and not fresh:
                try:
                    keeper.recover(self._services.recovered)
                except StorageError as error:
                    if not opening:
                        raise
                    _LOGGER.error("query %s stands still: %s", self.query_id, error)
                    self.state, self.error, self._dirty = "ERROR", error, True
            self._account = self._committed_account()
            if fresh:
                transaction = self._log.transaction()
                self._set_positions(transaction, [], self._account)
                transaction.commit()

    def _ensure_copies(self) -> None:
        """Have the topics for copies of inner rows.  One that holds other columns is of the query that this one replaces,
        and begins anew."""
        for topic, config in self.copies.items():
            have = self._log.topics().get(topic)
            if have is not None and (have.partitions, have.value_type) != (config.partitions, config.value_type):
                self._log.delete_topic(topic)
                have = None
            if have is None:
                self._log.create_topic(topic, config)

    @property
    def copies(self) -> dict[str, TopicConfig]:
        """The topics that it copies inner rows to."""
        return {
            node.topic: replace(
                node.copy, partitions=min(node.copy.partitions, self.partitions), properties={COPY_OF: self.query_id}
            )
            for node in self.dataflow.nodes
            if isinstance(node, Sink) and node.topic is not None and node.copy is not None
        }

    def _adopt(self, old: QueryRun) -> None:
        """Go on with the positions and the state of the query this one replaces (CREATE OR REPLACE)."""
        old._settle()
        old._restore()
        offsets = {(i.source.name, i.source.topic, i.partition): i.offset for i in old._inputs}
        by_topic = old.positions
        for entry in self._inputs:
            place = (entry.source.topic, entry.partition)
            offset = offsets.get((entry.source.name, *place), by_topic.get(place))
            entry.offset = entry.committed = self._log.start_offset(*place) if offset is None else offset
        old._keeper.settle()
        self._keeper.adopt(old._keeper)
        self._account = old._account
        transaction = self._log.transaction()
        self._set_positions(transaction, [], self._account)
        transaction.commit()

    @property
    def _keeps_state(self) -> bool:
        return self.persistent and self._services.durable

    def _group(self, source: str) -> str:
        return f"{self.query_id}/{source}"

    @property
    def groups(self) -> list[str]:
        """The consumer groups under which its positions and its account are kept."""
        return [*(self._group(i.source.name) for i in self._inputs), self._counter_group]

    @property
    def topics(self) -> set[str]:
        """The topics that it reads and writes, those of its state apart."""
        nodes = self.dataflow.nodes
        return {n.topic for n in nodes if isinstance(n, Source)} | {
            n.topic for n in nodes if isinstance(n, Sink) and n.topic
        }

    @property
    def changelogs(self) -> list[str]:
        """The topics that hold the changes of its stores."""
        return [d.topic for d in self._keeper.stores]

    @property
    def _counter_group(self) -> str:
        return f"{self.query_id}#account"

    def _committed_account(self) -> Account:
        saved = {name: count for (name, _), count in self._log.positions(self._counter_group).items()}
        return Account(**{k: saved.get(k, 0) for k in ("read", "filtered", "late", "bad", "written")})

    def pause(self) -> None:
        with self.lock:
            if self.state == "RUNNING":
                self._settle()
                self.state = "PAUSED"

    def resume(self) -> None:
        """Go on after PAUSE; after an error, from the last commit.

        Raises:
            StatementError: see `check_resumable`.
            StorageError: its state cannot be read.
        """
        with self.lock:
            self.check_resumable()
            if self.state == "ERROR":
                self._restore()
                self.error = None
            if self.state != "TERMINATED":
                self.state = "RUNNING"

    def check_resumable(self) -> None:
        """Raises: StatementError, if the query has failed and its state, in memory only, is lost with the failed step."""
        if self.state == "ERROR" and self._dirty and not self._recoverable:
            raise StatementError(
                f"query {self.query_id} has failed, and its state was in memory only: {self.error}",
                suggestion="DROP what it fills and create it again, or keep the database in a directory.",
            )

    @property
    def _recoverable(self) -> bool:
        """Whether the state as of the last commit can be had again after a step that broke off."""
        return self.persistent and (self._keeps_state or not self._keeper.stores)

    def _restore(self) -> None:
        """Where a step broke off, go back to the last commit: what it did to the operators is not used again.

        Raises:
            DataError: the state was in memory only.
            StorageError: it cannot be read.
        """
        if not self._dirty:
            return
        if not self._recoverable:
            reason = "it was interrupted" if self.error is None else str(self.error)
            raise DataError(f"query {self.query_id} broke off inside a step, and its state was in memory only: {reason}")
        self._keeper.abandon()
        self._build()
        self._dirty = False

    def stop(self) -> None:
        """End it here; a persistent query can be started again from what it committed."""
        with self.lock:
            self.state = "TERMINATED"
            self._settle(failed=True)
            self._keeper.abandon()

    def terminate(self) -> None:
        """End it and forget its state and positions."""
        with self.lock:
            self.state = "TERMINATED"
            if not self.persistent:
                return
            self._settle(failed=True)
            if self._services.durable:
                self._keeper.forget()
            for source in {i.source.name for i in self._inputs}:
                self._log.delete_group(self._group(source))
            self._log.delete_group(self._counter_group)
            self.forget_copies(())

    def forget_copies(self, kept: Container[str]) -> None:
        """Delete the topics that it copied inner rows to, but for those that the query which replaces it goes on with."""
        topics = self._log.topics()
        for topic in self.copies:
            if topic in topics and topic not in kept:
                self._log.delete_topic(topic)

    def fail(self, error: Exception) -> None:
        """The query cannot go on.  What it committed stays; the step in hand did not happen."""
        with self.lock:
            self._settle(failed=True)
            self.state = "ERROR"
            self.error = error

    # --- reading what it does --------------------------------------------------------------

    @property
    def positions(self) -> dict[TopicPartition, int]:
        """The next offset per input partition (the smaller one where two sources read the same topic)."""
        with self.lock:
            return self._inputs.positions

    @property
    def lag(self) -> int:
        """Records that its inputs hold and it has not taken in."""
        return self._inputs.lag

    @property
    def patience_s(self) -> float | None:
        """How long it will go on waiting for an input that has no records; None if it does not wait."""
        return self._inputs.patience_s

    @property
    def account(self) -> Account:
        return self._account

    def progress(self) -> Progress:
        stores = [d.store for d in self._keeper.stores]
        return Progress(
            self.state,
            self.lag,
            self._account,
            sum(len(s) for s in stores),
            sum(s.size_bytes for s in stores),
            self.steps,
            None if self.error is None else str(self.error),
        )

    def tasks(self) -> Sequence[Task]:
        """One per partition, with their state as committed; to be used with ``lock`` held.

        Raises:
            DataError, StorageError: the query has failed, and there is no such state any more, see `resume`.
        """
        self._settle()
        self._restore()
        return self._tasks

    # --- a step ----------------------------------------------------------------------------

    def step(self, *, patient: bool = False, aside: bool = False) -> bool:
        """Take in the next records, if there are any.

        Args:
            patient: where one input has records and another has none, wait for that one as long as
                ``Dataflow.max_task_idle_ms`` says, by taking in nothing.
            aside: others are to be stepped meanwhile: do not wait for the commit.

        Returns:
            whether anything was taken in.

        Raises:
            DataError, StorageError, InternalError: the query cannot go on, and is in state ERROR.
        """
        with self.lock:
            if self.state != "RUNNING":
                return False
            try:
                return self._step(patient, aside)
            except PenstockError as error:
                self.fail(error)
                raise
            except Exception as error:
                # the boundary of a query: whatever it is, the query stops and shows it
                wrapped = InternalError(f"query {self.query_id} stopped: {type(error).__name__}: {error}")
                self.fail(wrapped)
                raise wrapped from error

    def _step(self, patient: bool, aside: bool) -> bool:
        self._restore()
        taken = self._take(patient)
        if not taken:
            return self._settle()
        self._dirty = True
        outcome = self._compute(taken)
        self._settle()
        if self._commits_aside(taken, aside):
            assert self._services.committer is not None
            self._committing = self._services.committer.submit(copy_context().run, self._commit, outcome)
            self._dirty = False
        else:
            self._commit(outcome)
            self._dirty = False
            if self._keeps_state:
                self._keeper.checkpoint_if_due()
        self.steps += 1
        return True

    def _take(self, patient: bool) -> list[Taken]:
        """The step's records.  Inputs whose next record retention has removed read on where ``auto.offset.reset`` says;
        that is committed at once, with a line in the processing log: nobody would notice otherwise."""
        while True:
            before = {id(entry): entry.offset for entry in self._inputs}
            try:
                return self._inputs.take(patient=patient)
            except OffsetOutOfRangeError as outside:
                self._settle()
                moved = self._inputs.reset(outside)
                if not moved:
                    raise
                complaints = ProcessingLog()
                for entry in moved:
                    complain_about_gap(complaints, self.query_id, entry, before[id(entry)], outside)
                self._commit_gap(moved, complaints)

    def _commit_gap(self, moved: list[Input], complaints: ProcessingLog) -> None:
        """Commit that inputs read on elsewhere, and what is to be said about it."""
        transaction = self._log.transaction()
        rows = complaints.records()
        assert rows is not None
        transaction.append(TOPIC, rows, 0)
        if self.persistent:
            nothing = np.zeros(0, np.int64)
            skipped = [Taken(entry, None, 0, 0, nothing, entry.offset) for entry in moved]
            self._set_positions(transaction, skipped, self._account)
        transaction.commit(durable=self.persistent and self.dataflow.durable)
        for entry in moved:
            entry.committed = entry.offset

    def _commits_aside(self, taken: list[Taken], others: bool) -> bool:
        """Whether the next step may be computed while this one is committed: there are others to step, or this one is large
        and more is waiting; and no checkpoint, which needs state and commit to agree, is due."""
        if self._services.committer is None or not self.persistent or self._keeper.due:
            return False
        large = sum(len(t.positions) for t in taken) >= _PARALLEL_ROWS_MIN
        return others or (
            large and any(self._log.end_offset(t.input.source.topic, t.input.partition) > t.next_offset for t in taken)
        )

    def _settle(self, *, failed: bool = False) -> bool:
        """Wait for the commit that is under way; false if there is none.

        Args:
            failed: the query has failed or ends anyway; whether this commit happened shows in the log.

        Raises:
            StorageError: the commit did not happen, and the query has failed.
        """
        committing = self._committing
        if committing is None:
            return False
        wait([committing])
        self._committing = None
        error = committing.exception()
        if error is not None:
            self._dirty = True
        if error is not None and not failed:
            self.fail(error if isinstance(error, Exception) else StorageError(f"a commit was interrupted: {error!r}"))
            raise error
        return True

    def _compute(self, taken: list[Taken]) -> Outcome:
        """Run the operators over what was taken and gather what is to be committed."""
        batches, account = self._batches(taken)
        self._run(batches)
        complain_about_reports(self._complaints, self.query_id, self._tasks, taken)
        for task in self._tasks:
            counted = [task.operators[n].context.counters for n in self._input_nodes if n in task.operators]
            account = account.plus(account_of(counted))
            for counters in counted:
                counters.filtered = counters.late = counters.bad = 0
        changes = self._keeper.drain_changes(kept=self._keeps_state)
        complaints, self._complaints = self._complaints, ProcessingLog()
        for item in taken:
            item.input.offset = item.next_offset
        return Outcome(taken, batches, changes, account, complaints)

    def _batches(self, taken: list[Taken]) -> tuple[list[dict[int, Batch]], Account]:
        """Every task's source batches, by node number, and how many rows were read and bad."""
        batches: list[dict[int, Batch]] = [{} for _ in self._tasks]
        read = bad_rows = 0
        for item in taken:
            assert item.chunk is not None
            entry = item.input
            batch, bad = to_batch(entry.source, entry.partition, item.chunk, item.start, item.stop, item.positions)
            read += item.stop - item.start
            batches[entry.partition][entry.node] = batch
            if bad is not None:
                bad_rows += len(bad.rows)
                complain_about_input(self._complaints, self.query_id, item, bad)
        for number, node in enumerate(self.dataflow.nodes):
            if isinstance(node, Source):
                for own in batches:
                    if number not in own:
                        own[number] = self._empty[number]
        return batches, Account(read=read, bad=bad_rows)

    def _run(self, batches: list[dict[int, Batch]]) -> None:
        """All stages, one after the other; the tasks of a stage side by side."""
        rows = sum(len(b) for own in batches for b in own.values())
        pool = self._services.pool if len(self._tasks) > 1 and rows >= _PARALLEL_ROWS_MIN else None
        for stage in range(max(self._depths) + 1):
            if stage:
                self._exchange(stage, batches)
            if pool is None:
                for task, own in zip(self._tasks, batches, strict=True):
                    task.run(stage, self._depths, own)
            else:
                running = [  # each in a context of its own, for the clock in force
                    pool.submit(copy_context().run, t.run, stage, self._depths, own) for t, own in zip(self._tasks, batches)
                ]
                wait(running)  # all of them, also where one fails: none may run on behind the back of a restart
                for future in running:
                    future.result()

    def _exchange(self, stage: int, batches: list[dict[int, Batch]]) -> None:
        """Hand the rows of this stage's exchanges to the partitions of their keys."""
        for number, node in enumerate(self.dataflow.nodes):
            if not isinstance(node, Exchange) or self._depths[number] != stage:
                continue
            count = len(self._tasks)
            if count == 1:
                batches[0][number] = batches[0][node.input]
                continue
            parts: list[list[Batch]] = [[] for _ in range(count)]
            for origin, own in enumerate(batches):
                batch = own[node.input]
                if len(batch) == 0:
                    continue  # most of them, where there are thousands
                if node.key_serde is None:
                    parts[0].append(batch)
                    continue
                key_schema = pa.schema(list(batch.schema)[: batch.key_count])
                encoded = node.key_serde.encode(batch.keys, key_schema, all_null(batch.keys, 0, len(batch)))
                spread = count if node.partitions is None else min(node.partitions, count)
                placed = self._log.partitions_of(encoded.data, spread)
                placed = np.where(placed < 0, origin, placed)
                for target in np.unique(placed).tolist():
                    parts[target].append(batch.filter(placed == target))
            nothing = batches[0][node.input].slice(0, 0)
            for target, pieces in enumerate(parts):
                batches[target][number] = concat(pieces) if pieces else nothing

    def _commit(self, outcome: Outcome) -> None:
        """Outputs, state changes, positions and complaints in one transaction, then hand rows to subscriptions."""
        taken, batches, complaints = outcome.taken, outcome.batches, outcome.complaints
        transaction = self._log.transaction()
        written = bad = 0
        for number, writer in self._writers.items():
            before = writer.rows_out
            name = writer.sink.name

            def unwritten(side: str, rows: Int64s, reasons: tuple[str, ...], batch: Batch, name: str = name) -> None:
                positions = batch.positions[rows]
                complain(complaints, self.query_id, taken, SERIALIZATION_ERROR, name, side, positions, reasons)

            parts = [(own[number], task.partition) for task, own in zip(self._tasks, batches, strict=True)]
            writer.write(transaction, parts, unwritten)
            if writer.sink.copy is not None:
                continue
            written += writer.rows_out - before
            if number in self._input_nodes:
                bad += sum(len(own[number]) for own in batches) - (writer.rows_out - before)
        account = self._account.plus(outcome.account).plus(Account(written=written, bad=bad))
        rows = complaints.records()
        if rows is not None:
            transaction.append(TOPIC, rows, 0)
        if self.persistent:
            self._keeper.append_changes(transaction, outcome.changes)
            self._set_positions(transaction, taken, account)
            transaction.commit(durable=self.dataflow.durable)
        elif rows is not None:
            transaction.commit(durable=False)
        else:
            transaction.abort()
        self._account = account
        for item in taken:
            item.input.committed = item.next_offset
        for number, node in enumerate(self.dataflow.nodes):
            if isinstance(node, Tap):
                output = concat([own[number] for own in batches])
                if len(output):
                    node.receive(output)

    def _set_positions(self, transaction: Transaction, taken: list[Taken], account: Account) -> None:
        moved = {id(item.input): item.next_offset for item in taken}
        by_source: dict[str, dict[TopicPartition, int]] = {}
        for entry in (item.input for item in taken) if taken else self._inputs:
            places = by_source.setdefault(entry.source.name, {})
            places[entry.source.topic, entry.partition] = moved.get(id(entry), entry.committed)
        for source, places in by_source.items():
            transaction.set_positions(self._group(source), places)
        counts = {"read": account.read, "filtered": account.filtered, "late": account.late, "bad": account.bad}
        counts["written"] = account.written
        transaction.set_positions(self._counter_group, {(name, 0): count for name, count in counts.items()})
