"""The contract of state stores, which is all that operators and tasks know of them.

A store belongs to one operator of one query on one partition.  One thread at a time uses it; other threads may read a
`Snapshot` only.  The operator reads and writes the store during a step.  At the commit the task takes the step's changes for
the changelog.  From time to time the task captures the store for a checkpoint.  Recovery is ``restore`` with the newest
checkpoint and every change batch after it, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa


@dataclass(frozen=True, slots=True)
class StateField:
    """One fixed column of a keyed store, such as an aggregate's running sum.

    Attributes:
        name: unique within the store (for aggregators: within the aggregator).
        dtype: a NumPy dtype; ``np.dtype(object)`` for values without a fixed width.  Objects in a state are replaced and
            never changed in place, since snapshots and running results share them.
        arrow: the Arrow type in which the field is checkpointed; objects must convert with ``pa.array(list, arrow)``
            and come back with ``to_pylist()``.
        initial: the value for a group that has seen no row.
        columnar: values are Arrow arrays of ``arrow``, a type of strings or bytes (with 32-bit offsets), instead of NumPy
            arrays; then ``dtype`` is object and ``initial`` None.
    """

    name: str
    dtype: np.dtype[Any]
    arrow: Any
    initial: Any
    columnar: bool = False


RESTORE_ROWS: Final = 1 << 17
"""So many rows of a checkpoint are restored at once: their keys' hashes and lengths fit into the processor's cache."""

SLOT: Final = "slot"
"""The last column of change batches, and of checkpoints of stores that have free slots: the row's slot.  (If a column of
the store has this name already, ``'`` is added to it.)"""

Capture = Callable[[], pa.Table]
"""A function that makes the table of a checkpoint that was begun."""


class Snapshot(Protocol):
    """A frozen, consistent picture of a store; cheap to take (copy-on-write), safe to read from any thread."""

    def table(self) -> pa.Table:
        """All rows: key columns, then fields or row columns.  No order is promised."""
        ...

    def lookup(self, keys: Sequence[Any]) -> pa.Table:
        """The rows of the given keys (one Arrow array per key column, parallel); missing ones are left out."""
        ...


class StateStore(Protocol):
    """What a task needs of any store.

    Trap: ``drain_changes`` must describe the state *after* the step, with one entry per changed key, so that applying it
    twice does no harm.
    """

    name: str
    """Unique within the operator's partition, the same after restarts, and usable in a file name."""

    schema: pa.Schema
    """The schema of a checkpoint; its column names are distinct."""

    change_schema: pa.Schema
    """The schema of what ``drain_changes`` returns."""

    def __len__(self) -> int:
        """Keys (or rows) held."""
        ...

    @property
    def size_bytes(self) -> int:
        """The estimated memory of the store."""
        ...

    numbered: bool
    """Whether changes and checkpoints contain slots that agree with the store and with everything on disk.  Always false for
    stores without slots.
    """

    def drain_changes(self) -> pa.RecordBatch | None:
        """What changed since the last call, or None.  The schema is the store's own and constant."""
        ...

    def apply_changes(self, changes: pa.RecordBatch) -> None:
        """Apply what ``drain_changes`` returned (the batches of several steps may come as one, in order), without recording
        it again.
        """

    def discard_changes(self) -> None:
        """Forget recorded changes, after a restore."""

    def checkpoint(self) -> pa.Table:
        """The whole store as an Arrow table that later writes do not alter."""
        ...

    def capture(self) -> Capture:
        """Begin a checkpoint of the whole store, which becomes the base of later deltas.  Cheap; the store may be written at
        once.

        Returns:
            a function that makes the table, on any thread.
        """
        ...

    def mark(self) -> Capture:
        """Remember the present state so that `restore` can go back to it.

        Unlike `capture` this makes no base for deltas, and does not affect which changes are recorded.
        """
        ...

    def capture_delta(self) -> Capture:
        """Begin a delta: what has changed since the last base, as `drain_changes` gives it.  It has `delta_rows` rows."""
        ...

    @property
    def delta_rows(self) -> int | None:
        """How many rows `capture_delta` would have; None without a base."""
        ...

    def restore(self, table: pa.Table | None, changes: Iterable[pa.RecordBatch] = ()) -> None:
        """Replace the contents by a checkpoint's (None: by nothing), then apply changes to it in order.

        Args:
            changes: those of a delta, if there is one, and of the changelog.  They are not recorded again.
        """

    def snapshot(self) -> Snapshot:
        """See `Snapshot`."""
        ...
