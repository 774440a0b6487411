"""A running query: one step after the other, each committed as a whole; started, paused, failed, resumed and ended."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Literal

from ...errors import (
    DataError,
    InternalError,
    LogUnavailableError,
    OffsetOutOfRangeError,
    PartitionsLostError,
    PenstockError,
    StatementError,
    StorageError,
)
from ...limits import MARKED_STATE_BYTES_MAX
from ...storage.log.protocol import TopicConfig, TopicPartition, partitions
from ...storage.state.store import Capture
from ..dataflow import Dataflow, Sink, Source, View
from ..metrics import Account, Progress, Tally
from ..processing_log import ProcessingLog
from ..user_code import Allowance, StepOverrun, allowed, is_ours, is_the_end, text_of
from .commit import StepCommitter
from .inputs import Inputs
from .ledger import CommittedLedger, Ledger
from .pace import OVERRUN_S, Pace
from .published import Parts, Published
from .recovery import DurableStore, StateKeeper
from .reports import complain_about_gap, complain_about_row
from .services import Services
from .sharing import Sharing
from .step import PARALLEL_ROWS_MIN, StepComputer
from .taken import Outcome, Taken
from .task import NodeError, Task
from .together import Together

_LOGGER = logging.getLogger("penstock.queries")

State = Literal["RUNNING", "PAUSED", "ERROR", "TERMINATED"]
COPY_OF = "copy.of"
"""The property of an internal topic that names the query which copies rows to it."""


@dataclass(frozen=True, slots=True)
class _Committing:
    """A commit that is under way: of what was taken, and the state before that step if it is marked.

    Attributes:
        wait: returns, when it is known, what it failed with; None if it happened.
    """

    wait: Callable[[], BaseException | None]
    taken: list[Taken]
    marks: list[Capture] | None
    gathered: bool


def _waiting_for(future: Future[None]) -> Callable[[], BaseException | None]:
    def outcome() -> BaseException | None:
        wait([future])
        return future.exception()

    return outcome


class QueryRun:
    """One query.  Thread-safe: ``lock`` is held during a step.

    Where much is waiting, the commit of a step runs beside the computation of the next one (one at most, in order), and
    where several queries have something to do, their commits are done together (`Together`).  What
    others see, positions, account and state, is what is committed: whoever asks for the state waits for a commit that is
    under way.

    A query commits its positions, state changes and outputs together and resumes where it stopped, as far as its ledger
    keeps them.

    Attributes:
        reads, writes: topics.

    Args:
        ledger: where its positions are kept; by default in the log (`CommittedLedger`).  With `NoLedger` it is transient:
            it keeps nothing and starts where its sources say.
        inherit: the query that this one replaces.
        opening: if its state cannot be read, the query is in state ERROR; else that is a `StorageError`.
        on_failure: is told what it failed with.
    """

    def __init__(
        self,
        query_id: str,
        dataflow: Dataflow,
        services: Services,
        *,
        ledger: Ledger | None = None,
        inherit: QueryRun | None = None,
        opening: bool = False,
        on_failure: Callable[[Exception], None] = lambda error: None,
        on_gap: Callable[[int], None] | None = None,
        on_taken: Callable[[list[Taken]], None] | None = None,
    ) -> None:
        self.query_id = query_id
        self.dataflow = dataflow
        self.lock = threading.RLock()
        self.state: State = "RUNNING"
        self.error: PenstockError | Exception | None = None
        self.steps = 0
        self._services = services
        self._log = services.log
        shares = services.log.capabilities.shared and ledger is None
        self._sharing = Sharing(services.log, query_id, dataflow) if shares else None
        if ledger is not None:
            self._ledger: Ledger = ledger
        elif self._sharing is not None:
            self._ledger = self._sharing.ledger
        else:
            self._ledger = CommittedLedger(services.log, query_id)
        self._on_failure = on_failure
        self._on_gap = on_gap
        self._on_taken = on_taken
        sources = [node for node in dataflow.nodes if isinstance(node, Source)]
        for source in sources:
            if self._log.config(source.topic) is None:
                raise StorageError(f"query {query_id} reads topic {source.topic}, which does not exist")
        self.reads = frozenset(source.topic for source in sources)
        self.writes = frozenset(n.topic for n in dataflow.nodes if isinstance(n, Sink) and n.topic is not None)
        self.partitions = max((partitions(self._log, s.topic) for s in sources), default=1)
        self._inputs = Inputs(dataflow, self._log, services.decoded, services.rows_max, services.pool)
        self._committing: _Committing | None = None
        self._dirty = False
        """A step began and did not commit: the operators' state in memory is not that of any commit."""
        self._marks: list[Capture] | None = None
        """The state before the step in hand."""
        self._pace = Pace(services.rows_max)
        self._published = Published(query_id, dataflow)
        self._allowance = Allowance()
        self._tallies = [Tally() for _ in dataflow.nodes]
        self._guard = threading.Lock()
        self._ending = 0
        """How many threads want the step in hand to end."""
        self._build(inherit, opening)
        if self._sharing is not None:
            self._sharing.join(self._reassign)

    # --- life cycle ------------------------------------------------------------------------

    def _build(self, inherit: QueryRun | None = None, opening: bool = False) -> None:
        """Make tasks, recover their state and find the positions."""
        self._ensure_copies()
        self._make()
        if inherit is not None:
            self._adopt(inherit)
            self._published.start(self._computer.tasks)
            return
        fresh = not self._inputs.seek(self._ledger)
        if self._keeps_state and not fresh:
            try:
                self._keeper.recover(self._services.recovered)
            except StorageError as error:
                if not opening:
                    raise
                _LOGGER.error("query %s stands still: %s", self.query_id, error)
                self.state, self.error, self._dirty = "ERROR", error, True
        self._committer.account = self._ledger.account()
        if fresh and self._ledger.kept:
            self._committer.commit_start()
        if not self._dirty:
            self._published.start(self._computer.tasks)

    def _make(self) -> None:
        """Tasks without any state, and what commits their steps."""
        self._computer = StepComputer(
            self.query_id, self.dataflow, self._log, self.partitions, self._services.pool, self._tallies
        )
        if self._sharing is not None:
            mine = self._sharing.mine
            services = self._services
            self._inputs = Inputs(self.dataflow, self._log, services.decoded, services.rows_max, services.pool, mine)
        self._keeper = self._stores_of(self._computer.tasks)
        self._committer = StepCommitter(
            self.query_id,
            self.dataflow,
            self._log,
            self._ledger,
            self._keeper,
            self._inputs,
            self._computer.input_nodes,
            self._published,
        )

    def _stores_of(self, tasks: Sequence[Task]) -> StateKeeper:
        keeper = StateKeeper(self._log, self._services.checkpoints, executor=self._services.checkpointer)
        for task in tasks if self._sharing is None else [t for t in tasks if t.partition in self._sharing.mine]:
            for number, operator in task.operators.items():
                node = self.dataflow.nodes[number].name
                for store in operator.stores:
                    name = f"{node}-{store.name}"
                    keeper.stores.append(DurableStore(self.query_id, name, task.partition, self.partitions, store))
        return keeper

    def _ensure_copies(self) -> None:
        """Have the topics for copies of inner rows.  One that holds other columns is of the query that this one replaces,
        and begins anew."""
        for topic, config in self.copies.items():
            have = self._log.config(topic)
            if have is not None and (have.partitions, have.value_type) != (config.partitions, config.value_type):
                self._log.delete_topic(topic)
                have = None
            if have is None:
                self._log.create_topic(topic, config, durable=False)

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
        old._come_to_rest()
        old._restore()
        self._inputs.adopt(old._inputs)
        old._keeper.settle()
        self._keeper.adopt(old._keeper)
        self._committer.account = old.account
        self._committer.commit_start()

    @property
    def _keeps_state(self) -> bool:
        return self._ledger.kept and self._services.durable

    @property
    def groups(self) -> Sequence[str]:
        """The consumer groups under which its positions and its account are kept."""
        return self._ledger.groups(self._inputs.sources)

    @property
    def topics(self) -> frozenset[str]:
        """The topics that it reads and writes, those of its state apart."""
        return self.reads | self.writes

    @property
    def changelogs(self) -> list[str]:
        """The topics that hold the changes of its stores."""
        return [d.topic for d in self._keeper.stores]

    def pause(self) -> None:
        with self._at_rest():
            if self.state == "RUNNING":
                self._come_to_rest()
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
        return self._keeps_state or not self._keeper.stores or self._marks is not None

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
        marks, self._marks = self._marks, None
        self._computer.take_seconds()
        if marks is not None or not self._ledger.kept:
            keeper, account = self._keeper, self.account
            self._make()
            self._keeper.go_back(marks or [], keeper)
            self._committer.account = account
            self._inputs.go_back()
        else:
            self._build()
        self._dirty = False

    def interrupt(self) -> None:
        """Have the step in hand end at its next row, and let none begin: this query is about to be stopped."""
        with self._guard:
            self._ending += 1
        self._allowance.ending = True

    @contextmanager
    def _at_rest(self) -> Iterator[None]:
        """The lock, soon: a step that is under way ends at its next row and is taken back."""
        with self._guard:
            self._ending += 1
        self._allowance.ending = True
        try:
            with self.lock:
                yield
        finally:
            with self._guard:
                self._ending -= 1

    def stop(self) -> None:
        """End it here; a persistent query can be started again from what it committed."""
        if self._sharing is not None:
            self._sharing.leave()
        with self._at_rest():
            self.state = "TERMINATED"
            self._settle(failed=True)
            self._keeper.abandon()

    def terminate(self) -> None:
        """End it and forget its state and positions."""
        if self._sharing is not None:
            self._sharing.leave()
        with self._at_rest():
            self.state = "TERMINATED"
            if not self._ledger.kept:
                return
            self._settle(failed=True)
            if self._services.durable:
                self._keeper.forget()
            self._ledger.forget(self._inputs.sources)
            self.forget_copies(())

    def forget_copies(self, kept: Container[str]) -> None:
        """Delete the topics that it copied inner rows to, but for those that the query which replaces it goes on with."""
        for topic in self.copies:
            if topic not in kept and self._log.config(topic) is not None:
                self._log.delete_topic(topic)

    # --- sharing its partitions with other processes ---------------------------------------

    def _reassign(self, mine: frozenset[int]) -> None:
        """These partitions are this process's from now on.  When it returns, nothing is done any more for the others."""
        sharing = self._sharing
        assert sharing is not None
        with self._at_rest():
            if self.state == "TERMINATED":
                return
            self._settle(failed=True)
            self._keeper.abandon()
            sharing.assign(mine)
        self._services.reassigned(self.query_id)

    def _is_mine(self) -> bool:
        """Whether it can be stepped here; where other partitions have come, their state is restored first."""
        sharing = self._sharing
        if sharing is None or not sharing.moved:
            return True
        if sharing.waits_s > 0:
            return False
        self._dirty, self._marks = False, None
        account = self.account
        self._build()
        self._committer.account = account
        sharing.settled()
        self._services.reassigned(self.query_id)
        return True

    def _take_place(self, sharing: Sharing) -> None:
        """Have the state of the partitions that are this process's.  Raises: StatementError, StorageError."""
        if not sharing.moved:
            return
        sharing.wait()
        with self.lock:
            if not self._is_mine():
                raise StatementError(
                    f"query {self.query_id} waits for its partitions: {sharing.error or 'they are given out'}"
                )

    def check_has(self) -> None:
        """Raises: StatementError, if a row that is not here may be with another process."""
        if self._sharing is not None:
            self._sharing.check_whole(self.query_id)

    def _goes_on_later(self, error: BaseException) -> bool:
        """Whether a failure is one after which it goes on by itself, from what is committed."""
        if self._sharing is None or not isinstance(error, (LogUnavailableError, PartitionsLostError)):
            return False
        _LOGGER.warning("query %s waits: %s", self.query_id, error)
        self._settle(failed=True)
        self._sharing.again(error)
        return True

    @property
    def is_in_place(self) -> bool:
        """Whether it is known which partitions are this process's, and it has their state."""
        return self._sharing is None or not self._sharing.moved

    @property
    def shares(self) -> Sharing | None:
        """How it shares its partitions with other processes; None if it has all of them."""
        return self._sharing

    def fail(self, error: Exception) -> None:
        """The query cannot go on.  What it committed stays; the step in hand did not happen."""
        with self.lock:
            self._settle(failed=True)
            self.state = "ERROR"
            self.error = error
        self._on_failure(error)

    # --- reading what it does --------------------------------------------------------------

    @property
    def positions(self) -> dict[TopicPartition, int]:
        """The next offset per input partition, as committed (the smaller one where two sources read the same topic)."""
        return self._inputs.positions

    @property
    def reading(self) -> dict[str, dict[TopicPartition, int]]:
        """Where each source is read on, by name; for a transient query: it commits nothing."""
        found: dict[str, dict[TopicPartition, int]] = {}
        for entry in self._inputs:
            found.setdefault(entry.source.name, {})[entry.source.topic, entry.partition] = entry.offset
        return found

    @property
    def keeps_stores(self) -> bool:
        """Whether what it puts out depends on more than the records that come."""
        return bool(self._keeper.stores)

    @property
    def places(self) -> Sequence[TopicPartition]:
        """The partitions that it reads."""
        return self._inputs.places

    @property
    def tallies(self) -> Sequence[Tally]:
        """What each node of the dataflow has done, steps whose commit failed included."""
        with self.lock:
            self._computer.take_seconds()
            return [replace(tally) for tally in self._tallies]

    @property
    def unread(self) -> list[tuple[Source, int, int, int]]:
        """For each partition of each input: its source, the partition, the next offset to read (as committed), and how
        many records wait from there on."""
        _, ends = self._log.end_offsets(self.places)
        return [
            (i.source, i.partition, i.committed, max(0, ends[i.source.topic, i.partition] - i.committed))
            for i in self._inputs
        ]

    @property
    def lag(self) -> int:
        """Records that its inputs hold and it has not taken in; 1 at least while its partitions are being given out."""
        return self._inputs.lag if self.is_in_place else max(1, self._inputs.lag)

    def goes_on(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Whether a step has left something to do before anything comes behind these ends of its inputs."""
        committing = self._committing
        if committing is not None and not committing.gathered:
            return True
        return any(i.offset < ends.get((i.source.topic, i.partition), 0) for i in self._inputs)

    @property
    def patience_s(self) -> float | None:
        """How long it will go on waiting for an input that has no records; None if it does not wait."""
        if self._sharing is not None and self._sharing.is_due:
            return max(0.01, self._sharing.waits_s)
        return self._inputs.patience_s

    @property
    def account(self) -> Account:
        """What became of its input, as committed."""
        return self._committer.account

    def progress(self) -> Progress:
        stores = [d.store for d in self._keeper.stores]
        return Progress(
            self.state,
            self.lag,
            self.account,
            sum(len(s) for s in stores),
            sum(s.size_bytes for s in stores),
            self.steps,
            self._trouble,
            self._keeper.stream_time,
        )

    @property
    def _trouble(self) -> str | None:
        error = self.error or (None if self._sharing is None else self._sharing.error)
        return None if error is None else str(error)

    def tasks(self) -> Sequence[Task]:
        """One per partition, with their state as committed; to be used with ``lock`` held.

        Raises:
            DataError, StorageError: the query has failed, and there is no such state any more, see `resume`.
        """
        self._come_to_rest()
        self._restore()
        return self._computer.tasks

    @property
    def view(self) -> View:
        """How its table is read.  Raises: InternalError, if it maintains none."""
        return self._published.view

    @property
    def published(self) -> Parts | None:
        """The table as of the last commit, if that was published."""
        return self._published.parts

    def snapshot(self, *, partial: bool = False) -> Parts:
        """The table as of the last commit.  Waits for the step in hand only if nothing was published with that commit.

        Args:
            partial: the partitions that are this process's will do.

        Raises:
            StatementError: other processes have some of its partitions.
            DataError, StorageError: see `tasks`.
        """
        if self._sharing is not None:
            self._take_place(self._sharing)
            if not partial:
                self._sharing.check_whole(self.query_id)
        parts = self._published.ask()
        if parts is None:
            with self.lock:
                parts = self._published.take(self.tasks())
                self._published.parts = parts
        return parts

    # --- a step ----------------------------------------------------------------------------

    def step(self, *, patient: bool = False, together: Together | None = None, bounded: bool = False) -> bool:
        """Take in the next records, if there are any.

        Args:
            patient: where one input has records and another has none, wait for that one as long as
                ``Dataflow.max_task_idle_ms`` says, by taking in nothing.
            together: others are stepped before and after it: let the commit wait for theirs.
            bounded: others wait for this thread: take in no more than fits into some time (`Pace`).

        Returns:
            whether anything was taken in, or is to be tried again.

        Raises:
            DataError, StorageError, InternalError: the query cannot go on, and is in state ERROR.
        """
        if self._ending:
            return False
        if self._sharing is not None and not patient:
            self._sharing.wait()
        with self.lock:
            if self.state != "RUNNING":
                return False
            try:
                if not self._is_mine():
                    return False
                return self._step(patient, together, bounded)
            except BaseException as error:
                # the boundary of a query: whatever it is, the query stops and shows it
                if is_ours(error) or is_the_end(error):
                    raise
                if self._goes_on_later(error):
                    return False
                failure = self._as_ours(error)
                self.fail(failure)
                raise failure from (error.cause if isinstance(error, NodeError) else error)

    def settle(self) -> None:
        """Take note of a commit that was done together with those of others.

        Raises:
            StorageError: it failed, and the query is in state ERROR.
        """
        committing = self._committing
        if committing is not None and committing.gathered:
            with self.lock:
                if self._committing is committing:
                    self._come_to_rest()

    def advance(self, time_ms: int) -> None:
        """Have stream time reach an instant in all its windows without a record, as a step of its own: those that are over
        close.  For tests, where time passes at will.

        Raises:
            DataError, StorageError, InternalError: the query cannot go on.
        """
        with self.lock:
            if self.state != "RUNNING" or self._ending:
                return
            self._settle()
            self._restore()
            for task in self._computer.tasks:
                for operator in task.operators.values():
                    operator.advance(time_ms)
            self._dirty = True
            outcome = self._computer.compute([], self._keeper, keeps_state=self._keeps_state)
            outcome.published = self._published.take_if_due(self._computer.tasks)
            self._committer.commit(outcome)
            self._dirty = False

    def _as_ours(self, error: BaseException) -> PenstockError:
        match error:
            case PenstockError():
                return error
            case NodeError(cause=DataError()):
                return DataError(f"query {self.query_id}, {error}")
            case NodeError():
                return InternalError(f"query {self.query_id} stopped: {error}")
        return InternalError(f"query {self.query_id} stopped: {text_of(error)}")

    def _step(self, patient: bool, together: Together | None, bounded: bool) -> bool:
        self._restore()
        self._marks = None
        taken: list[Taken] = []
        try:
            taken = self._take(patient, self._pace.rows(bounded=bounded))
            began_s = time.monotonic()
            if not taken:
                return self._settle()
            self._marks = self._mark()
            outcome = self._compute(taken, began_s + OVERRUN_S if bounded else None)
            if outcome is None:
                return not self._ending
            outcome.published = self._published.take_if_due(self._computer.tasks)
            if self._on_taken is not None:
                self._on_taken(outcome.taken)
            waits_s = time.monotonic()
            self._settle()
            began_s += time.monotonic() - waits_s  # for the commit before this one: fewer rows would not shorten that
            self._committing = self._commit_later(outcome, together)
            if self._committing is not None:
                self._dirty = False
            else:
                self._committer.commit(outcome)
                self._dirty = False
                if self._keeps_state:
                    self._keeper.checkpoint_if_due()
        except NodeError as error:
            if not self._narrow(taken, error):
                raise
            return True
        took_s = time.monotonic() - began_s
        self._pace.took(_rows(taken), took_s)
        self._published.stepped(took_s)
        self.steps += 1
        return True

    def _mark(self) -> list[Capture] | None:
        """The state before a step, if a failed one could not go back to it otherwise, or is likely to have to."""
        if not self._keeper.stores:
            return None
        if self._pace.careful or (not self._keeps_state and self._keeper.size_bytes <= MARKED_STATE_BYTES_MAX):
            return self._keeper.mark()
        return None

    def _compute(self, taken: list[Taken], deadline_s: float | None) -> Outcome | None:
        """The outcome of a step; None if it was taken back because it took too long or the query is to end."""
        rows = _rows(taken)
        began_s = time.monotonic()
        cheap = self._marks is not None or self._keeper.size_bytes <= MARKED_STATE_BYTES_MAX  # to take back
        allowance = Allowance(deadline_s if rows > 1 and cheap else None)
        self._dirty = True
        self._allowance = allowance
        allowance.ending = self._ending > 0
        try:
            with allowed(allowance if self._recoverable else None):
                return self._computer.compute(taken, self._keeper, keeps_state=self._keeps_state)
        except StepOverrun:
            if not allowance.ending:
                self._pace.overran(rows, allowance.rows, time.monotonic() - began_s)
            if not self._computer.touched:
                self._computer.clear()
                self._dirty = False
            return None

    def _narrow(self, taken: list[Taken], error: NodeError) -> bool:
        """After a step failed: go back to the last commit, and take fewer rows the next time, or leave out the one at fault.

        Returns:
            False if that cannot be done, or is not wanted (`Dataflow.row_failure`): the query stops.
        """
        earlier, self._committing = self._committing, None
        if earlier is not None:  # of the step before this one, which is first to be known
            before = earlier.wait()
            if before is not None:
                self._dirty, self._marks = True, earlier.marks
            if isinstance(before, NodeError):
                taken, error = earlier.taken, before
            elif before is not None:
                raise before
        self._dirty = True
        if self.dataflow.row_failure == "stop" or not self._recoverable:
            return False
        rows = _rows(taken)
        if rows == 1 and isinstance(error.cause, MemoryError):
            return False
        self._restore()
        if rows > 1:
            self._pace.failed(rows)
            return True
        complaints = ProcessingLog()
        complain_about_row(complaints, self.query_id, taken, error)
        self._committer.commit_without(taken, complaints)
        for item in taken:
            item.input.offset = item.next_offset
        self._pace.dropped()
        return True

    def _take(self, patient: bool, rows: int) -> list[Taken]:
        """The step's records.  Inputs whose next record retention has removed read on where ``auto.offset.reset`` says;
        that is committed at once, with a line in the processing log: nobody would notice otherwise."""
        while True:
            before = {id(entry): entry.offset for entry in self._inputs}
            try:
                return self._inputs.take(rows, patient=patient)
            except OffsetOutOfRangeError as outside:
                self._settle()
                moved = self._inputs.reset(outside, overtaken=self._on_gap is not None)
                if not moved:
                    raise
                if self._on_gap is not None:
                    self._on_gap(sum(max(0, min(entry.offset, outside.start) - before[id(entry)]) for entry in moved))
                complaints = ProcessingLog()
                for entry in moved:
                    complain_about_gap(complaints, self.query_id, entry, before[id(entry)], outside)
                self._committer.commit_gap(moved, complaints)

    def _commit_later(self, outcome: Outcome, together: Together | None) -> _Committing | None:
        """Have a step's commit done by somebody else: on a thread of its own, if the step is large and more is waiting,
        which is computed meanwhile; else together with those of others.  None if it is to be done now, as a checkpoint,
        which needs state and commit to agree, is due."""
        if not self._ledger.kept or self._keeper.due or self._sharing is not None:
            return None
        executor, taken = self._services.committer, outcome.taken
        if executor is not None and _rows(taken) >= PARALLEL_ROWS_MIN and self._behind(taken):
            future = executor.submit(copy_context().run, self._committer.commit, outcome)
            return _Committing(_waiting_for(future), taken, self._marks, gathered=False)
        if together is None:
            return None
        gathered = together.add(self._committer, self._committer.begin(outcome))
        return _Committing(gathered.wait, taken, self._marks, gathered=True)

    def _behind(self, taken: list[Taken]) -> bool:
        """Whether more is waiting where records were taken from."""
        return any(self._log.end_offset(t.input.source.topic, t.input.partition) > t.next_offset for t in taken)

    def _settle(self, *, failed: bool = False) -> bool:
        """Wait for the commit that is under way; false if there is none.

        Args:
            failed: the query has failed or ends anyway; whether this commit happened shows in the log.

        Raises:
            NodeError: a sink could not take its rows, so it did not happen.
            StorageError: it did not happen, and the query has failed.
        """
        committing = self._committing
        if committing is None:
            return False
        error = committing.wait()
        if isinstance(error, NodeError) and not failed:
            raise error  # `_narrow` looks at what was committed
        self._committing = None
        if error is not None:
            self._dirty, self._marks = True, committing.marks
        if error is None or failed:
            return True
        failure = error if isinstance(error, Exception) else StorageError(f"a commit was interrupted: {error!r}")
        self.fail(failure)
        raise failure

    def _come_to_rest(self) -> None:
        """`_settle`, where no step is to follow.

        Raises:
            PenstockError: the query has failed.
        """
        try:
            self._settle()
        except NodeError as error:
            if not self._narrow([], error):
                failure = self._as_ours(error)
                self.fail(failure)
                raise failure from error


def _rows(taken: list[Taken]) -> int:
    return sum(len(item.positions) for item in taken)
