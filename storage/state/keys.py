"""The representation of keys in the hash index: machine words and byte strings.

A key column becomes words of 64 bits: one for a number, date, time or bool, two or four for a decimal.  Strings and bytes
stay Arrow arrays; in the store they are in a heap of bytes.  Other types have a canonical byte encoding, and their Arrow
values are stored beside it.  A null equals only a null.  NaN equals NaN, and -0.0 equals 0.0, at every depth
(`storage/values/canonical.py`).
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...kernels import index as kernels
from ...kernels import texts as text_kernels
from ...kernels.booleans import booleans
from ..values.canonical import canonical
from .columns import GrowingColumn, Int64s
from .rows import FrozenRows, RowStorage

Words = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]
Octets = npt.NDArray[np.uint8]


class Readable(Protocol):
    """The common interface of columns and frozen columns."""

    def at(self, row: int) -> Any: ...

    def take(self, rows: Int64s) -> npt.NDArray[Any]: ...


@dataclass(slots=True)
class SlotTexts:
    """Byte strings by slot: ``lengths[slot]`` bytes from ``heap[starts[slot]]`` on."""

    starts: Readable
    lengths: Readable
    heap: Octets


@dataclass(slots=True)
class KeyView:
    """A store's keys by slot."""

    words: Sequence[Readable]
    texts: Sequence[SlotTexts]
    nulls: Readable | None
    """A bit per key column; None if there are no nulls."""


@dataclass(slots=True)
class Keys:
    """The keys of a batch.  ``nested`` are the Arrow columns that words cannot represent."""

    batch: kernels.KeyBatch
    nested: list[Any]

    def __len__(self) -> int:
        return len(self.batch)


def _is_text(type_: Any) -> bool:
    t = pa.types
    return bool(t.is_string(type_) or t.is_binary(type_) or t.is_large_string(type_) or t.is_large_binary(type_))


def _is_nested(type_: Any) -> bool:
    t = pa.types
    return not (
        _is_text(type_)
        or t.is_integer(type_)
        or t.is_boolean(type_)
        or t.is_floating(type_)
        or t.is_temporal(type_)
        or t.is_decimal(type_)
    )


def _valid(array: Any) -> Bools:
    return booleans(array.is_valid())


def _number_words(array: Any) -> list[Words]:
    """The words of a column of fixed width; nulls are zero."""
    type_ = array.type
    if pa.types.is_boolean(type_):
        words = [array.cast(pa.uint8()).fill_null(0).to_numpy(zero_copy_only=False).astype(np.uint64)]
    elif pa.types.is_decimal(type_):
        width = type_.bit_width // 64
        data = np.frombuffer(array.buffers()[1] or b"", np.uint64)
        data = data[array.offset * width : (array.offset + len(array)) * width].reshape(-1, width)
        words = [np.ascontiguousarray(data[:, w]) for w in range(width)]
        if array.null_count:
            valid = _valid(array)
            words = [np.where(valid, w, np.uint64(0)) for w in words]
    else:
        bits = type_.bit_width
        data = np.frombuffer(array.buffers()[1] or b"", np.dtype(f"i{bits // 8}"))
        data = data[array.offset : array.offset + len(array)]
        words = [data.view(np.uint64) if bits == 64 else data.astype(np.int64).view(np.uint64)]
        if array.null_count:
            words = [np.where(_valid(array), words[0], np.uint64(0))]
    return words


def _text(array: Any, bit: int) -> kernels.BatchText:
    """A column of strings or bytes."""
    large = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    n = len(array)
    dtype = np.dtype(np.int64 if large else np.int32)
    buffers = array.buffers()
    if n == 0 or buffers[1] is None:
        return kernels.BatchText(np.zeros(n + 1, dtype), np.zeros(0, np.uint8), bit)
    offsets = np.frombuffer(buffers[1], dtype, n + 1, array.offset * dtype.itemsize)
    data = np.zeros(0, np.uint8) if buffers[2] is None else np.frombuffer(buffers[2], np.uint8)
    return kernels.BatchText(offsets, data, bit)


def encode(columns: Sequence[Any]) -> Keys:
    """Encode the keys of a batch (parallel Arrow arrays, one per key column)."""
    length = len(columns[0])
    words: list[Words] = []
    texts: list[kernels.BatchText] = []
    nested: list[Any] = []
    nulls: Words | None = None
    for number, given in enumerate(columns):
        column = canonical(given.combine_chunks() if isinstance(given, pa.ChunkedArray) else given)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if column.null_count:
            nulls = np.zeros(length, np.uint64) if nulls is None else nulls
            nulls |= (~_valid(column)).astype(np.uint64) << np.uint64(number)
        if _is_nested(column.type):
            nested.append(column)
            column = pa.array([None if v is None else pickle.dumps(v, 4) for v in column.to_pylist()], pa.binary())
        if _is_text(column.type):
            texts.append(_text(column, number))
        else:
            words.extend(_number_words(column))
    return Keys(kernels.KeyBatch(length, words, texts, nulls), nested)


def same_keys(view: KeyView, slots: Int64s, batch: kernels.KeyBatch, rows: Int64s) -> Bools:
    """bool[n]: the key of each slot equals that of the batch's row."""
    same = np.ones(len(slots), np.bool_)
    for left, right in zip(view.words, batch.words):
        same &= left.take(slots) == right.take(rows)
    if view.nulls is not None or batch.nulls is not None:
        zero = np.uint64(0)
        mine = zero if view.nulls is None else view.nulls.take(slots)
        same &= mine == (zero if batch.nulls is None else batch.nulls.take(rows))
    for text, other in zip(view.texts, batch.texts):
        at = np.flatnonzero(same)
        if batch.nulls is not None:
            # What lies below a null says nothing; and the nulls are the same.
            at = at[(batch.nulls.take(rows[at]) >> np.uint64(other.bit)) & np.uint64(1) == 0]
        mine = slots[at]
        starts, lengths = text.starts.take(mine), text.lengths.take(mine)
        same[at] = text_kernels.equal(text.heap, starts, lengths, other.offsets, other.data, rows[at])
    return same


class _TextColumn:
    """Texts by slot, in an append-only heap.  The heap is compacted when more than half of it is garbage."""

    def __init__(self) -> None:
        self.starts = GrowingColumn(np.int64)
        self.lengths = GrowingColumn(np.int64)
        self.heap: Octets = np.zeros(64, np.uint8)
        self.used = 0
        self.garbage = 0

    def reserve_bytes(self, more: int) -> None:
        """Make room in the heap.  Holders of the previous heap may go on reading it."""
        if self.used + more > len(self.heap):
            grown = np.zeros(max(self.used + more, 2 * len(self.heap)), np.uint8)
            grown[: self.used] = self.heap[: self.used]
            self.heap = grown

    def drop(self, slots: Int64s) -> None:
        self.garbage += int(self.lengths.take(slots).sum())
        self.lengths.put(slots, 0)
        if self.garbage > 4096 and self.garbage * 2 > self.used:
            self._compact()

    def _compact(self) -> None:
        # Dropped slots have length 0, so every slot's bytes are live.
        offsets = text_kernels.offsets_of(self.lengths.values)
        total = int(offsets[-1])
        live = text_kernels.gather(self.heap, self.starts.values, offsets)
        heap = np.zeros(max(64, total + total // 2), np.uint8)
        heap[:total] = live
        self.heap, self.used, self.garbage = heap, total, 0
        self.starts.replace(offsets[:-1].copy())


def _texts_to_arrow(texts: SlotTexts, rows: Int64s, valid: Any, type_: Any) -> Any:
    """The strings of rows as an Arrow array; ``valid``: its validity buffer, or None."""
    starts, lengths = texts.starts.take(rows), texts.lengths.take(rows)
    offsets = text_kernels.offsets_of(lengths)
    data = text_kernels.gather(texts.heap, starts, offsets)
    large = pa.types.is_large_string(type_) or pa.types.is_large_binary(type_)
    ends = pa.py_buffer((offsets if large else offsets.astype(np.int32)).data)
    return pa.Array.from_buffers(type_, len(rows), [valid, ends, pa.py_buffer(data.data)])


class StoredKeys:
    """The keys of a store, by slot."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self._types = [f.type for f in schema]
        self.words: list[GrowingColumn] = []
        self.texts: list[_TextColumn] = []
        for type_ in self._types:
            if _is_text(type_) or _is_nested(type_):
                self.texts.append(_TextColumn())
            else:
                count = type_.bit_width // 64 if pa.types.is_decimal(type_) else 1
                self.words.extend(GrowingColumn(np.uint64) for _ in range(count))
        self.nulls: GrowingColumn | None = None
        nested = [f for f in schema if _is_nested(f.type)]
        self.nested = RowStorage(pa.schema(nested)) if nested else None

    @property
    def nbytes(self) -> int:
        columns = [*self.words, *(c for t in self.texts for c in (t.starts, t.lengths))]
        heaps = sum(t.heap.nbytes for t in self.texts)
        return sum(c.nbytes for c in columns) + heaps + (0 if self.nested is None else self.nested.nbytes)

    def view(self) -> KeyView:
        return KeyView(self.words, [SlotTexts(t.starts, t.lengths, t.heap) for t in self.texts], self.nulls)

    def number(self, key: int) -> GrowingColumn:
        """The words of a key column that takes one word (a number or an instant)."""
        before = [t for t in self._types[:key] if not (_is_text(t) or _is_nested(t))]
        return self.words[sum(t.bit_width // 64 if pa.types.is_decimal(t) else 1 for t in before)]

    def reserve(self, slots: int) -> None:
        for column in self.words:
            column.reserve(slots)
        for text in self.texts:
            text.starts.reserve(slots)
            text.lengths.reserve(slots)
        if self.nulls is not None:
            self.nulls.reserve(slots)
        if self.nested is not None:
            self.nested.reserve(slots)

    def prepare(self, keys: Keys) -> None:
        """Add a column for nulls if some of these keys are null.  Snapshots taken before have none and need none."""
        if keys.batch.nulls is not None and self.nulls is None:
            self.nulls = GrowingColumn(np.uint64, 0, len((self.words + [t.starts for t in self.texts])[0]))

    def overwrite(self, slots: Int64s) -> None:
        """Prepare slots that snapshots may hold for other keys."""
        columns = [*self.words, *(c for t in self.texts for c in (t.starts, t.lengths))]
        for column in columns if self.nulls is None else [*columns, self.nulls]:
            column.keep(slots)

    def stored(self, slots: int, live: Bools) -> kernels.SlotKeys:
        """The arrays that kernels read and write, valid until anything is reserved.  Trap: see `took`."""
        texts = [kernels.StoredText(t.starts.values, t.lengths.values, t.heap, t.used) for t in self.texts]
        nulls = None if self.nulls is None else self.nulls.values
        return kernels.SlotKeys(slots, live, [w.values for w in self.words], texts, nulls)

    def took(self, stored: kernels.SlotKeys, keys: Keys, slots: Int64s, rows: Int64s) -> None:
        """Note that a kernel has put keys of a batch's rows into slots."""
        for number, text in enumerate(self.texts):
            text.used = stored.used(number)
        if self.nested is not None and len(slots):
            index = pa.array(rows)
            self.nested.write(slots, [column.take(index) for column in keys.nested])

    def reserve_bytes(self, keys: Keys) -> None:
        """Make room in the heaps for all texts of a batch."""
        for text, given in zip(self.texts, keys.batch.texts):
            text.reserve_bytes(int(given.offsets[-1]) - int(given.offsets[0]))

    def drop(self, slots: Int64s) -> None:
        """Free the keys of slots.  Trap: do not compare these slots until they hold keys again."""
        for text in self.texts:
            text.drop(slots)
        if self.nested is not None:
            self.nested.remove(slots)

    def read(self, slots: Int64s) -> list[Any]:
        return to_arrow(self.view(), self._types, slots, self.nested)

    def freeze(self) -> FrozenKeys:
        texts = [SlotTexts(t.starts.freeze(), t.lengths.freeze(), t.heap) for t in self.texts]
        nulls = None if self.nulls is None else self.nulls.freeze()
        view = KeyView([w.freeze() for w in self.words], texts, nulls)
        return FrozenKeys(view, self._types, None if self.nested is None else self.nested.freeze())


@dataclass(slots=True)
class FrozenKeys:
    """The keys of a store as they were."""

    view: KeyView
    types: list[Any]
    nested: FrozenRows | None

    def read(self, slots: Int64s) -> list[Any]:
        return to_arrow(self.view, self.types, slots, self.nested)


def to_arrow(view: KeyView, types: Sequence[Any], slots: Int64s, nested: RowStorage | FrozenRows | None) -> list[Any]:
    """The keys of slots as Arrow arrays."""
    words, texts = iter(view.words), iter(view.texts)
    others = iter([] if nested is None else nested.read(slots))
    nulls = None if view.nulls is None else view.nulls.take(slots)
    columns: list[Any] = []
    for number, type_ in enumerate(types):
        valid = None
        if nulls is not None:
            bits = (nulls >> np.uint64(number)) & np.uint64(1)
            if bits.any():
                valid = pa.py_buffer(np.packbits(bits == 0, bitorder="little").data)
        if _is_nested(type_):
            next(texts)
            columns.append(next(others))
        elif _is_text(type_):
            columns.append(_texts_to_arrow(next(texts), slots, valid, type_))
        elif pa.types.is_decimal(type_):
            parts = [next(words).take(slots) for _ in range(type_.bit_width // 64)]
            data = np.ascontiguousarray(np.stack(parts, axis=1)) if len(slots) else np.zeros(0, np.uint64)
            columns.append(pa.Array.from_buffers(type_, len(slots), [valid, pa.py_buffer(data.data)]))
        else:
            word = next(words).take(slots)
            if pa.types.is_boolean(type_):
                data = np.packbits(word != 0, bitorder="little")
            else:
                data = word.view(np.int64).astype(np.dtype(f"i{type_.bit_width // 8}"), copy=False)
            columns.append(pa.Array.from_buffers(type_, len(slots), [valid, pa.py_buffer(np.ascontiguousarray(data).data)]))
    return columns
