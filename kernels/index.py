"""Hash indexes, from key columns to slots (source/index.cpp).

Kernels get keys as descriptors: `KeyBatch` for those of a batch, `SlotKeys` for those of an index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import InternalError
from .library import address, function

__all__ = [
    "EMPTY",
    "KeyBatch",
    "SlotKeys",
    "StoredText",
    "BatchText",
    "build",
    "candidates",
    "find",
    "group",
    "group_by_last",
    "grow",
    "insert",
    "number",
    "place",
    "runs",
]

Int64s = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]
Octets = npt.NDArray[np.uint8]

EMPTY: Final = np.uint64(0xFFFFFFFFFFFFFFFF)
"""Marks a free entry of a table."""

_find = function("index_find", "-", "piippp")
_insert = function("index_insert", "i", "pppipp")
_build = function("index_build", "-", "pipi")
_grow = function("index_grow", "-", "pipi")
_candidates = function("index_candidates", "i", "piipppp" + "i")
_number = function("index_number", "i", "pippp")
_place = function("index_place", "-", "ppp")
_group = function("group_slots", "i", "piippp")
_by_last = function("group_slots_by_last", "i", "piipppp")
_runs = function("key_runs", "i", "pip")

_RUN_ROWS: Final = 16
"""The average number of rows of a run below which runs are of no use."""


@dataclass(frozen=True, slots=True)
class BatchText:
    """A column of byte strings in a batch.  Row r is ``data[offsets[r]:offsets[r + 1]]``, which is empty for a null.

    ``offsets``: int32 or int64[rows + 1], ascending.  ``bit``: the column's bit in `KeyBatch.nulls`.
    """

    offsets: npt.NDArray[Any]
    data: Octets
    bit: int


class KeyBatch:
    """The keys of a batch: words (uint64[rows] each), byte strings, and a mask of nulls (uint64[rows], or None)."""

    __slots__ = ("descriptor", "nulls", "rows", "texts", "words")

    def __init__(self, rows: int, words: Sequence[Words], texts: Sequence[BatchText], nulls: Words | None) -> None:
        self.rows = rows
        self.words = words
        self.texts = texts
        self.nulls = nulls
        described = [rows, len(words), len(texts), 0 if nulls is None else address(nulls, np.uint64, rows)]
        described += [address(w, np.uint64, rows) for w in words]
        for text in texts:
            large = text.offsets.dtype == np.int64
            offsets = address(text.offsets, np.int64 if large else np.int32, rows + 1)
            if int(text.offsets[0]) < 0 or int(text.offsets[rows]) > len(text.data):
                raise InternalError("the offsets of a text column lie outside of its bytes")
            described += [offsets, address(text.data, np.uint8, 0), int(large), text.bit]
        self.descriptor = np.array(described, np.int64)

    def __len__(self) -> int:
        return self.rows


@dataclass(slots=True)
class StoredText:
    """Byte strings by slot: ``lengths[slot]`` bytes of ``heap`` from ``starts[slot]`` on.  ``used`` is how many bytes of the
    heap are in use.
    """

    starts: Int64s
    lengths: Int64s
    heap: Octets
    used: int


class SlotKeys:
    """The keys of an index by slot; each array has at least ``slots`` items."""

    __slots__ = ("_held", "descriptor", "texts", "words_count")

    def __init__(
        self, slots: int, live: Bools, words: Sequence[Words], texts: Sequence[StoredText], nulls: Words | None
    ) -> None:
        described = [len(words), len(texts), 0 if nulls is None else address(nulls, np.uint64, slots, write=True)]
        described.append(address(live, np.bool_, slots, write=True))
        described += [address(w, np.uint64, slots, write=True) for w in words]
        for text in texts:
            described += [
                address(text.starts, np.int64, slots, write=True),
                address(text.lengths, np.int64, slots, write=True),
            ]
            described += [address(text.heap, np.uint8, text.used, write=True), text.used, len(text.heap)]
        self.descriptor = np.array(described, np.int64)
        self.texts = texts
        self.words_count = len(words)
        self._held = (live, words, nulls)

    def check(self, batch: KeyBatch) -> None:
        """Check that a batch's keys fit.  Raises: InternalError, if their columns differ, or they have nulls and these have
        no mask for them.
        """
        shape = (len(batch.words), len(batch.texts))
        if shape != (self.words_count, len(self.texts)) or (batch.nulls is not None and self._held[2] is None):
            raise InternalError(f"keys of {shape[0]} words and {shape[1]} texts do not fit an index's")

    def used(self, text: int) -> int:
        """The bytes in use in the heap of a text column, after an insertion."""
        return int(self.descriptor[4 + self.words_count + 5 * text + 3])


def _table(table: Words, *, write: bool = False) -> int:
    if len(table) & (len(table) - 1) or not len(table):
        raise InternalError("a table's length is a power of two")
    return address(table, np.uint64, len(table), write=write)


def find(table: Words, slot_count: int, batch: KeyBatch, stored: SlotKeys) -> Int64s:
    """int64[rows]: the slot of each key, -1 if the key is missing."""
    stored.check(batch)
    out = np.empty(batch.rows, np.int64)
    descriptor, held = batch.descriptor, stored.descriptor
    _find(
        _table(table),
        len(table) - 1,
        slot_count,
        descriptor.ctypes.data,
        held.ctypes.data,
        address(out, np.int64, batch.rows, write=True),
    )
    return out


def insert(state: Int64s, batch: KeyBatch, stored: SlotKeys, start: int, out: Int64s, is_new: Bools) -> int:
    """Insert keys from row ``start`` on.  ``state`` is changed; the source describes it.

    Returns:
        the first row that was not inserted, because the table, the columns or a heap are full; the batch's length if all
        were.
    """
    stored.check(batch)
    done: int = _insert(
        address(state, np.int64, 8, write=True),
        batch.descriptor.ctypes.data,
        stored.descriptor.ctypes.data,
        start,
        address(out, np.int64, batch.rows, write=True),
        address(is_new, np.bool_, batch.rows, write=True),
    )
    return done


def build(table: Words, stored: SlotKeys, slots: int) -> None:
    """Insert all live slots below ``slots`` into an empty table that is large enough."""
    _build(_table(table, write=True), len(table) - 1, stored.descriptor.ctypes.data, slots)


def grow(old: Words, table: Words) -> None:
    """Move the entries of a table into a larger, empty one.  No entry may be stale."""
    _grow(_table(old), len(old), _table(table, write=True), len(table) - 1)


def candidates(table: Words, slot_count: int, batch: KeyBatch) -> tuple[Int64s, Int64s]:
    """For readers of a frozen index: pairs of a row and a slot that may hold its key.  The caller must compare the keys."""
    room = 2 * batch.rows + 8
    row, descriptor, entries = np.zeros(1, np.int64), address(batch.descriptor, np.int64, 0), _table(table)
    at = address(row, np.int64, 1, write=True)
    found: list[tuple[Int64s, Int64s]] = []
    done = 0
    while done < batch.rows:
        pairs = np.empty((2, room), np.int64)
        rows = address(pairs, np.int64, 2, write=True)
        count = _candidates(entries, len(table) - 1, slot_count, descriptor, at, rows, rows + 8 * room, room)
        found.append((pairs[0, :count], pairs[1, :count]))
        before, done = done, int(row[0])
        if done == before:
            room *= 2
    if len(found) == 1:
        return found[0]
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate([r for r, _ in found]), np.concatenate([s for _, s in found])


def number(batch: KeyBatch) -> tuple[Int64s, Int64s]:
    """Number the distinct keys of a batch 0, 1, .. in order of first occurrence.

    Returns:
        the number of each row's key, and the first row of each key.
    """
    table = np.full(max(64, 1 << (2 * batch.rows).bit_length()), EMPTY, np.uint64)
    numbers, firsts = np.empty(batch.rows, np.int64), np.empty(batch.rows, np.int64)
    count = _number(
        _table(table, write=True), len(table) - 1, batch.descriptor.ctypes.data, numbers.ctypes.data, firsts.ctypes.data
    )
    return numbers, firsts[:count].copy()


def place(batch: KeyBatch, stored: SlotKeys, slots: Int64s) -> None:
    """Write keys into slots that the table does not have yet.  The heaps must have room for their texts."""
    stored.check(batch)
    _place(batch.descriptor.ctypes.data, stored.descriptor.ctypes.data, address(slots, np.int64, batch.rows))


def group(slots: Int64s, generation: int, scratch: Words) -> tuple[Int64s, Int64s]:
    """Number the distinct slots of a batch 0, 1, .. in order of first occurrence.

    Args:
        generation: below 2**32; a different one for each call with the same scratch.
        scratch: uint64 by slot, longer than the largest slot; only the kernel reads and writes it.

    Returns:
        the number of each row's slot, and the distinct slots.
    """
    numbers, distinct = np.empty(len(slots), np.int64), np.empty(len(slots), np.int64)
    count = _group(
        address(slots, np.int64, len(slots)),
        len(slots),
        generation,
        address(scratch, np.uint64, len(scratch), write=True),
        numbers.ctypes.data,
        distinct.ctypes.data,
    )
    return numbers, distinct[:count].copy()


def group_by_last(slots: Int64s, generation: int, scratch: Words) -> tuple[Int64s, Int64s, Int64s]:
    """`group`, but numbered in order of last occurrence.

    Returns:
        the number of each row's slot, the distinct slots, and the last row of each.
    """
    n = len(slots)
    numbers, distinct, last = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    count = _by_last(
        address(slots, np.int64, n),
        n,
        generation,
        address(scratch, np.uint64, len(scratch), write=True),
        numbers.ctypes.data,
        distinct.ctypes.data,
        last.ctypes.data,
    )
    return numbers, distinct[:count].copy(), last[:count].copy()


def runs(batch: KeyBatch) -> Int64s | None:
    """The first row of each run of equal keys; None if runs are short, or keys have texts or nulls."""
    if batch.texts or batch.nulls is not None:
        return None
    heads = np.empty(batch.rows // _RUN_ROWS, np.int64)
    count = _runs(batch.descriptor.ctypes.data, len(heads), heads.ctypes.data)
    return None if count < 0 else heads[:count]
