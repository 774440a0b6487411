"""The store of most operators: a key index, fixed columns, and rows of Arrow values.

A slot holds the state of a key, and stays the key's until the key is removed.  An operator turns the keys of a batch into
slots once, and reads and writes columns by slot.  Nulls in keys are values.

Slots outlive the process: changes and checkpoints contain the slot of each row.  So recovery writes columns by slot, as
an operator does, and builds the index once at its end without looking up keys (docs/decisions/checkpoints.md).  Changes
without slots (of older versions) are applied by key; then new changes have no slots either until the next whole
checkpoint.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...errors import InternalError
from ...kernels import index as kernels
from ...kernels.booleans import booleans
from ..values.arrow_calls import index_array
from .columns import FrozenColumn, GrowingColumn, Int64s
from .expiry import ExpiryQueue
from .index import FrozenIndex, HashIndex, factorize
from .point import Point
from .rows import FrozenRows, RowStorage
from .store import RESTORE_ROWS, SLOT, Capture, StateField
from .text_column import FrozenTextColumn, Placed, TextColumn

Bools = npt.NDArray[np.bool_]

DELETED: Final = "deleted"
"""The last column but one of change batches: the key was removed."""

SLOTS_KNOWN: Final = b"penstock.slots"
"""Metadata of a checkpoint whose rows are in the slots 0, 1, 2 .., unless it has the column `SLOT`."""

_DRAINED_MAX: Final = 64
"""The changes of so many steps are remembered until they are lent.  Older ones stay in memory."""

_CHANGED: Final = 1
_FREED: Final = 2


def distinct_schema(fields: Sequence[Any]) -> pa.Schema:
    """A schema of fields in which repeated names are replaced by others (stores identify a column by its place)."""
    seen: set[str] = set()
    distinct: list[Any] = []
    for field in fields:
        name = field.name
        while name in seen:
            name += "'"
        seen.add(name)
        distinct.append(field.with_name(name))
    return pa.schema(distinct)


def to_arrow(values: Any, type_: Any) -> Any:
    """The values of a field as the Arrow type in which it is kept."""
    if isinstance(values, pa.Array):
        return values
    if values.dtype.hasobject:
        return pa.array(values.tolist(), type_)
    if pa.types.is_temporal(type_):
        return pa.array(values, pa.int64() if values.dtype.itemsize == 8 else pa.int32()).view(type_)
    array = pa.array(values)
    return array if array.type == type_ else array.cast(type_)


def from_arrow(array: Any, field: StateField) -> Any:
    """The inverse of `to_arrow`.  A null number is 0, as in fields that an older version lacked."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if field.columnar:
        return array if array.type == field.arrow else array.cast(field.arrow)
    dtype = field.dtype
    if array.null_count and not dtype.hasobject:
        array = array.fill_null(False if pa.types.is_boolean(array.type) else 0)
    if dtype.hasobject:
        values = np.empty(len(array), object)
        for i, value in enumerate(array.to_pylist()):
            values[i] = value
        return values
    if pa.types.is_temporal(array.type):
        array = array.view(pa.int64() if array.type.bit_width == 64 else pa.int32())
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype)


class KeyedStore:
    """A `StateStore`.  A change batch and a checkpoint hold the key columns, the fields and the row columns, in that order.

    A change batch has the columns `DELETED` (bool) and `SLOT` (uint32) after them, and its deletions first.

    Args:
        name: see `StateStore.name`.
        key_schema: the key columns.
        fields: fixed columns, read and written one by one.
        row_schema: Arrow-typed columns that are read and written together.
        expiry: the key column (integer or temporal, never null) or int64 field that `expired` compares.
    """

    def __init__(
        self,
        name: str,
        key_schema: pa.Schema,
        fields: Sequence[StateField] = (),
        row_schema: pa.Schema | None = None,
        expiry: str | None = None,
    ) -> None:
        self.name = name
        self.key_schema = key_schema
        self.fields = tuple(fields)
        self.row_schema = pa.schema([]) if row_schema is None else row_schema
        fields_ = [pa.field(f.name, f.arrow) for f in self.fields]
        self.schema = distinct_schema([*key_schema, *fields_, *self.row_schema])
        self.change_schema = distinct_schema([*self.schema, pa.field(DELETED, pa.bool_()), pa.field(SLOT, pa.uint32())])
        self._slot_column = self.change_schema.names[-1]
        self._field_places = {f.name: len(key_schema) + n for n, f in enumerate(self.fields)}
        self.lends = any(f.columnar for f in self.fields)
        """Whether `lend` can save memory, which depends on the types of the columns."""
        self._expiry = expiry
        self._expiry_key = -1
        if expiry is not None and expiry not in {f.name for f in self.fields}:
            self._expiry_key = key_schema.get_field_index(expiry)
            if self._expiry_key < 0:
                raise InternalError(f"the store {name} has no column {expiry} to expire by")
        self._clear()

    def _clear(self) -> None:
        self._index = HashIndex(self.key_schema)
        self._columns: dict[str, GrowingColumn | TextColumn] = {
            f.name: TextColumn(f.arrow) if f.columnar else GrowingColumn(f.dtype, f.initial) for f in self.fields
        }
        self._rows = RowStorage(self.row_schema) if len(self.row_schema) else None
        self._due: ExpiryQueue | None = None if self._expiry is None else ExpiryQueue(self._expiry_values)
        self._changed: list[Int64s] = []
        self._placed: dict[str, tuple[Int64s, Placed]] = {}
        """By field: the slots that were last written in this step, and the array of what they hold, as it came."""
        self._lent: deque[tuple[Sequence[tuple[str, Placed]], pa.RecordBatch]] = deque()
        """What `lend` was given and no step has used yet."""
        self._drained: deque[tuple[Any, Sequence[tuple[str, Placed]]]] = deque(maxlen=_DRAINED_MAX)
        """The changes that may be lent (weakly), and the fields whose arrays they hold."""
        self._removed: list[tuple[list[Any], Int64s]] = []
        self._scratch = np.zeros(0, np.uint64)
        self._generation = 0
        self.numbered = True
        self._since_base: npt.NDArray[np.uint8] | None = None
        """By slot, since the base: `_CHANGED`, `_FREED`; None if there is no base."""

    def __len__(self) -> int:
        return len(self._index)

    @property
    def size_bytes(self) -> int:
        fields = sum(c.nbytes for c in self._columns.values())
        rows = 0 if self._rows is None else self._rows.nbytes
        return self._index.nbytes + fields + rows + (0 if self._due is None else self._due.nbytes)

    # Keys and slots

    def slots(self, keys: Sequence[Any]) -> Int64s:
        """The slot of each key (parallel Arrow arrays, one per key column), -1 where it is missing."""
        return self._index.find(keys)

    def insert(self, keys: Sequence[Any]) -> tuple[Int64s, Bools]:
        """Like `slots`, with new slots for missing keys; these hold the fields' initial values and a row of nulls.

        Returns:
            the slots, and where each new key occurs first in the batch.
        """
        slots, is_new = self._index.insert(keys)
        if is_new.any():
            new = slots[is_new]
            count = self._index.slot_count
            for column in self._columns.values():
                column.reserve(count)
            if self._rows is not None:
                self._rows.reserve(count)
            if self._due is not None:
                self._due.add(new, self._expiry_values(new))
            self._changed.append(new)
        return slots, is_new

    def group(self, slots: Int64s) -> tuple[Int64s, Int64s]:
        """Number the distinct slots of a batch densely, in order of first occurrence.

        Returns:
            the number of each row's slot, and the distinct slots.
        """
        self._prepare_groups()
        return kernels.group(np.ascontiguousarray(slots), self._generation, self._scratch)

    def group_by_last(self, slots: Int64s) -> tuple[Int64s, Int64s, Int64s]:
        """`group`, but in order of last occurrence; and the last row of each slot."""
        self._prepare_groups()
        return kernels.group_by_last(np.ascontiguousarray(slots), self._generation, self._scratch)

    def _prepare_groups(self) -> None:
        self._generation += 1
        if len(self._scratch) < self._index.slot_count or self._generation >> 32:
            self._scratch, self._generation = np.zeros(len(self._index.live), np.uint64), 1

    def keys_of(self, slots: Int64s) -> list[Any]:
        """The key columns of live slots."""
        return self._index.keys.read(slots)

    def remove(self, slots: Int64s) -> None:
        """Remove the keys of distinct, live slots, and their state."""
        if len(slots) == 0:
            return
        self._removed.append((self.keys_of(slots), slots))
        self._remove(slots)

    def _remove(self, slots: Int64s) -> None:
        for column in self._columns.values():
            column.reset(slots)
        if self._rows is not None:
            self._rows.remove(slots)
        self._index.remove(slots)

    # State

    def read(self, field: str, slots: Int64s) -> Any:
        """A copy of a field's values: a NumPy array, or an Arrow array if `StateField.columnar`."""
        return self._columns[field].take(slots)

    def write(self, field: str, slots: Int64s, values: Any) -> None:
        """Set a field of distinct, live slots."""
        if len(slots) == 0:
            return
        placed = self._columns[field].put(slots, values)
        if placed is None:
            self._placed.pop(field, None)
        else:
            self._placed[field] = slots, placed
        if field == self._expiry and self._due is not None:
            self._due.add(slots, values.astype(np.int64, copy=False))
        self._note_change(slots)

    def _note_change(self, slots: Int64s) -> None:
        """Note that distinct slots changed.  The same array, given for each field of a state, is noted once."""
        if not self._changed or self._changed[-1] is not slots:
            self._changed.append(slots)

    def read_rows(self, slots: Int64s) -> list[Any]:
        """Arrow arrays, one per column of the row schema; null where the slot is -1."""
        if self._rows is None:
            return []
        return self._rows.read(slots)

    def write_rows(self, slots: Int64s, columns: Sequence[Any]) -> None:
        """Set the rows of distinct, live slots."""
        if len(slots) and self._rows is not None:
            self._rows.write(slots, columns)
            self._note_change(slots)

    def _expiry_values(self, slots: Int64s) -> Int64s:
        if self._expiry_key < 0:
            assert self._expiry is not None
            return self._columns[self._expiry].take(slots).astype(np.int64, copy=False)
        # A key column of a number or an instant is one word.
        return self._index.keys.number(self._expiry_key).take(slots).view(np.int64)

    def expired(self, before: int) -> Int64s:
        """Live slots whose expiry column is below ``before``, each once.

        Trap: each slot is returned once only, so the caller must remove it.
        """
        if self._due is None:
            raise InternalError(f"the store {self.name} does not expire")
        slots = self._due.due(before)
        if len(slots) == 0:
            return slots
        slots = slots[self._index.live.take(slots)]
        slots = slots[self._expiry_values(slots) < before]
        return self.group(slots)[1]

    # What a task needs

    def _table(self, slots: Int64s) -> list[Any]:
        fields = [to_arrow(self._written(f.name, slots), f.arrow) for f in self.fields]
        return [*self.keys_of(slots), *fields, *self.read_rows(slots)]

    def _written(self, field: str, slots: Int64s) -> Any:
        """A field's values in some slots.  Values that were just written are returned as they came, not copied."""
        column = self._columns[field]
        written, placed = self._placed.get(field, (None, None))
        if written is slots and placed is not None and isinstance(column, TextColumn):
            whole = column.whole(placed)
            if whole is not None:
                return whole
        return column.take(slots)

    def drain_changes(self) -> pa.RecordBatch | None:
        """See `StateStore`."""
        if not self._changed and not self._removed:
            return None
        changed = np.concatenate([*self._changed, np.zeros(0, np.int64)])
        if self._removed:
            changed = changed[self._index.live.take(changed)]
        if len(self._changed) > 1:
            changed = self.group(changed)[1]
        if not self._removed:  # mostly one write has changed all of them; what it wrote need not be gathered again
            changed = next((slots for slots in reversed(self._changed) if len(slots) == len(changed)), changed)
        removed = self._removed
        columns = self._table(changed)
        lendable = [(name, placed) for name, (slots, placed) in self._placed.items() if slots is changed]
        self.discard_changes()
        gone = [pa.concat_arrays([keys[i] for keys, _ in removed]) for i in range(len(self.key_schema))] if removed else []
        freed = np.concatenate([np.zeros(0, np.int64), *(slots for _, slots in removed)])
        self._note_since_base(changed, freed)
        batch = self._change_batch(gone, freed, columns, changed)
        if lendable:
            self._drained.append((weakref.ref(batch), lendable))
        return batch if batch.num_rows else None

    def lend(self, drained: pa.RecordBatch, changes: Sequence[pa.RecordBatch]) -> None:
        """Give the store its changes as they lie in the mapped changelog.  At the next step they replace its own copies.

        Any thread may call it, in the order of the steps.

        Args:
            drained: what `drain_changes` gave.
            changes: the same rows, with the columns of `change_schema`.
        """
        while self._drained:
            batch, lendable = self._drained.popleft()
            if batch() is drained:
                if len(changes) == 1:
                    self._lent.append((lendable, changes[0]))
                return

    def _take_lent(self) -> None:
        while self._lent:
            lendable, changes = self._lent.popleft()
            first = int(np.count_nonzero(booleans(changes.column(len(self.schema)))))  # deletions
            for name, placed in lendable:
                column = self._columns[name]
                assert isinstance(column, TextColumn)
                column.lend(placed, changes.column(self._field_places[name]).slice(first))

    def _change_batch(self, gone: Sequence[Any], freed: Int64s, columns: Sequence[Any], changed: Int64s) -> pa.RecordBatch:
        """Make a change batch of freed slots (with the keys that they held, if known), then of rows."""
        if len(freed):
            rest = [pa.nulls(len(freed), f.type) for f in self.schema][len(gone) :]
            columns = [pa.concat_arrays(pair) for pair in zip([*gone, *rest], columns, strict=True)]
        slots = np.concatenate((freed, changed))
        deleted = np.arange(len(slots)) < len(freed)
        numbers = pa.array(slots.astype(np.uint32)) if self.numbered else pa.nulls(len(slots), pa.uint32())
        return pa.RecordBatch.from_arrays([*columns, pa.array(deleted), numbers], schema=self.change_schema)

    def _note_since_base(self, changed: Int64s, freed: Int64s) -> None:
        marks = self._since_base
        if marks is None:
            return
        if len(marks) < self._index.slot_count:
            marks = self._since_base = np.concatenate((marks, np.zeros(len(self._index.live) - len(marks), np.uint8)))
        marks[changed] |= _CHANGED
        marks[freed] |= _FREED

    def apply_changes(self, changes: pa.RecordBatch) -> None:
        """See `StateStore`.  Of several changes of a key, the last one counts."""
        groups, firsts = factorize(changes.columns[: len(self.key_schema)])
        if len(firsts) < changes.num_rows:
            last = np.zeros(len(firsts), np.int64)
            last[groups] = np.arange(changes.num_rows)  # of equal groups, the last assignment stays
            changes = changes.take(index_array(np.sort(last)))
        deleted = booleans(changes.column(len(self.schema)))
        if deleted.any():
            gone = changes.filter(pa.array(deleted))
            slots = self.slots(gone.columns[: len(self.key_schema)])
            self._remove(self.group(slots[slots >= 0])[1])
            changes = changes.filter(pa.array(~deleted))
        self._load(changes.columns[: len(self.schema)])

    def _load(self, columns: Sequence[Any]) -> None:
        """Write rows with distinct keys, without recording changes."""
        known = len(self._changed)
        keys, values = columns[: len(self.key_schema)], columns[len(self.key_schema) :]
        if len(columns[0]):
            slots, _ = self.insert(keys)
            for field, column in zip(self.fields, values):
                self.write(field.name, slots, from_arrow(column, field))
            self.write_rows(slots, values[len(self.fields) :])
        del self._changed[known:]

    def discard_changes(self) -> None:
        """See `StateStore`."""
        self._changed = []
        self._placed = {}
        self._removed = []
        self._take_lent()

    def checkpoint(self) -> pa.Table:
        """See `StateStore`."""
        return self._whole(self.snapshot(), self.numbered)

    def _whole(self, snapshot: StoreSnapshot, numbered: bool) -> pa.Table:
        table, slots = snapshot.rows_and_slots()
        if not numbered:
            return table
        if len(slots) < snapshot.index.slot_count:
            table = table.append_column(self._slot_column, pa.array(slots.astype(np.uint32)))
        return table.replace_schema_metadata({SLOTS_KNOWN: b"1"})

    def capture(self) -> Capture:
        """See `StateStore`.  From here on changes have slots: this checkpoint, and none before it, agrees with them."""
        self.numbered = True
        self._since_base = np.zeros(len(self._index.live), np.uint8)
        snapshot = self.snapshot()
        return lambda: self._whole(snapshot, True)

    def mark(self) -> Capture:
        """See `StateStore`."""
        snapshot, numbered = self.snapshot(), self.numbered
        return lambda: self._whole(snapshot, numbered)

    def capture_delta(self) -> Capture:
        """See `StateStore`.  A slot that was freed is a deletion, also if another key has it now."""
        marks = self._since_base
        if marks is None:
            raise InternalError(f"the store {self.name} has no base that a delta could refer to")
        snapshot, marks = self.snapshot(), marks.copy()

        def table() -> pa.Table:
            freed = np.flatnonzero(marks & _FREED)
            changed = np.flatnonzero(marks & _CHANGED)
            changed = changed[snapshot.index.live.take(changed)]
            gone = [pa.nulls(len(freed), f.type) for f in self.key_schema]
            columns = [c.combine_chunks() for c in snapshot.at(changed).columns]
            return pa.Table.from_batches([self._change_batch(gone, freed, columns, changed)])

        return table

    @property
    def delta_rows(self) -> int | None:
        """See `StateStore`."""
        return None if self._since_base is None else int(np.count_nonzero(self._since_base))

    def restore(self, table: pa.Table | None, changes: Iterable[pa.RecordBatch] = ()) -> None:
        """See `StateStore`."""
        self._clear()
        if table is not None:
            self._restore_base(table)
        by_slot = self.numbered
        for batch in changes:
            if by_slot and batch.column(len(self.schema) + 1).null_count:
                by_slot = self.numbered = False
                self._since_base = None
                self._settle_restored()
            if by_slot:
                self._replay(batch)
            else:
                self.apply_changes(batch)
        if by_slot:
            self._settle_restored()
        self.discard_changes()

    def _restore_base(self, table: pa.Table) -> None:
        """Put a checkpoint's rows into their slots.  If the checkpoint has no slots, the rows get new ones."""
        self.numbered = SLOTS_KNOWN in (table.schema.metadata or {})
        slots = np.arange(table.num_rows, dtype=np.int64)
        if self.numbered and table.num_columns > len(self.schema):
            slots = table.column(len(self.schema)).to_numpy().astype(np.int64)
        if len(slots):
            self._reserve_slots(int(slots.max()) + 1)  # at once: growing by and by copies all of it again and again
        start = 0
        for batch in table.to_batches(max_chunksize=RESTORE_ROWS):
            self._put(slots[start : start + batch.num_rows], batch.columns)
            start += batch.num_rows
        if self.numbered:
            self._since_base = np.zeros(len(self._index.live), np.uint8)
        else:
            self._settle_restored()

    def _put(self, slots: Int64s, columns: Sequence[Any]) -> None:
        """Write rows to distinct slots, and their keys into slots that are free.  The index is built later."""
        if len(slots) == 0:
            return
        keys = columns[: len(self.key_schema)]
        self._reserve_slots(int(slots.max()) + 1)
        free = ~self._index.live.take(slots)
        if free.all():
            self._index.place(slots, keys)
        elif free.any():
            mask = pa.array(free)
            self._index.place(slots[free], [c.filter(mask) for c in keys])
        values = columns[len(self.key_schema) :]
        for field, column in zip(self.fields, values):
            self._columns[field.name].put(slots, from_arrow(column, field))
        if self._rows is not None:
            self._rows.write(slots, values[len(self.fields) : len(self.fields) + len(self.row_schema)])

    def _reserve_slots(self, count: int) -> None:
        self._index.reserve(count)
        for column in self._columns.values():
            column.reserve(count)
        if self._rows is not None:
            self._rows.reserve(count)

    def _replay(self, changes: pa.RecordBatch) -> None:
        """Apply changes (of several steps, in order) by slot."""
        slots = changes.column(len(self.schema) + 1).to_numpy().astype(np.int64)
        if len(slots) == 0:
            return
        self._reserve_slots(int(slots.max()) + 1)
        deleted = booleans(changes.column(len(self.schema)))
        # Of several changes of a slot the last one counts.
        numbers, distinct = self.group(slots)
        rows = np.arange(len(slots), dtype=np.int64)
        last = np.empty(len(distinct), np.int64)
        last[numbers] = rows  # of equal numbers, the last assignment stays
        kept = last[numbers] == rows
        freed = np.zeros(0, np.int64)
        if deleted.any():
            freed = self.group(slots[deleted])[1]
            held = freed[self._index.live.take(freed)]
            for column in self._columns.values():
                column.reset(held)
            if self._rows is not None:
                self._rows.remove(held)
            self._index.vacate(held)
            kept &= ~deleted
        self._note_since_base(slots[kept], freed)
        columns = changes.columns[: len(self.schema)]
        if not kept.all():
            mask = pa.array(kept)
            slots, columns = slots[kept], [c.filter(mask) for c in columns]
        self._put(slots, columns)

    def _settle_restored(self) -> None:
        """Finish a restore, when all rows are in their slots: build the index, and what else is derived from rows."""
        self._index.build()
        if self._due is not None:
            slots = np.flatnonzero(self._index.live.values[: self._index.slot_count])
            self._due.add(slots, self._expiry_values(slots))

    def snapshot(self) -> StoreSnapshot:
        """See `StateStore`."""
        return StoreSnapshot(
            self.schema,
            self.fields,
            self._index.freeze(),
            [self._columns[f.name].freeze() for f in self.fields],
            None if self._rows is None else self._rows.freeze(),
        )


@dataclass(slots=True)
class StoreSnapshot:
    """A `KeyedStore` as it was; a `Snapshot`."""

    schema: pa.Schema
    fields: tuple[StateField, ...]
    index: FrozenIndex
    columns: list[FrozenColumn | FrozenTextColumn]
    rows: FrozenRows | None

    def at(self, slots: Int64s) -> pa.Table:
        """The rows of live slots."""
        fields = [to_arrow(c.take(slots), f.arrow) for f, c in zip(self.fields, self.columns)]
        rows = [] if self.rows is None else self.rows.read(slots)
        return pa.Table.from_arrays([*self.index.keys.read(slots), *fields, *rows], schema=self.schema)

    def table(self) -> pa.Table:
        """See `Snapshot`."""
        return self.at(self.index.slots())

    def rows_and_slots(self) -> tuple[pa.Table, Int64s]:
        """All rows and their slots, ascending."""
        slots = self.index.slots()
        return self.at(slots), slots

    def lookup(self, keys: Sequence[Any]) -> pa.Table:
        """See `Snapshot`; a key asked for twice is answered twice."""
        slots = self.index.find(keys)
        return self.at(slots[slots >= 0])

    # One key at a time

    def holds(self, slot: int, key: Point) -> bool:
        """Whether a slot had this key."""
        index = self.index
        if slot >= index.slot_count or not index.live.at(slot):
            return False
        view = index.keys.view
        if view.nulls is not None and view.nulls.at(slot):
            return False
        for column, word in zip(view.words, key.words):
            if column.at(slot) != word:
                return False
        for text, data in zip(view.texts, key.texts):
            length, start = text.lengths.at(slot), text.starts.at(slot)
            if length != len(data) or text.heap[start : start + length].tobytes() != data:
                return False
        return True

    def find_one(self, key: Point) -> int:
        """The slot that had the key; -1 if it was missing."""
        _, slots = kernels.candidates(self.index.table, self.index.slot_count, key.batch())
        return next((slot for slot in slots.tolist() if self.holds(slot, key)), -1)

    def columns_between(self, first: int, after: int) -> tuple[Int64s, list[Any], list[Any], dict[str, Any]]:
        """The rows of the live slots from ``first`` to ``after - 1``.

        Returns:
            the slots; the key columns, Arrow arrays; the fields as the store keeps them, arrays of NumPy's or Arrow's; all
            columns, Arrow arrays by name in the order of the schema.
        """
        after = max(first, min(after, self.index.slot_count))
        live = self.index.live.between(first, after)
        slots: Int64s = first + np.flatnonzero(live)
        keys = self.index.keys.read(slots)
        fields = [c.between(first, after)[live] if isinstance(c, FrozenColumn) else c.take(slots) for c in self.columns]
        rows = [] if self.rows is None else self.rows.read(slots)
        arrow = [to_arrow(values, field.arrow) for values, field in zip(fields, self.fields)]
        return slots, keys, fields, dict(zip(self.schema.names, (*keys, *arrow, *rows), strict=True))

    def row(self, slot: int, keys: Sequence[Any]) -> dict[str, Any]:
        """The row of a live slot: Arrow arrays of one value, by name in the order of the schema.

        Args:
            keys: its key, as such arrays.
        """
        slots = np.array([slot], np.int64)
        fields = [_one(c.take(slots), f) for f, c in zip(self.fields, self.columns)]
        rows = [] if self.rows is None else self.rows.read(slots)
        return dict(zip(self.schema.names, (*keys, *fields, *rows)))


def _one(values: Any, field: StateField) -> Any:
    """Like `to_arrow`, quicker for few values."""
    if isinstance(values, pa.Array):
        return values
    return pa.array(values) if _NATURAL.get(values.dtype) is field.arrow else to_arrow(values, field.arrow)


_NATURAL: Final = {np.dtype(np.int64): pa.int64(), np.dtype(np.float64): pa.float64(), np.dtype(np.int32): pa.int32()}
"""The Arrow types that arrays of these Python types get by default."""
