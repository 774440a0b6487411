"""Tables for pull queries: consistent snapshots of running queries' stores, and lookups by key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ..storage.state.store import Snapshot
from .dataflow import TableView
from .query.lifecycle import Others, QueryRun


@dataclass(frozen=True, slots=True)
class TableSnapshot:
    """A maintained table as of one commit: the snapshots of all partitions, and how to read them.

    Attributes:
        others: returns the part of other processes (as of their own commits); None if there is none.
    """

    view: TableView
    parts: tuple[Snapshot, ...]
    others: Others | None = None

    def table(self) -> pa.Table:
        """All rows, in the shape of `TableView.schema`.

        Raises:
            StatementError, StorageError: other processes have some of them and cannot be asked, see `Elsewhere.rows`.
        """
        return self._with_others(self.shaped([part.table() for part in self.parts]), None)

    def lookup(self, keys: Sequence[Any]) -> pa.Table:
        """The rows of the given keys, which are one Arrow array per key column of the store, parallel.

        Raises: as `table`.
        """
        own = self.shaped([part.lookup(keys) for part in self.parts])
        names = own.column_names[: self.view.key_count]
        if self.others is None or own.group_by(names).aggregate([]).num_rows == len(keys[0]):
            return own  # all rows of a key are in one partition
        return self._with_others(own, keys)

    def _with_others(self, own: pa.Table, keys: Sequence[Any] | None) -> pa.Table:
        if self.others is None:
            return own
        return pa.concat_tables([own, *(table.cast(own.schema) for table in self.others(keys))])

    def shaped(self, tables: list[pa.Table]) -> pa.Table:
        table = tables[0] if len(tables) == 1 else pa.concat_tables(tables)
        stored = {name: whole(column) for name, column in zip(table.column_names, table.columns, strict=True)}
        return pa.table(list(self.view.transform(stored)), schema=self.view.schema)


def whole(column: Any) -> Any:
    """A column of a table as one array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


_ATTEMPTS = 20
"""How often the tables of several queries are tried while one of them makes commits.

After that all are held between two steps.
"""


def snapshots(runs: Mapping[str, QueryRun]) -> dict[str, TableSnapshot]:
    """Snapshots of the tables of several queries, by the given names, all as of one moment.  (Tables whose partitions are
    shared with other processes are each as of their own moment.)

    Published tables (`query.published`) are read without waiting for steps in progress.

    Raises:
        InternalError: a query has no view (analysis should have refused the statement).
    """
    if len(runs) == 1 or any(run.shares is not None for run in runs.values()):
        return {name: TableSnapshot(run.view, *run.shared_snapshot()) for name, run in runs.items()}
    for _ in range(_ATTEMPTS):
        taken = {name: run.snapshot() for name, run in runs.items()}
        if all(run.published is taken[name] for name, run in runs.items()):
            break  # there was a moment at which all of them were current
    else:
        with _paused(list(runs.values())):
            taken = {name: run.snapshot() for name, run in runs.items()}
    return {name: TableSnapshot(run.view, taken[name]) for name, run in runs.items()}


@contextmanager
def _paused(runs: Sequence[QueryRun]) -> Iterator[None]:
    """Hold all runs between two steps, always in the same order, so that two callers cannot deadlock."""
    with ExitStack() as stack:
        for run in sorted(runs, key=lambda r: r.query_id):
            stack.enter_context(run.between_steps())
            run.tasks()  # no commit is under way, either
        yield
