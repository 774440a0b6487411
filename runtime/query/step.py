"""The computation of a step: the operators of all partitions over the records that were taken, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, wait
from contextvars import copy_context

from ...storage.log.protocol import Log
from ..batch import Batch
from ..dataflow import Dataflow, Exchange, Source
from ..metrics import RowCounts, Tally
from ..processing_log import ProcessingLog
from ..source import empty_source_batch, to_batch
from .exchange import exchange
from .late_columns import late_columns
from .recovery import StateKeeper
from .reports import report_bad_records, report_failures
from .step_data import ComputedStep, InputSlice
from .task import Task, account_of, input_nodes, stages

PARALLEL_ROWS_MIN = 2_000
"""From this number of rows in a step, running tasks in the pool is quicker than one after the other."""


class StepComputer:
    """Runs the tasks of a query.  Use it with the query's lock held.

    Args:
        partitions: how many tasks there are.
        pool: runs the tasks of a stage side by side; None runs them one after the other.
        tallies: what each node has done so far; each step is added.
    """

    def __init__(
        self,
        query_id: str,
        dataflow: Dataflow,
        log: Log,
        partitions: int,
        pool: Executor | None,
        tallies: Sequence[Tally] | None = None,
    ) -> None:
        self.tasks = [Task(query_id, dataflow, p) for p in range(partitions)]
        self.input_nodes = input_nodes(dataflow, self.tasks[0].operators)
        self._query_id = query_id
        self._dataflow = dataflow
        self._log = log
        self._pool = pool
        self._depths = stages(dataflow)
        self._later = late_columns(dataflow)
        self._tallies = [Tally() for _ in dataflow.nodes] if tallies is None else tallies
        self._empty = {n: empty_source_batch(s) for n, s in enumerate(dataflow.nodes) if isinstance(s, Source)}

    def compute(self, slices: list[InputSlice], keeper: StateKeeper, *, keeps_state: bool) -> ComputedStep:
        """Run the operators over what was taken and gather what is to be committed."""
        reports = ProcessingLog()
        for task in self.tasks:
            task.touched = False
        batches, account = self._batches(slices, reports)
        self._run(batches)
        report_failures(reports, self._query_id, self.tasks, slices)
        for task in self.tasks:
            counted = [task.operators[n].context.counters for n in self.input_nodes if n in task.operators]
            account = account.plus(account_of(counted))
            for counters in counted:
                counters.filtered = counters.late = counters.bad = 0
            for operator in task.operators.values():
                account = account.plus(RowCounts(expired=operator.context.counters.expired))
                operator.context.counters.expired = 0
        self._tally(batches)
        changes = keeper.drain_changes(kept=keeps_state)
        for item in slices:
            item.input.offset = item.next_offset
        return ComputedStep(slices, batches, changes, account, reports)

    @property
    def touched(self) -> bool:
        """Whether an operator with state had begun to process its rows when the step broke off."""
        return any(task.touched for task in self.tasks)

    def clear(self) -> None:
        """Forget a step that broke off before it touched any state."""
        for task in self.tasks:
            task.clear()

    def _batches(self, slices: list[InputSlice], reports: ProcessingLog) -> tuple[list[dict[int, Batch]], RowCounts]:
        """The source batches of every task by node number, and the account: how many rows were read and bad."""
        batches: list[dict[int, Batch]] = [{} for _ in self.tasks]
        read = bad_rows = 0
        for item in slices:
            assert item.chunk is not None
            entry = item.input
            batch, bad = to_batch(entry.source, entry.partition, item.chunk, item.start, item.stop, item.positions)
            if entry.source.moved_by is None:
                read += item.stop - item.start
            batches[entry.partition][entry.node] = batch
            if bad is not None:
                bad_rows += len(bad.rows)
                report_bad_records(reports, self._query_id, item, bad)
        for number, empty in self._empty.items():
            for own in batches:
                if number not in own:
                    own[number] = empty
        return batches, RowCounts(read=read, bad=bad_rows)

    def _run(self, batches: list[dict[int, Batch]]) -> None:
        """All stages, one after the other; the tasks of a stage side by side."""
        rows = sum(len(b) for own in batches for b in own.values())
        pool = self._pool if len(self.tasks) > 1 and rows >= PARALLEL_ROWS_MIN else None
        for stage in range(max(self._depths) + 1):
            if stage:
                self._exchange(stage, batches, pool)
            if pool is None:
                for task, own in zip(self.tasks, batches, strict=True):
                    task.run(stage, self._depths, own)
            else:
                running = [  # each in a context of its own, for the clock in force
                    pool.submit(copy_context().run, t.run, stage, self._depths, own) for t, own in zip(self.tasks, batches)
                ]
                wait(running)  # all of them, also where one fails: none may run on behind the back of a restart
                for future in running:
                    future.result()

    def _tally(self, batches: list[dict[int, Batch]]) -> None:
        for own in batches:
            for number, batch in own.items():
                if rows := len(batch.positions):
                    self._tallies[number].rows += rows

    def take_seconds(self) -> None:
        """Add the operators' times to the tallies.  This is not done with every step, as it takes time itself."""
        for task in self.tasks:
            for number, seconds in task.seconds.items():
                self._tallies[number].seconds += seconds
                task.seconds[number] = 0.0

    def _exchange(self, stage: int, batches: list[dict[int, Batch]], pool: Executor | None) -> None:
        for number, node in enumerate(self._dataflow.nodes):
            if isinstance(node, Exchange) and self._depths[number] == stage:
                parts = exchange(node, self._log, [own[node.input] for own in batches], self._later[number], pool)
                for own, part in zip(batches, parts, strict=True):
                    own[number] = part
