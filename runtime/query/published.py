"""The table of a query as of its last commit, which readers get without waiting for the current step."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ...errors import InternalError
from ...limits import MARKED_STATE_BYTES_MAX
from ...storage.state.store import Snapshot, StateStore
from ..dataflow import Dataflow, TableView
from .task import Task

_ASKED_S = 2.0
"""After a reader asked, every commit publishes for so long, in seconds; writes then copy the blocks that they overwrite."""

_LONG_STEP_S = 0.005
"""After a step that took longer than this, the next commit publishes even if nobody asked: readers would wait too long."""

Parts = tuple[Snapshot, ...]
"""Snapshots of the view's stores, partition by partition."""


class Published:
    """The published table of a query.

    Attributes:
        parts: as of the last commit; None if nothing was published with it.  Replaced as a whole.
    """

    def __init__(self, query_id: str, dataflow: Dataflow) -> None:
        self.parts: Parts | None = None
        self._query_id = query_id
        self._dataflow = dataflow
        self._node: int | None = None
        if dataflow.view is not None:
            self._node = next((n for n, node in enumerate(dataflow.nodes) if node.name == dataflow.view.node), None)
        self._asked_s = float("-inf")
        self._step_s = 0.0

    @property
    def view(self) -> TableView:
        """How to read the table.

        Raises: InternalError, if the query maintains none (the analysis should have refused it).
        """
        if self._dataflow.view is None:
            raise InternalError(f"query {self._query_id} maintains no table")
        return self._dataflow.view

    def ask(self) -> Parts | None:
        """Return what is published, and have the next commits publish, too."""
        self._asked_s = time.monotonic()
        return self.parts

    def take(self, tasks: Sequence[Task]) -> Parts:
        """The table as the tasks have it now."""
        return tuple(store.snapshot() for store in self._stores(tasks))

    def take_if_due(self, tasks: Sequence[Task]) -> Parts | None:
        """The table as the tasks have it after a step, if the step's commit shall publish it; else None."""
        if self._node is None:
            return None
        asked = time.monotonic() - self._asked_s <= _ASKED_S
        return self.take(tasks) if asked or self._is_worth_it(tasks) else None

    def _is_worth_it(self, tasks: Sequence[Task]) -> bool:
        """Whether readers who may come would wait long, and what it costs is little."""
        return self._step_s >= _LONG_STEP_S and self._is_small(tasks)

    def _is_small(self, tasks: Sequence[Task]) -> bool:
        return sum(s.size_bytes for s in self._stores(tasks)) <= MARKED_STATE_BYTES_MAX

    def stepped(self, seconds: float) -> None:
        """Note how long a step took, in seconds."""
        self._step_s = seconds

    def start(self, tasks: Sequence[Task]) -> None:
        """Publish the table at the start if it is small; the first step copies what it overwrites."""
        self.parts = self.take(tasks) if self._node is not None and self._is_small(tasks) else None

    def _stores(self, tasks: Sequence[Task]) -> list[StateStore]:
        view = self.view
        if self._node is None:
            raise InternalError(f"query {self._query_id} has no node {view.node}")
        return [next(s for s in task.operators[self._node].stores if s.name == view.store) for task in tasks]
