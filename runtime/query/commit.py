"""The commit of a step: outputs, state changes, positions, account and complaints in one transaction.

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
from ..metrics import Account
from ..processing_log import SERIALIZATION_ERROR, TOPIC, ProcessingLog
from ..sink import SinkWriter
from ..user_code import is_ours
from .ledger import Ledger
from .published import Published
from .recovery import StateKeeper
from .reports import complain
from .taken import Input, Outcome, Taken
from .task import NodeError


@dataclass(frozen=True, slots=True)
class Begun:
    """A step's transaction.

    Attributes:
        account: of the query, once it has happened.
        nothing: there is nothing in it that is to be kept.
        committing: if it was begun by itself (`StepCommitter.begin_alone`); that of the one before it, if it is nothing.
    """

    transaction: Transaction
    outcome: Outcome
    account: Account
    durable: bool
    nothing: bool
    committing: Committing | None = None


class StepCommitter:
    """Commits the steps of one query, one after the other.

    Attributes:
        account: as committed.

    Args:
        inputs: all of the query's, whose ``committed`` moves with the commits.
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
        self.account = Account()
        self._ahead: Account | None = None
        """What it will be once the steps that are begun have happened."""
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

    def commit(self, outcome: Outcome) -> None:
        """Make a step happen, then hand its rows to subscriptions.

        Raises:
            NodeError: a sink cannot take its rows; it did not happen.
            StorageError: it did not happen.
        """
        begun = self.begin(outcome)
        if begun.nothing:
            begun.transaction.abort()
            self.happened(begun, None)
        else:
            self.happened(begun, begun.transaction.commit(begun.durable))

    def begin(self, outcome: Outcome) -> Begun:
        """Make a transaction of a step, for whoever commits it and then calls `finish`.  Steps are begun in their order; one
        that fails is followed by none (a new `StepCommitter` goes on from what is committed).

        Raises:
            NodeError: a sink cannot take its rows.
            StorageError: a topic is gone.
        """
        transaction = self._log.transaction()
        account = self._ahead or self.account
        account = account.plus(outcome.account).plus(self._write(transaction, outcome))
        self._ahead = account
        return self._filled(transaction, outcome, account)

    def begin_alone(self, outcome: Outcome, after: Begun | None) -> Begun:
        """Make a transaction of a step and begin its commit; call `happened` when that is through.

        Args:
            after: what the step before it gave, if that may still be under way: without that this one does not happen.

        Raises:
            as `begin`; StorageError: it does not happen.
        """
        begun = self.begin(outcome)
        before = None if after is None else after.committing
        if begun.nothing:
            begun.transaction.abort()
            return replace(begun, committing=before)
        return replace(begun, committing=begun.transaction.begin_commit(begun.durable, before))

    def happened(self, begun: Begun, commit: Commit | None) -> None:
        """It has (None: there was nothing to commit): let stores and readers know."""
        if commit is not None:
            self._keeper.committed(commit, begun.outcome.changes)
        self.finish(begun)

    def finish(self, begun: Begun) -> None:
        """It has happened: let that be seen, and hand its rows to subscriptions."""
        outcome = begun.outcome
        self._published.parts = outcome.published  # before positions say that it has been taken in
        self._taken_in(begun)
        for number, node in enumerate(self._dataflow.nodes):
            if isinstance(node, Tap):
                output = concat([own[number] for own in outcome.batches])
                if len(output):
                    node.receive(output)

    def _filled(self, transaction: Transaction, outcome: Outcome, account: Account) -> Begun:
        """With all but the rows: complaints, state, positions."""
        rows = outcome.complaints.records()
        if rows is not None:
            transaction.append(TOPIC, rows, 0)
        kept = self._ledger.kept
        if kept:
            self._keeper.append_changes(transaction, outcome.changes)
            self._note(transaction, outcome.taken, account)
        return Begun(transaction, outcome, account, kept and self._dataflow.durable, not kept and rows is None)

    def _taken_in(self, begun: Begun) -> None:
        self.account = begun.account
        if self._ahead is begun.account:
            self._ahead = None
        for item in begun.outcome.taken:
            item.input.committed = item.next_offset

    def _write(self, transaction: Transaction, outcome: Outcome) -> Account:
        """Hand the rows of all sinks to the transaction: how many were written, and how many could not be."""
        written = bad = 0
        for number, writer in self._writers.items():
            before = writer.rows_out
            name = writer.sink.name

            def unwritten(side: str, rows: Int64s, reasons: tuple[str, ...], batch: Batch, name: str = name) -> None:
                positions = batch.positions[rows]
                complain(
                    outcome.complaints, self._query_id, outcome.taken, SERIALIZATION_ERROR, name, side, positions, reasons
                )

            try:
                writer.write(transaction, [(own[number], p) for p, own in enumerate(outcome.batches)], unwritten)
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
                bad += sum(len(own[number]) for own in outcome.batches) - (writer.rows_out - before)
        return Account(written=written, bad=bad)

    def commit_without(self, taken: list[Taken], complaints: ProcessingLog) -> None:
        """Commit a step of one row without that row, which is bad."""
        outcome = Outcome(taken, [], [], Account(read=1, bad=1), complaints)
        begun = self._filled(self._log.transaction(), outcome, self.account.plus(outcome.account))
        begun.transaction.commit(begun.durable)
        self._taken_in(begun)

    def commit_start(self) -> None:
        """Commit where the inputs are read from, and the account, before the first step.

        It need not be on the disk at once: without it the query starts again at its inputs' ends, and whatever was written
        behind these is on the disk only if this is, too.
        """
        transaction = self._log.transaction()
        self._note(transaction, [], self.account)
        transaction.commit(durable=False)

    def commit_gap(self, moved: list[Input], complaints: ProcessingLog) -> None:
        """Commit that inputs read on elsewhere, and what is to be said about it."""
        transaction = self._log.transaction()
        rows = complaints.records()
        assert rows is not None
        transaction.append(TOPIC, rows, 0)
        nothing = np.zeros(0, np.int64)
        self._note(transaction, [Taken(entry, None, 0, 0, nothing, entry.offset) for entry in moved], self.account)
        transaction.commit(durable=self._ledger.kept and self._dataflow.durable)
        for entry in moved:
            entry.committed = entry.offset

    def _note(self, transaction: Transaction, taken: list[Taken], account: Account) -> None:
        """Positions of what was taken (without any: of all inputs), and the account."""
        moved = {id(item.input): item.next_offset for item in taken}
        by_source: dict[str, dict[TopicPartition, int]] = {}
        for entry in (item.input for item in taken) if taken else self._inputs:
            places = by_source.setdefault(entry.source.name, {})
            places[entry.source.topic, entry.partition] = moved.get(id(entry), entry.committed)
        self._ledger.note(transaction, by_source, account)
