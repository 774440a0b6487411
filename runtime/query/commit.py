"""The commit of a step: outputs, state changes, positions, account and reports in one transaction.

The five steps (docs/commit.md has them with what each crash leaves behind):

1. Operators process a batch; outputs and state changes gather in a transaction.          (`step`, here)
2. They are appended to their partitions' segments.                                       (`storage.log`)
3. The touched files are made durable.                                                    (`storage.log`)
4. One commit record says that it happened: epoch, input positions, end offsets.          (`storage.log`)
5. Readers see it.                                                                        (`storage.log`)

A query's state changes travel in the same transaction as its outputs and its input positions, so all three always agree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from ...errors import StorageError
from ...storage.log.protocol import Commit, Committing, Log, TopicPartition, Transaction, partitions
from ..batch import Batch, Int64s, concat
from ..dataflow import Dataflow, Sink, Tap
from ..metrics import RowCounts
from ..processing_log import SERIALIZATION_ERROR, TOPIC, ProcessingLog
from ..sink import SinkWriter
from ..user_code import is_ours
from .ledger import Ledger
from .published import Published
from .recovery import StateKeeper
from .reports import report_rows
from .step_data import ComputedStep, Input, InputSlice
from .task import NodeError


@dataclass(frozen=True, slots=True)
class Begun:
    """The transaction of a step.

    Attributes:
        account: the query's account after the commit.
        nothing: whether the transaction is empty.
        committing: for `StepCommitter.begin_alone`, its commit under way.  If this step is empty, that of the step before.
    """

    transaction: Transaction
    computed: ComputedStep
    account: RowCounts
    durable: bool
    nothing: bool
    committing: Committing | None = None


class StepCommitter:
    """Commits the steps of one query, one after the other.

    Attributes:
        account: as committed.

    Args:
        inputs: all inputs of the query; the commits move their ``committed``.
        input_nodes: see `task.input_nodes`.
        published: gets the table with each commit.
    """

    def __init__(
        self,
        query_id: str,
        dataflow: Dataflow,
        log: Log,
        ledger: Ledger,
        keeper: StateKeeper,
        inputs: Iterable[Input],
        input_nodes: frozenset[int],
        published: Published,
    ) -> None:
        self.account = RowCounts()
        self._ahead: RowCounts | None = None
        """The account as it will be when all steps that were begun are committed; None if none is under way."""
        self._query_id = query_id
        self._dataflow = dataflow
        self._log = log
        self._ledger = ledger
        self._keeper = keeper
        self._inputs = list(inputs)
        self._input_nodes = input_nodes
        self._published = published
        self._writers = {
            number: SinkWriter(node, log, 1 if node.topic is None else partitions(log, node.topic))
            for number, node in enumerate(dataflow.nodes)
            if isinstance(node, Sink)
        }

    def commit(self, computed: ComputedStep) -> None:
        """Commit a step, then hand its rows to subscriptions.

        Raises:
            NodeError: a sink failed on its rows; the step did not happen.
            StorageError: the step did not happen.
        """
        begun = self.begin(computed)
        if begun.nothing:
            begun.transaction.abort()
            self.happened(begun, None)
        else:
            self.happened(begun, begun.transaction.commit(begun.durable))

    def begin(self, computed: ComputedStep) -> Begun:
        """Make the transaction of a step, for a caller that commits it and then calls `finish`.

        Begin steps in their order.  After one that fails begin no other; a new `StepCommitter` continues from what is
        committed.

        Raises:
            NodeError: a sink failed on its rows.
            StorageError: a topic is gone.
        """
        transaction = self._log.transaction(whole=self._dataflow.once)
        account = self._ahead or self.account
        account = account.plus(computed.account).plus(self._write(transaction, computed))
        self._ahead = account
        return self._filled(transaction, computed, account)

    def begin_alone(self, computed: ComputedStep, after: Begun | None) -> Begun:
        """Make the transaction of a step and begin its commit.  Call `happened` when the commit has ended well.

        Args:
            after: what this returned for the step before, if that may still be under way; this step happens only if that
                does.

        Raises:
            NodeError: a sink failed on its rows.
            StorageError: the step does not happen.
        """
        begun = self.begin(computed)
        before = None if after is None else after.committing
        if begun.nothing:
            begun.transaction.abort()
            return replace(begun, committing=before)
        return replace(begun, committing=begun.transaction.begin_commit(begun.durable, before))

    def happened(self, begun: Begun, commit: Commit | None) -> None:
        """Note that a commit happened (None: the transaction was empty), for stores and readers."""
        if commit is not None:
            self._keeper.committed(commit, begun.computed.changes)
        self.finish(begun)

    def finish(self, begun: Begun) -> None:
        """Note that a step was committed: show its table and positions, and hand its rows to subscriptions."""
        computed = begun.computed
        self._published.parts = computed.published  # before positions say that it has been taken in
        self._taken_in(begun)
        for number, node in enumerate(self._dataflow.nodes):
            if isinstance(node, Tap):
                output = concat([own[number] for own in computed.batches])
                if len(output):
                    node.receive(output)

    def _filled(self, transaction: Transaction, computed: ComputedStep, account: RowCounts) -> Begun:
        """Add all but the rows: reports, state changes, positions."""
        rows = computed.reports.records()
        if rows is not None:
            transaction.append(TOPIC, rows, 0)
        kept = self._ledger.kept
        if kept:
            self._keeper.append_changes(transaction, computed.changes)
            self._note(transaction, computed.slices, account)
        return Begun(transaction, computed, account, kept and self._dataflow.durable, not kept and rows is None)

    def _taken_in(self, begun: Begun) -> None:
        self.account = begun.account
        if self._ahead is begun.account:
            self._ahead = None
        for item in begun.computed.slices:
            item.input.committed = item.input.kept = item.next_offset

    def _write(self, transaction: Transaction, computed: ComputedStep) -> RowCounts:
        """Add the rows of all sinks to the transaction.  Returns how many were written, and how many could not be."""
        written = bad = 0
        for number, writer in self._writers.items():
            before = writer.rows_out
            name = writer.sink.name

            def unwritten(side: str, rows: Int64s, reasons: tuple[str, ...], batch: Batch, name: str = name) -> None:
                positions = batch.positions[rows]
                report_rows(
                    computed.reports, self._query_id, computed.slices, SERIALIZATION_ERROR, name, side, positions, reasons
                )

            try:
                writer.write(transaction, [(own[number], p) for p, own in enumerate(computed.batches)], unwritten)
            except StorageError:
                raise
            except BaseException as error:
                if is_ours(error):
                    raise
                raise NodeError(name, error, is_sink=True) from error
            if writer.sink.copy is not None:
                continue
            written += writer.rows_out - before
            if number in self._input_nodes:
                bad += sum(len(own[number]) for own in computed.batches) - (writer.rows_out - before)
        return RowCounts(written=written, bad=bad)

    def commit_without(self, slices: list[InputSlice], reports: ProcessingLog) -> None:
        """Commit a step of one row without that row, which is bad."""
        computed = ComputedStep(slices, [], [], RowCounts(read=1, bad=1), reports)
        begun = self._filled(self._log.transaction(), computed, self.account.plus(computed.account))
        begun.transaction.commit(begun.durable)
        self._taken_in(begun)

    def commit_start(self) -> None:
        """Commit the positions at which the inputs start, and the account, before the first step.

        It need not be durable at once.  If it is lost, the query starts at the ends of its inputs again.  These are then the
        same ends: records that were written later can be on disk only if this commit is.
        """
        transaction = self._log.transaction()
        self._note(transaction, [], self.account)
        transaction.commit(durable=False)

    def commit_gap(self, moved: list[Input], reports: ProcessingLog) -> None:
        """Commit that inputs continue at other offsets, with the report about it."""
        transaction = self._log.transaction()
        rows = reports.records()
        assert rows is not None
        transaction.append(TOPIC, rows, 0)
        nothing = np.zeros(0, np.int64)
        self._note(transaction, [InputSlice(entry, None, 0, 0, nothing, entry.offset) for entry in moved], self.account)
        transaction.commit(durable=self._ledger.kept and self._dataflow.durable)
        for entry in moved:
            entry.committed = entry.kept = entry.offset

    def _note(self, transaction: Transaction, slices: list[InputSlice], account: RowCounts) -> None:
        """Add the account and the positions behind slices (see `Ledger.together`); without slices, those of all inputs."""
        moved = {id(item.input): item.next_offset for item in slices}
        entries: list[Input] = [item.input for item in slices] if slices else self._inputs
        if slices and self._ledger.together:
            touched = {(entry.source.topic, entry.partition) for entry in entries}
            entries = [entry for entry in self._inputs if (entry.source.topic, entry.partition) in touched]
        by_source: dict[str, dict[TopicPartition, int]] = {}
        for entry in entries:
            places = by_source.setdefault(entry.source.name, {})
            places[entry.source.topic, entry.partition] = moved.get(id(entry), entry.committed)
        self._ledger.note(transaction, by_source, account)
