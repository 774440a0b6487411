"""A few named numbers, such as an operator's stream time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from .interval_store import NEVER
from .store import Capture


class ScalarStore:
    """A `StateStore` of named int64 numbers.  Changes and checkpoints are one row with a column per name.

    Args:
        name: see `StateStore.name`.
        initial: the names and their first values (int64).
    """

    def __init__(self, name: str, initial: Mapping[str, int]) -> None:
        self.name = name
        self.schema = pa.schema([(n, pa.int64()) for n in initial])
        self.change_schema = self.schema
        self._initial = dict(initial)
        self._values = dict(initial)
        self._changed = False
        self.numbered = False

    def __getitem__(self, name: str) -> int:
        return self._values[name]

    def __setitem__(self, name: str, value: int) -> None:
        if self._values[name] != value:
            self._values[name] = int(value)
            self._changed = True

    @property
    def stream_time(self) -> int | None:
        """The operator's stream time (ms); None if it keeps none or has seen no row."""
        name = next((name for name in self._values if name.lower() == "stream_time"), None)
        found = NEVER if name is None else self._values[name]
        return None if found == NEVER else found

    def __len__(self) -> int:
        return 1

    @property
    def size_bytes(self) -> int:
        return 8 * len(self._values)

    def _batch(self) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays([pa.array([v], pa.int64()) for v in self._values.values()], schema=self.schema)

    def drain_changes(self) -> pa.RecordBatch | None:
        """See `StateStore`."""
        if not self._changed:
            return None
        self._changed = False
        return self._batch()

    def apply_changes(self, changes: pa.RecordBatch) -> None:
        """See `StateStore`."""
        for row in changes.to_pylist():
            self._values.update(row)

    def discard_changes(self) -> None:
        """See `StateStore`."""
        self._changed = False

    def checkpoint(self) -> pa.Table:
        """See `StateStore`."""
        return pa.Table.from_batches([self._batch()])

    def capture(self) -> Capture:
        """See `StateStore`."""
        table = self.checkpoint()
        return lambda: table

    def mark(self) -> Capture:
        """See `StateStore`."""
        return self.capture()

    def capture_delta(self) -> Capture:
        """See `StateStore`; never called, for there is never a delta."""
        return self.capture()

    @property
    def delta_rows(self) -> None:
        """See `StateStore`."""
        return None

    def restore(self, table: pa.Table | None, changes: Iterable[pa.RecordBatch] = ()) -> None:
        """See `StateStore`."""
        self._values = dict(self._initial)
        for part in (*(() if table is None else (table,)), *changes):
            for row in part.slice(max(0, part.num_rows - 1)).to_pylist():
                self._values.update(row)
        self._changed = False

    def snapshot(self) -> ScalarSnapshot:
        """See `StateStore`."""
        return ScalarSnapshot(self.checkpoint())


class ScalarSnapshot:
    """The numbers as they were; satisfies `Snapshot`."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def table(self) -> pa.Table:
        """One row."""
        return self._table

    def lookup(self, keys: Sequence[Any]) -> pa.Table:
        """The one row, repeated for each requested key, since there is no key column."""
        return self._table.take(np.zeros(len(keys[0]) if keys else 0, np.int64))
