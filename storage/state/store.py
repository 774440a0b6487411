"""The contract of state stores: all that operators and tasks know of them.

A store belongs to one operator of one query on one partition and is used by one thread at a time; only `Snapshot` may be
read by others.  Three things happen to it: the operator reads and writes it during a step; at the commit the task takes
the step's changes (for the changelog); now and then the task captures it for a checkpoint.  Recovery is ``restore`` of the
newest checkpoint and every change batch after it, in order.
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
        name: unique within the store (aggregators: within the aggregator).
        dtype: a NumPy dtype; ``np.dtype(object)`` for values that have no fixed width.  Objects in a state are never
            changed in place, they are replaced (snapshots and running results share them).
        arrow: the Arrow type under which the field is checkpointed; objects must convert with ``pa.array(list, arrow)``
            and come back with ``to_pylist()``.
        initial: the value for a group that has seen no row.
        columnar: values are not NumPy arrays but Arrow arrays of ``arrow``, a type of strings, bytes or lists (with offsets
            of 32 bits); ``dtype`` is object then, and ``initial`` None.
    """

    name: str
    dtype: np.dtype[Any]
    arrow: Any
    initial: Any
    columnar: bool = False


RESTORE_ROWS: Final = 1 << 17
"""Rows of a checkpoint that are taken in at once: hashes and lengths of so many keys stay in the cache."""

SLOT: Final = "slot"
"""The last column of change batches, and of checkpoints of stores that have free slots: where the row is.  (With ``'`` after
it, if a column of the store's own has the name.)"""

Capture = Callable[[], pa.Table]
"""Makes the table of a checkpoint that was begun."""


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

    Trap: ``drain_changes`` must describe the state *after* the step, one entry per changed key, so that applying it
    twice does no harm.
    """

    name: str
    """Unique within the operator's partition; stable across restarts; fit for a file name."""

    schema: pa.Schema
    """Of a checkpoint; column names are distinct."""

    change_schema: pa.Schema
    """Of what ``drain_changes`` gives."""

    def __len__(self) -> int:
        """Keys (or rows) held."""
        ...

    @property
    def size_bytes(self) -> int:
        """Memory held, estimated."""
        ...

    numbered: bool
    """Checkpoints and changes say in which slots rows are, and all that is on disk agrees with the store in that.  Stores
    without slots are never numbered."""

    def drain_changes(self) -> pa.RecordBatch | None:
        """What changed since the last call, or None.  The schema is the store's own and constant."""
        ...

    def apply_changes(self, changes: pa.RecordBatch) -> None:
        """Replay what ``drain_changes`` gave (the batches of several steps may come as one, in order), without recording
        it as a change again."""

    def discard_changes(self) -> None:
        """Forget what changed (after a restore)."""

    def checkpoint(self) -> pa.Table:
        """The whole store as one Arrow table that later writes do not alter."""
        ...

    def capture(self) -> Capture:
        """Begin a checkpoint of the whole store, its base for changes to come: cheap, and the store may be written at once.

        Returns:
            what makes the table, to be called on any thread.
        """
        ...

    def mark(self) -> Capture:
        """Like `capture`, but only to go back to by `restore`: it is no base, and changes go on as if it had not been."""
        ...

    def capture_delta(self) -> Capture:
        """Like `capture`, but of what has changed since that was last called, as changes (`delta_rows` of them)."""
        ...

    @property
    def delta_rows(self) -> int | None:
        """How many rows `capture_delta` would have; None if it has no base to refer to."""
        ...

    def restore(self, table: pa.Table | None, changes: Iterable[pa.RecordBatch] = ()) -> None:
        """Replace the contents by a checkpoint's (None: by nothing) and apply changes to it, in order.

        Args:
            changes: a delta's, if there is one, and the changelog's.  Nothing is recorded as a change again.
        """

    def snapshot(self) -> Snapshot:
        """See `Snapshot`."""
        ...
