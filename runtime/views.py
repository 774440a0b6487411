"""Tables as pull queries see them: consistent snapshots of running queries' stores, and lookups by key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ..errors import InternalError
from ..storage.state.store import Snapshot
from .dataflow import View
from .query.lifecycle import QueryRun


@dataclass(frozen=True, slots=True)
class TableSnapshot:
    """A maintained table as of one commit: the snapshots of all partitions, and how to read them."""

    view: View
    parts: tuple[Snapshot, ...]

    def table(self) -> pa.Table:
        """All rows, in the shape that `View.schema` says."""
        return self._shaped([part.table() for part in self.parts])

    def lookup(self, keys: Sequence[Any]) -> pa.Table:
        """The rows of the given keys: one Arrow array per key column of the store, parallel."""
        return self._shaped([part.lookup(keys) for part in self.parts])

    def _shaped(self, tables: list[pa.Table]) -> pa.Table:
        return self.view.transform(tables[0] if len(tables) == 1 else pa.concat_tables(tables))


@contextmanager
def _paused(runs: Sequence[QueryRun]) -> Iterator[None]:
    """Hold all runs between two steps (always in the same order, so that two callers cannot wait for each other)."""
    with ExitStack() as stack:
        for run in sorted(runs, key=lambda r: r.query_id):
            stack.enter_context(run.lock)
        yield


def snapshots(runs: Mapping[str, QueryRun]) -> dict[str, TableSnapshot]:
    """Snapshots of the tables of several queries, by the given names, all between the same commits.

    Raises:
        InternalError: a query has no view (analysis should have refused the statement).
    """
    with _paused(list(runs.values())):
        return {name: _snapshot(run) for name, run in runs.items()}


def _snapshot(run: QueryRun) -> TableSnapshot:
    view = run.dataflow.view
    if view is None:
        raise InternalError(f"query {run.query_id} maintains no table")
    number = next((n for n, node in enumerate(run.dataflow.nodes) if node.name == view.node), None)
    if number is None:
        raise InternalError(f"query {run.query_id} has no node {view.node}")
    parts = []
    for task in run.tasks():
        store = next(s for s in task.operators[number].stores if s.name == view.store)
        parts.append(store.snapshot())
    return TableSnapshot(view, tuple(parts))
