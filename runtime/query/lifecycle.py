"""The life of a query: it is started, paused, resumed, stopped, or fails; in between it takes steps."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import pyarrow as pa

from ... import limits
from ...errors import PenstockError, StatementError, StorageError
from ...storage.log.protocol import TopicPartition, partitions
from ..dataflow import Dataflow, Sink, Source, TableView
from ..user_code import is_ours, is_the_end
from .assembly import Assembly
from .elsewhere import Elsewhere
from .group_commit import GroupCommit
from .handover import Handover
from .ledger import CommittedLedger, Ledger
from .published import Parts
from .repartitioning import ensure_moving_topics, through_topics
from .services import Services
from .sharing import Sharing
from .status import State, Status
from .step_data import InputSlice
from .stepping import Steps, as_ours
from .task import NodeError, Task

_LOGGER = logging.getLogger("penstock.queries")
Others = Callable[[Sequence[Any] | None], list[pa.Table]]
"""Finds the rows of a table that other processes have, in the shape of its `TableView`: those with the given keys (an array
for each key column of the store), or all."""


class QueryRun:
    """One query.  Thread-safe: ``lock`` is held during a step.

    Others see only what is committed of positions, account and state: whoever asks for the state waits for a commit that
    is under way (see `Steps`).

    A query commits positions, state changes and outputs together, and resumes where it stopped as far as its ledger goes.

    Attributes:
        reads, writes: topics.
        parts: what it consists of.
        status: what it is doing.
        error: what it failed with, in state ERROR.

    Args:
        ledger: keeps its positions; by default the log (`CommittedLedger`).  `NoLedger` makes the query transient: it
            keeps nothing and starts where its sources say.
        inherit: the query that this one replaces.
        opening: if its state cannot be read, the query starts in state ERROR instead of raising `StorageError`.
        on_failure: called with the error when the query fails.
        on_gap: called with the number of records that retention removed unread; the query then skips them.
        on_slices: called with the input of each step before its commit.
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
        on_slices: Callable[[list[InputSlice]], None] | None = None,
    ) -> None:
        self.query_id = query_id
        self.state: State = "RUNNING"
        self.error: PenstockError | Exception | None = None
        sources = [node for node in dataflow.nodes if isinstance(node, Source)]
        for source in sources:
            if services.log.config(source.topic) is None:
                raise StorageError(f"query {query_id} reads topic {source.topic}, which does not exist")
        self.reads = frozenset(source.topic for source in sources)
        self.writes = frozenset(n.topic for n in dataflow.nodes if isinstance(n, Sink) and n.topic is not None)
        shares = services.log.capabilities.shared and ledger is None
        if shares:
            dataflow = through_topics(
                dataflow, query_id, max((partitions(services.log, s.topic) for s in sources), default=1)
            )
            ensure_moving_topics(services.log, dataflow)
        self.dataflow = dataflow
        sharing = Sharing(services.log, query_id, dataflow) if shares else None
        if ledger is None:
            ledger = CommittedLedger(services.log, query_id) if sharing is None else sharing.ledger
        self.parts = Assembly(query_id, dataflow, services, ledger, sharing)
        self._steps = Steps(self.parts, self.fail, on_gap, on_slices, alone=sharing is not None)
        self.lock = self._steps.lock
        self.status = Status(self.parts, self._steps, sharing, lambda: (self.state, self.error))
        self._on_failure = on_failure
        self._handover: Handover | None = None
        self._elsewhere: Elsewhere | None = None
        if sharing is not None:
            self._elsewhere = Elsewhere(services.log, query_id, dataflow, sharing)
            self._handover = Handover(sharing, self.parts, self._steps, lambda: self.state == "TERMINATED")
        self._begin(inherit, opening)
        if self._handover is not None:
            self._handover.join()
            if self.parts.standbys is not None:
                self.parts.standbys.start()

    def _begin(self, inherit: QueryRun | None, opening: bool) -> None:
        if inherit is not None:
            inherit._steps.come_to_rest()
            inherit._steps.restore(inherit.error)
            inherit.parts.inputs.settle()
            self.parts.adopt(inherit.parts)
            return
        try:
            self.parts.recover()
        except StorageError as error:
            if self._handover is not None and self._handover.goes_on_later(error):
                return  # it begins as it goes on whenever the log does not answer
            if not opening:
                raise
            _LOGGER.error("query %s stands still: %s", self.query_id, error)
            self.state, self.error, self._steps.dirty = "ERROR", error, True

    @property
    def topics(self) -> frozenset[str]:
        """The topics that it reads and writes, without those of its state."""
        return self.reads | self.writes

    @property
    def groups(self) -> Sequence[str]:
        """The consumer groups that keep its positions and its account."""
        return self.parts.ledger.groups(self.parts.inputs.sources)

    # --- life cycle ------------------------------------------------------------------------

    def pause(self) -> None:
        """Take no steps until `resume`."""
        with self._steps.at_rest():
            if self.state == "RUNNING":
                self._steps.come_to_rest()
                self.state = "PAUSED"
                _LOGGER.info("query %s is paused", self.query_id)

    def resume(self) -> None:
        """Continue after PAUSE; after an error, from the last commit.

        Raises:
            StatementError: see `check_resumable` and `between_steps`.
            StorageError: its state cannot be read.
        """
        with self.between_steps():
            self.check_resumable()
            if self.state == "ERROR":
                self._steps.restore(self.error)
                self.error = None
            if self.state != "TERMINATED":
                self.state = "RUNNING"

    def check_resumable(self) -> None:
        """Raises: StatementError, if the query has failed and its state was in memory only, so that it is lost."""
        if self.state == "ERROR" and self._steps.dirty and not self._steps.recoverable:
            raise StatementError(
                f"query {self.query_id} has failed, and its state was in memory only: {self.error}",
                suggestion="DROP what it fills and create it again, or keep the database in a directory.",
            )

    @contextmanager
    def ending_soon(self) -> Iterator[None]:
        """Let no step begin, and wait for the end of the one in hand, which ends at its next row.

        Raises:
            StatementError: it did not end in time, see `limits.STEP_END_SECONDS_MAX`.
        """
        with self._steps.ending_soon(limits.STEP_END_SECONDS_MAX) as ended:
            if not ended:
                raise self._steps.endless()
            yield

    def between_steps(self) -> AbstractContextManager[None]:
        """Hold it between two steps.  Raises: StatementError, if the one in hand takes longer than `ending_soon` waits."""
        return self._steps.between_steps()

    def interrupt(self) -> None:
        """End the current step at its next row and begin no other: the query is about to be stopped."""
        self._steps.interrupt()

    def fail(self, error: Exception) -> None:
        """Put the query into state ERROR.  What it committed stays; the current step did not happen."""
        with self.lock:
            self._steps.settle(failed=True)
            self.state = "ERROR"
            self.error = error
        self._on_failure(error)

    def stop(self) -> None:
        """Stop it here.  A persistent query can be started again from what it committed.

        A step that does not end is left to itself: it will find that it cannot commit.
        """
        self._leave()
        with self._steps.ending_soon(limits.STEP_END_SECONDS_MAX) as ended:
            if not ended:
                self.state = "TERMINATED"
                _LOGGER.error("%s", self._steps.endless().message)
                return
        with self._steps.at_rest():
            self.state = "TERMINATED"
            self._steps.settle(failed=True)
            self.parts.inputs.settle()
            self.parts.keeper.abandon()

    def terminate(self) -> None:
        """Stop it, and delete its state and positions."""
        self._leave()
        with self._steps.at_rest():
            self.state = "TERMINATED"
            self.parts.inputs.settle()
            if not self.parts.ledger.kept:
                return
            self._steps.settle(failed=True)
            self.parts.forget()

    def _leave(self) -> None:
        if self.parts.standbys is not None:
            self.parts.standbys.close()
        if self._handover is not None:
            self._handover.sharing.leave()

    # --- for whoever schedules it ------------------------------------------------------------

    @property
    def places(self) -> Sequence[TopicPartition]:
        """The partitions that it reads."""
        return self.parts.inputs.places

    def goes_on(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Whether the query has something to do although no input has records beyond these ends."""
        return self._steps.goes_on(ends)

    @property
    def patience_s(self) -> float | None:
        """How long it still waits for an input without records, in seconds; None if it does not wait."""
        if self._handover is not None and self._handover.sharing.is_due:
            return max(0.01, self._handover.sharing.waits_s)
        return self.parts.inputs.patience_s

    def step(self, *, patient: bool = False, group_commit: GroupCommit | None = None, bounded: bool = False) -> bool:
        """Take a step over the next records, if there are any.

        Args:
            patient: if one input has records and another has none, wait for that one up to ``Dataflow.max_task_idle_ms``,
                by taking no records.
            group_commit: commits the step together with those of other queries.
            bounded: take no more rows than can be processed in `TARGET_S`, since other queries wait for this thread
                (`StepSize`).

        Returns:
            whether records were processed, or the step must be tried again.

        Raises:
            DataError, StorageError, InternalError: the query failed and is in state ERROR.
        """
        if self._steps.ending:
            return False
        if self._handover is not None and not patient:
            self._handover.sharing.wait()
        with self.lock:
            if self.state != "RUNNING":
                return False
            try:
                if self._handover is not None and not self._handover.take_over():
                    return False
                return self._steps.take(patient, group_commit, bounded)
            except BaseException as error:
                # the boundary of a query: whatever it is, the query stops and shows it
                if is_ours(error) or is_the_end(error):
                    raise
                if self._handover is not None and self._handover.goes_on_later(error):
                    return False
                failure = as_ours(self.query_id, error)
                self.fail(failure)
                raise failure from (error.cause if isinstance(error, NodeError) else error)

    def settle(self) -> None:
        """Note the outcome of a commit that was made together with others.

        Raises:
            StorageError: it failed, and the query is in state ERROR.
        """
        self._steps.settle_gathered()

    def advance(self, time_ms: int) -> None:
        """Move stream time of all windows to an instant without a record, as a step, so that windows close.

        For tests.

        Raises:
            DataError, StorageError, InternalError: the query failed.
        """
        with self.lock:
            if self.state == "RUNNING" and not self._steps.ending:
                self._steps.advance(time_ms)

    # --- its state, for readers --------------------------------------------------------------

    @property
    def shares(self) -> Sharing | None:
        """How it shares its partitions with other processes; None if it has all of them."""
        return None if self._handover is None else self._handover.sharing

    def tasks(self) -> Sequence[Task]:
        """The tasks, one per partition, with their state as committed.  Use them with ``lock`` held.

        Raises:
            DataError, StorageError: the query has failed and has no such state, see `resume`.
        """
        self._steps.come_to_rest()
        self._steps.restore(self.error)
        return self.parts.computer.tasks

    @property
    def view(self) -> TableView:
        """How to read its table.  Raises: InternalError, if it maintains none."""
        return self.parts.published.view

    @property
    def published(self) -> Parts | None:
        """The table as of the last commit, if it was published then."""
        return self.parts.published.parts

    def snapshot(self) -> Parts:
        """The table as of the last commit, without the rows that other processes have.

        Waits for the step in hand only if nothing was published with that commit.

        Raises:
            StatementError: it is not known which partitions are this process's; or see `between_steps`.
            DataError, StorageError: see `tasks`.
        """
        if self._handover is not None:
            self._handover.take_place()
        published = self.parts.published
        parts = published.ask()
        if parts is None:
            with self.between_steps():
                parts = published.take(self.tasks())
                published.parts = parts
        return parts

    def shared_snapshot(self) -> tuple[Parts, Others | None]:
        """This process's part of the table (`snapshot`), and a function that gives the rows of other processes.

        The function is None if this process has all rows.

        Raises:
            as `snapshot`.
        """
        sharing, elsewhere = self.shares, self._elsewhere
        if sharing is None or elsewhere is None:
            return self.snapshot(), None
        while True:
            mine = sharing.mine
            parts = self.snapshot()
            if sharing.mine is mine and not sharing.moved:
                held = sharing.held
                return parts, None if len(held) == sharing.partitions else partial(elsewhere.rows, have=held)

    def parts_for_others(self, partitions: Sequence[int]) -> Parts | None:
        """Partitions of the table as of the newest commit, for another process.

        None if this process has not got all of them.

        Raises:
            DataError, StorageError: see `tasks`.
        """
        handover = self._handover
        if handover is None:
            return None
        with self.lock:  # a commit that others can see is in it then
            if not handover.take_over() or not handover.sharing.held.issuperset(partitions):
                return None
            parts = self.parts.published.take(self.tasks())
            return tuple(parts[partition] for partition in partitions)
