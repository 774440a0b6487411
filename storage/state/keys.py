"""Keys as machine words: what the hash index hashes, compares and stores.

A key column becomes words of 64 bits: one for a number, date, time or bool, two or four for a decimal.  Strings and bytes
become a run of words in a heap (padded with zeros) and their length.  Other types go by a canonical byte encoding, and
their Arrow values are stored beside it.  A null is a value like any other: it is equal to null only.  NaN equals NaN,
and -0.0 equals 0.0, at every depth (`storage/values/canonical.py`).
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..values.canonical import canonical
from .columns import Column, Int64s
from .rows import FrozenRows, RowStorage

Words = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]

_TEXT_WORDS_MAX: Final = 16
"""Words of a text that are handled column-wise (128 bytes); the rest of longer texts goes row by row."""

_MIX_1: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_2: Final = np.uint64(0xD6E8FEB86659FD93)
_SHIFT: Final = np.uint64(32)
_POSITIVE: Final = np.uint64(0x7FFFFFFFFFFFFFFF)
_KEEP: Final = np.array([(1 << (8 * n)) - 1 for n in range(9)], np.uint64)
"""Masks that keep the first n bytes of a little-endian word."""


class Readable(Protocol):
    """What an array, a column and a frozen column have in common."""

    def take(self, rows: Int64s) -> npt.NDArray[Any]: ...


@dataclass(slots=True)
class Texts:
    """Byte strings: row r has ``lengths[r]`` bytes, in whole words from ``heap[starts[r]]``."""

    starts: Readable
    lengths: Readable
    heap: Words


@dataclass(slots=True)
class KeyView:
    """Keys by row number (a batch's) or by slot (a store's)."""

    words: Sequence[Readable]
    texts: Sequence[Texts]
    nulls: Readable | None
    """A bit per key column; None if nothing is null."""


@dataclass(slots=True)
class Keys(KeyView):
    """A batch's keys.  ``nested`` are the Arrow columns that no words can hold."""

    hashes: Words
    nested: list[Any]

    def __len__(self) -> int:
        return len(self.hashes)


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


def _mix(hashes: Words) -> Words:
    """Spread every bit of a word over all of it, in place."""
    hashes *= _MIX_1
    hashes ^= hashes >> _SHIFT
    hashes *= _MIX_2
    hashes ^= hashes >> _SHIFT
    return hashes


def _valid(array: Any) -> Bools:
    return np.asarray(array.is_valid().to_numpy(zero_copy_only=False), np.bool_)


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


def _text_words(array: Any) -> Texts:
    """A column of strings or bytes as padded words; nulls are empty."""
    large = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    n = len(array)
    buffers = array.buffers()
    if n == 0:
        return Texts(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint64))
    offsets = np.frombuffer(buffers[1], np.int64 if large else np.int32)[array.offset : array.offset + n + 1]
    low, high = int(offsets[0]), int(offsets[-1])
    data = np.zeros(high - low + 8, np.uint8)
    if high > low:
        data[:-8] = np.frombuffer(buffers[2], np.uint8)[low:high]
    unaligned = np.ndarray((len(data) - 7,), np.uint64, data, 0, (1,))
    begins = offsets[:-1].astype(np.int64) - low
    lengths = np.diff(offsets).astype(np.int64)
    if array.null_count:
        lengths[~_valid(array)] = 0
    counts = (lengths + 7) >> 3
    starts = np.cumsum(counts) - counts
    heap = np.empty(int(counts.sum()), np.uint64)
    rows: Int64s | None = None
    for w in range(int(counts.max())):
        if w == _TEXT_WORDS_MAX:
            break
        rows = _with_word(counts, w, rows)
        b, s, left = (begins, starts, lengths) if rows is None else (begins[rows], starts[rows], lengths[rows])
        heap[s + w] = unaligned[b + 8 * w] & _KEEP[np.minimum(left - 8 * w, 8)]
    for row in np.flatnonzero(counts > _TEXT_WORDS_MAX):
        raw = data[begins[row] : begins[row] + lengths[row]].tobytes()
        heap[starts[row] : starts[row] + counts[row]] = np.frombuffer(raw.ljust(8 * counts[row], b"\0"), np.uint64)
    return Texts(starts, lengths, heap)


def _with_word(counts: Int64s, word: int, rows: Int64s | None) -> Int64s | None:
    """Which of ``rows`` (None: all) have the given word; None if it is all."""
    if rows is None:
        has = counts > word
        return None if has.all() else np.flatnonzero(has)
    return rows[counts[rows] > word]


def _hash_texts(texts: Texts, hashes: Words) -> None:
    lengths = np.asarray(texts.lengths)
    starts = np.asarray(texts.starts)
    hashes ^= lengths.view(np.uint64)
    counts = (lengths + 7) >> 3
    rows: Int64s | None = None
    for w in range(min(int(counts.max(initial=0)), _TEXT_WORDS_MAX)):
        rows = _with_word(counts, w, rows)
        if rows is None:
            hashes ^= texts.heap.take(starts + w)
            hashes *= _MIX_1
            hashes ^= hashes >> _SHIFT
        else:
            some = (hashes[rows] ^ texts.heap.take(starts[rows] + w)) * _MIX_1
            hashes[rows] = some ^ (some >> _SHIFT)
    for row in np.flatnonzero(counts > _TEXT_WORDS_MAX):
        rest = texts.heap[starts[row] + _TEXT_WORDS_MAX : starts[row] + counts[row]]
        hashes[row] ^= np.uint64(zlib.crc32(rest.tobytes()))
    _mix(hashes)


def encode(columns: Sequence[Any]) -> Keys:
    """The keys of a batch: parallel Arrow arrays, one per key column."""
    length = len(columns[0])
    hashes = np.full(length, 0x243F6A8885A308D3, np.uint64)
    words: list[Words] = []
    texts: list[Texts] = []
    nested: list[Any] = []
    nulls: npt.NDArray[np.uint64] | None = None
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
            texts.append(_text_words(column))
            _hash_texts(texts[-1], hashes)
        else:
            for word in _number_words(column):
                words.append(word)
                hashes ^= word
                _mix(hashes)
    if nulls is not None:
        # Rows without nulls must hash as they do in a batch that has none.
        rows = np.flatnonzero(nulls)
        hashes[rows] = _mix(hashes[rows] ^ nulls[rows])
    hashes &= _POSITIVE
    return Keys(words, texts, nulls, hashes, nested)


def _pick(values: Readable, rows: Int64s | None) -> Any:
    return values if rows is None else values.take(rows)


def equal(a: KeyView, a_rows: Int64s, b: KeyView, b_rows: Int64s | None) -> Bools:
    """Whether the keys of parallel rows are equal; ``b_rows``: None stands for all of a batch's rows."""
    same = np.ones(len(a_rows), np.bool_)
    for left, right in zip(a.words, b.words):
        same &= left.take(a_rows) == _pick(right, b_rows)
    if a.nulls is not None or b.nulls is not None:
        zero = np.uint64(0)
        same &= (zero if a.nulls is None else a.nulls.take(a_rows)) == (zero if b.nulls is None else _pick(b.nulls, b_rows))
    for x, y in zip(a.texts, b.texts):
        lengths = x.lengths.take(a_rows)
        same &= lengths == _pick(y.lengths, b_rows)
        counts = (lengths + 7) >> 3
        x_starts, y_starts = x.starts.take(a_rows), _pick(y.starts, b_rows)
        rows: Int64s | None = None if same.all() else np.flatnonzero(same)
        for w in range(min(int(counts.max(initial=0)), _TEXT_WORDS_MAX)):
            if rows is None:
                rows = _with_word(counts, w, None)
            else:
                rows = rows[counts[rows] > w]
            if rows is None:
                same &= x.heap.take(x_starts + w) == y.heap.take(y_starts + w)
            elif len(rows):
                same[rows] &= x.heap.take(x_starts[rows] + w) == y.heap.take(y_starts[rows] + w)
        for row in np.flatnonzero(same & (counts > _TEXT_WORDS_MAX)):
            s, t, n = x_starts[row], y_starts[row], counts[row]
            same[row] = np.array_equal(x.heap[s : s + n], y.heap[t : t + n])
    return same


class _TextColumn:
    """Texts by slot: an append-only heap, compacted when more than half of it is garbage."""

    def __init__(self) -> None:
        self.starts = Column(np.int64)
        self.lengths = Column(np.int64)
        self.heap: Words = np.zeros(64, np.uint64)
        self.used = 0
        self.garbage = 0

    def put(self, slots: Int64s, texts: Texts, rows: Int64s) -> None:
        lengths = texts.lengths.take(rows)
        counts = (lengths + 7) >> 3
        total = int(counts.sum())
        if self.used + total > len(self.heap):
            grown = np.zeros(max(self.used + total, 2 * len(self.heap)), np.uint64)
            grown[: self.used] = self.heap[: self.used]
            self.heap = grown
        starts = self.used + np.cumsum(counts) - counts
        self.used += total
        _copy_words(texts.heap, texts.starts.take(rows), self.heap, starts, counts)
        self.starts.put(slots, starts)
        self.lengths.put(slots, lengths)

    def drop(self, slots: Int64s) -> None:
        self.garbage += int(((self.lengths.take(slots) + 7) >> 3).sum())
        self.lengths.put(slots, 0)
        if self.garbage > 4096 and self.garbage * 2 > self.used:
            self._compact()

    def _compact(self) -> None:
        # Dropped slots have length 0, so every slot's words are live.
        counts = (self.lengths.values + 7) >> 3
        ends = np.cumsum(counts)
        total = int(ends[-1])
        heap = np.zeros(max(64, total + total // 2), np.uint64)
        _copy_words(self.heap, self.starts.values, heap, ends - counts, counts)
        self.heap, self.used, self.garbage = heap, total, 0
        self.starts.replace(ends - counts)


def _copy_words(source: Words, source_starts: Int64s, target: Words, target_starts: Int64s, counts: Int64s) -> None:
    rows: Int64s | None = None
    for w in range(min(int(counts.max(initial=0)), _TEXT_WORDS_MAX)):
        rows = _with_word(counts, w, rows)
        if rows is None:
            target[target_starts + w] = source.take(source_starts + w)
        else:
            target[target_starts[rows] + w] = source.take(source_starts[rows] + w)
    for row in np.flatnonzero(counts > _TEXT_WORDS_MAX):
        n = counts[row]
        target[target_starts[row] : target_starts[row] + n] = source[source_starts[row] : source_starts[row] + n]


def _texts_to_arrow(texts: Texts, rows: Int64s, valid: Any, type_: Any) -> Any:
    """The strings of rows as an Arrow array; ``valid``: its validity buffer, or None."""
    starts, lengths = texts.starts.take(rows), texts.lengths.take(rows)
    offsets = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    data = np.zeros(int(offsets[-1]) + 8, np.uint8)
    unaligned = np.ndarray((len(data) - 7,), np.uint64, data, 0, (1,))
    counts = (lengths + 7) >> 3
    # A word's padding spills into the texts after it; so last words first, and their own words put it right.
    for row in np.flatnonzero(counts > _TEXT_WORDS_MAX):
        at = offsets[row] + 8 * _TEXT_WORDS_MAX
        words = texts.heap[starts[row] + _TEXT_WORDS_MAX : starts[row] + counts[row]]
        data[at : offsets[row + 1]] = words.view(np.uint8)[: offsets[row + 1] - at]
    for w in range(min(int(counts.max(initial=0)), _TEXT_WORDS_MAX) - 1, -1, -1):
        some = np.flatnonzero(counts > w)
        at = offsets[some] + 8 * w
        if w == 0:
            unaligned[at] = texts.heap.take(starts[some])
        else:
            _merge_words(unaligned, at, texts.heap.take(starts[some] + w), lengths[some] - 8 * w)
    large = pa.types.is_large_string(type_) or pa.types.is_large_binary(type_)
    ends = pa.py_buffer(offsets if large else offsets.astype(np.int32))
    return pa.Array.from_buffers(type_, len(rows), [valid, ends, pa.py_buffer(data[:-8])])


def _merge_words(target: Words, at: Int64s, words: Words, left: Int64s) -> None:
    """Write words without touching the bytes after their text's end."""
    keep = _KEEP[np.minimum(left, 8)]
    target[at] = (target[at] & ~keep) | words


class StoredKeys:
    """The keys of a store, by slot."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self._types = [f.type for f in schema]
        self.words: list[Column] = []
        self.texts: list[_TextColumn] = []
        for type_ in self._types:
            if _is_text(type_) or _is_nested(type_):
                self.texts.append(_TextColumn())
            else:
                count = type_.bit_width // 64 if pa.types.is_decimal(type_) else 1
                self.words.extend(Column(np.uint64) for _ in range(count))
        self.nulls: Column | None = None
        nested = [f for f in schema if _is_nested(f.type)]
        self.nested = RowStorage(pa.schema(nested)) if nested else None

    @property
    def nbytes(self) -> int:
        columns = [*self.words, *(c for t in self.texts for c in (t.starts, t.lengths))]
        heaps = sum(t.heap.nbytes for t in self.texts)
        return sum(c.nbytes for c in columns) + heaps + (0 if self.nested is None else self.nested.nbytes)

    def view(self) -> KeyView:
        return KeyView(self.words, [Texts(t.starts, t.lengths, t.heap) for t in self.texts], self.nulls)

    def number(self, key: int) -> Column:
        """The words of a key column that is one word wide (a number or an instant)."""
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

    def put(self, slots: Int64s, keys: Keys, rows: Int64s) -> None:
        """Store the keys of a batch's rows."""
        for column, words in zip(self.words, keys.words):
            column.put(slots, words.take(rows))
        for text, texts in zip(self.texts, keys.texts):
            text.put(slots, texts, rows)
        if keys.nulls is not None and self.nulls is None:
            # Snapshots taken before hold no nulls, so they do not need this column.
            self.nulls = Column(np.uint64, 0, len((self.words + [t.starts for t in self.texts])[0]))
        if self.nulls is not None:
            self.nulls.put(slots, 0 if keys.nulls is None else keys.nulls.take(rows))
        if self.nested is not None:
            index = pa.array(rows)
            self.nested.write(slots, [column.take(index) for column in keys.nested])

    def drop(self, slots: Int64s) -> None:
        """Free what slots hold; they must not be compared until they are put again."""
        for text in self.texts:
            text.drop(slots)
        if self.nested is not None:
            self.nested.remove(slots)

    def read(self, slots: Int64s) -> list[Any]:
        return to_arrow(self.view(), self._types, slots, self.nested)

    def freeze(self) -> FrozenKeys:
        texts = [Texts(t.starts.freeze(), t.lengths.freeze(), t.heap) for t in self.texts]
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
                valid = pa.py_buffer(np.packbits(bits == 0, bitorder="little"))
        if _is_nested(type_):
            next(texts)
            columns.append(next(others))
        elif _is_text(type_):
            columns.append(_texts_to_arrow(next(texts), slots, valid, type_))
        elif pa.types.is_decimal(type_):
            parts = [next(words).take(slots) for _ in range(type_.bit_width // 64)]
            data = np.ascontiguousarray(np.stack(parts, axis=1)) if len(slots) else np.zeros(0, np.uint64)
            columns.append(pa.Array.from_buffers(type_, len(slots), [valid, pa.py_buffer(data)]))
        else:
            word = next(words).take(slots)
            if pa.types.is_boolean(type_):
                data = np.packbits(word != 0, bitorder="little")
            else:
                data = word.view(np.int64).astype(np.dtype(f"i{type_.bit_width // 8}"), copy=False)
            columns.append(pa.Array.from_buffers(type_, len(slots), [valid, pa.py_buffer(np.ascontiguousarray(data))]))
    return columns
