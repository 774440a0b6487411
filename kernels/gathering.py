"""Gathers rows of one or several Arrow arrays into a new one (source/gather.cpp).

A row of several arrays is named by a *reference*, an int64: the array's number in the upper 32 bits, the row in the lower
ones.  A negative reference stands for a row of nulls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..errors import InternalError
from .library import address, bits, function

__all__ = [
    "Later",
    "Picks",
    "Pieces",
    "TextPieces",
    "gather",
    "gather_columns",
    "gather_numbers",
    "pick",
    "reference",
    "references",
    "take",
]

Int64s = npt.NDArray[np.int64]

_check = function("gather_check", "i", "pipip")
_items = function("gather_items", "-", "pipip")
_offsets = function("gather_offsets", "i", "pipipi")
_bytes = function("gather_bytes", "-", "pippipp")
_ranges = function("gather_ranges", "-", "ppipp")
_bits = function("gather_bits", "i", "pppip")

_BYTES_MAX: Final = (1 << 31) - 1
"""The largest number of bytes in an array with offsets of 32 bits."""

_SIZED_AT_ONCE: Final = 1 << 16
"""How many strings' lengths one call looks up."""


def reference(array: int, row: int) -> int:
    """The reference to a row of an array, given by its number."""
    return (array << 32) + row


def references(array: int, rows: Int64s) -> Int64s:
    """Make references to rows of one array, given by its number."""
    return rows | np.int64(array << 32)


@dataclass(frozen=True, slots=True)
class Picks:
    """References that were checked, and facts about them.  Made by `pick`.

    Attributes:
        lengths: of the arrays that they name.
        used: bool by array: whether a reference names it.
        missing: whether a reference stands for a row of nulls.
    """

    rows: Int64s
    lengths: list[int]
    used: list[bool]
    missing: bool


def take(array: Any, rows: Int64s) -> Any:
    """Take rows of an Arrow array by number; a negative number gives a null.

    Raises:
        ArrowInvalid: the strings have more bytes together than an array of their type holds.
        InternalError: a row is beyond the end of the array.
    """
    return gather([array], rows)


def gather(arrays: Sequence[Any], rows: Int64s | Picks) -> Any:
    """Gather the rows that references name into one array of the arrays' common type.

    Raises: see `take`.
    """
    return _gather(arrays, _picked([len(a) for a in arrays], rows))


def gather_columns(pieces: Sequence[Sequence[Any]], rows: Int64s | Picks) -> list[Any]:
    """`gather` for each column of pieces that have the same columns; a reference names a piece and a row of it.

    Raises: as `take`; InternalError also if the columns of a piece have different lengths.
    """
    lengths = [len(piece[0]) if piece else 0 for piece in pieces]
    if any(len(column) != length for piece, length in zip(pieces, lengths) for column in piece):
        raise InternalError("the columns of a piece have different lengths")
    if not pieces[0]:
        return []
    picks = _picked(lengths, rows)
    return [_gather(arrays, picks) for arrays in zip(*pieces, strict=True)]


def pick(lengths: Sequence[int], rows: Int64s) -> Picks:
    """Check references to rows of arrays of these lengths, once for all arrays that are as long.

    Raises:
        InternalError: a row is beyond the end of its array.
    """
    rows = np.ascontiguousarray(rows, np.int64)
    limits, used = np.array(lengths, np.int64), np.zeros(len(lengths), np.uint8)
    missing = _check(limits.ctypes.data, len(limits), address(rows, np.int64, len(rows)), len(rows), used.ctypes.data)
    if missing < 0:
        raise InternalError("a row to be taken is beyond the end of its array, or of an array that is not there")
    return Picks(rows, list(lengths), used.astype(np.bool_).tolist(), missing > 0)


def _picked(lengths: list[int], rows: Int64s | Picks) -> Picks:
    if not isinstance(rows, Picks):
        return pick(lengths, rows)
    if rows.lengths != lengths:
        raise InternalError("references were checked for arrays of other lengths")
    return rows


def _gather(arrays: Sequence[Any], picks: Picks) -> Any:
    type_ = arrays[0].type
    if any(a.type != type_ for a in arrays[1:]):
        raise InternalError("rows are gathered from arrays of one type")
    if not _compiled(type_):
        return _by_arrow(arrays, picks.rows, picks.missing)
    return _gathered(type_, [a if used else None for a, used in zip(arrays, picks.used, strict=True)], picks)


def _compiled(type_: pa.DataType) -> bool:
    """Whether kernels gather rows of a type; if not, Arrow does."""
    if pa.types.is_list(type_):
        return _compiled(type_.value_type)
    if pa.types.is_struct(type_):
        return all(_compiled(field.type) for field in type_)
    return bool(_offset_bits(type_) or _width(type_))


def _gathered(type_: Any, held: Sequence[Any], picks: Picks) -> Any:
    """`gather` from the arrays that are used; the others may be None."""
    rows, n = picks.rows, len(picks.rows)
    validity, nulls = _validity(held, picks)
    if pa.types.is_struct(type_):
        children = [
            _gathered(field.type, [None if a is None else a.field(i) for a in held], picks) for i, field in enumerate(type_)
        ]
        return pa.Array.from_buffers(type_, n, [validity], nulls, children=children)
    if pa.types.is_boolean(type_):
        return pa.Array.from_buffers(type_, n, [validity, pa.py_buffer(_bools(held, rows).data)], nulls)
    if width := _width(type_):
        out = np.empty(n * width, np.uint8)
        data = _addresses(held, lambda a: _data(a, 1, a.offset * width, (a.offset + len(a)) * width))
        _items(data.ctypes.data, width, rows.ctypes.data, n, out.ctypes.data)
        return pa.Array.from_buffers(type_, n, [validity, pa.py_buffer(out.data)], nulls)
    nested = pa.types.is_list(type_)
    bits_ = 32 if nested else _offset_bits(type_)
    large = bits_ == 64
    ends = _addresses(held, lambda a: _data(a, 1, a.offset * bits_ // 8, (a.offset + len(a) + 1) * bits_ // 8))
    offsets = np.empty(n + 1, np.int64 if large else np.int32)
    limit = (1 << 62) if large else _BYTES_MAX
    total = _offsets(ends.ctypes.data, int(large), rows.ctypes.data, n, offsets.ctypes.data, limit)
    if total < 0:
        what = "lists of more than {} items" if nested else "strings of more than {} bytes"
        raise pa.ArrowInvalid(f"{what.format(_BYTES_MAX)} do not fit into one array")
    buffers = [validity, pa.py_buffer(offsets.data)]
    if nested:
        items = np.empty(total, np.int64)
        _ranges(ends.ctypes.data, rows.ctypes.data, n, offsets.ctypes.data, items.ctypes.data)
        lists = [None if a is None else a.values for a in held]
        inner = pick([0 if a is None else len(a) for a in lists], items)
        return pa.Array.from_buffers(type_, n, buffers, nulls, children=[_gathered(type_.value_type, lists, inner)])
    data = _addresses(held, _octets)
    octets = np.empty(total, np.uint8)
    _bytes(ends.ctypes.data, int(large), data.ctypes.data, rows.ctypes.data, n, offsets.ctypes.data, octets.ctypes.data)
    return pa.Array.from_buffers(type_, n, [*buffers, pa.py_buffer(octets.data)], nulls)


class Later:
    """Rows by reference, gathered later, when it is known which rows are wanted.

    Args:
        arrays, rows: as for `gather`; no row is missing.
    """

    __slots__ = ("_all", "_arrays", "_rows", "type")

    def __init__(self, arrays: Sequence[Any], rows: Int64s) -> None:
        self.type = arrays[0].type
        self._arrays = tuple(arrays)
        self._rows = rows
        self._all: Any = None

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def nbytes(self) -> int:
        """The size of the arrays, in bytes."""
        return int(sum(array.nbytes for array in self._arrays))

    def slice(self, start: int, length: int) -> Later:
        """A range of the rows."""
        return Later(self._arrays, self._rows[start : start + length])

    @staticmethod
    def gathered(columns: Sequence[Any], rows: Int64s | Picks, known: dict[Any, Int64s]) -> Later:
        """Gather the rows that references name from columns that are arrays or `Later` objects themselves.

        Args:
            known: combined references, from other columns of the same rows; this call adds to it.
        """
        arrays = [array for c in columns for array in (c._arrays if isinstance(c, Later) else (c,))]
        key = tuple((c._rows.ctypes.data, len(c), len(c._arrays)) if isinstance(c, Later) else len(c) for c in columns)
        if key not in known:
            parts, first = [], 0
            for c in columns:
                own = c._rows if isinstance(c, Later) else np.arange(len(c), dtype=np.int64)
                parts.append(own + np.int64(first << 32))
                first += len(c._arrays) if isinstance(c, Later) else 1
            known[key] = gather_numbers(parts, rows)
        return Later(arrays, known[key])

    @property
    def may_be_null(self) -> bool:
        """Whether the arrays have nulls, in these rows or in others."""
        return any(array.null_count for array in self._arrays)

    def take(self, rows: Any) -> Any:
        """Gather some rows by number (an int64 array of NumPy or Arrow without nulls) into an Arrow array."""
        return gather(self._arrays, self._rows[np.asarray(rows)])

    def all(self) -> Any:
        """Gather all rows into an Arrow array."""
        if self._all is None:
            self._all = gather(self._arrays, self._rows)
        return self._all


class Pieces:
    """Arrays of one type by number, for repeated gathering.  See `TextPieces`."""

    __slots__ = ("arrays", "lengths", "type")

    def __init__(self, type_: pa.DataType) -> None:
        self.type = type_
        self.arrays: list[Any] = []
        self.lengths = np.zeros(4, np.int64)

    def set(self, number: int, array: Any | None) -> None:
        """Set or remove the array of a number; the number is a present one or the next."""
        if array is not None and array.type != self.type:
            raise InternalError("rows are gathered from arrays of one type")
        if number == len(self.arrays):
            self.arrays.append(None)
            if number == len(self.lengths):
                self.lengths = np.concatenate((self.lengths, np.zeros(number, np.int64)))
        self.arrays[number] = array
        self.lengths[number] = 0 if array is None else len(array)

    def copy(self) -> Pieces:
        """A copy that later changes do not touch."""
        copied = Pieces(self.type)
        copied.arrays, copied.lengths = self.arrays.copy(), self.lengths.copy()
        return copied

    def gather(self, rows: Int64s, missing: npt.NDArray[np.bool_]) -> Any:
        """Gather the rows that references name into one array; null where ``missing``.  No reference is negative.

        Raises: see `take`.
        """
        nothing = self.arrays[0].slice(0, 0)
        return gather([nothing if a is None else a for a in self.arrays], np.where(missing, -1, rows))


class TextPieces(Pieces):
    """`Pieces` of strings or bytes (with offsets of 32 bits), whose lengths can be had without gathering them.

    Attributes:
        arrays: by number; None where there is none.
        lengths: int64[at least the number of arrays]: their numbers of rows; 0 where there is no array.
    """

    __slots__ = ("_data", "_ends")

    def __init__(self, type_: pa.DataType) -> None:
        super().__init__(type_)
        self._ends = np.zeros(4, np.int64)
        self._data = np.zeros(4, np.int64)

    def set(self, number: int, array: Any | None) -> None:
        """See `Pieces.set`."""
        super().set(number, array)
        if more := len(self.lengths) - len(self._ends):
            self._ends, self._data = (
                np.concatenate((table, np.zeros(more, np.int64))) for table in (self._ends, self._data)
            )
        self._ends[number] = self._data[number] = 0
        if array is not None and len(array):
            self._ends[number] = _data(array, 1, array.offset * 4, (array.offset + len(array) + 1) * 4)
            self._data[number] = _octets(array)

    def copy(self) -> TextPieces:
        """A copy that later changes do not touch."""
        copied = TextPieces(self.type)
        copied.arrays = self.arrays.copy()
        copied.lengths, copied._ends, copied._data = self.lengths.copy(), self._ends.copy(), self._data.copy()
        return copied

    def _offsets(self, rows: Int64s) -> tuple[Int64s, npt.NDArray[np.int32], int]:
        rows = np.ascontiguousarray(rows, np.int64)
        n, used = len(rows), np.zeros(len(self.arrays), np.uint8)
        if _check(self.lengths.ctypes.data, len(self.arrays), address(rows, np.int64, n), n, used.ctypes.data):
            raise InternalError("a row to be taken is beyond the end of its array, or of an array that is not there")
        offsets = np.empty(n + 1, np.int32)
        total: int = _offsets(self._ends.ctypes.data, 0, rows.ctypes.data, n, offsets.ctypes.data, _BYTES_MAX)
        return rows, offsets, total

    def sizes(self, rows: Int64s) -> Int64s:
        """int64[n]: the lengths in bytes of the strings that references name."""
        if len(rows) > _SIZED_AT_ONCE:
            parts = [self.sizes(rows[begin : begin + _SIZED_AT_ONCE]) for begin in range(0, len(rows), _SIZED_AT_ONCE)]
            return np.concatenate(parts)
        _, offsets, total = self._offsets(rows)
        if total < 0:  # one string alone always fits
            return np.concatenate([self.sizes(half) for half in np.array_split(rows, 2)])
        sizes: Int64s = np.diff(offsets).astype(np.int64)
        return sizes

    def gather(self, rows: Int64s, missing: npt.NDArray[np.bool_]) -> Any:
        """Gather the strings that references name into one array; null where ``missing``.  No reference is negative.

        Raises: see `take`.
        """
        rows, offsets, total = self._offsets(rows)
        if total < 0:
            raise pa.ArrowInvalid(f"strings of more than {_BYTES_MAX} bytes do not fit into one array")
        n, octets = len(rows), np.empty(total, np.uint8)
        _bytes(
            self._ends.ctypes.data, 0, self._data.ctypes.data, rows.ctypes.data, n, offsets.ctypes.data, octets.ctypes.data
        )
        nulls = int(np.count_nonzero(missing))
        valid = pa.py_buffer(np.packbits(~missing, bitorder="little").data) if nulls else None
        return pa.Array.from_buffers(self.type, n, [valid, pa.py_buffer(offsets.data), pa.py_buffer(octets.data)], nulls)


def gather_numbers(arrays: Sequence[npt.NDArray[Any]], rows: Int64s | Picks) -> npt.NDArray[Any]:
    """`gather` for contiguous NumPy arrays of one type (items of 1, 2, 4 or 8 bytes); no row may be missing."""
    picks = _picked([len(a) for a in arrays], rows)
    n = len(picks.rows)
    out = np.empty(n, arrays[0].dtype)
    if n == 0:
        return out
    if picks.missing:
        raise InternalError("numbers have no nulls")
    where = np.array([address(a, out.dtype, len(a)) for a in arrays], np.int64)
    _items(where.ctypes.data, out.dtype.itemsize, picks.rows.ctypes.data, n, out.ctypes.data)
    return out


def _addresses(arrays: Sequence[Any], of: Callable[[Any], int]) -> Int64s:
    """int64[arrays]: the addresses; 0 for an array that is not used (None)."""
    return np.array([0 if a is None else of(a) for a in arrays], np.int64)


def _octets(array: Any) -> int:
    held = array.buffers()[2]
    return 0 if held is None else held.address


def _offset_bits(type_: pa.DataType) -> int:
    t = pa.types
    if t.is_string(type_) or t.is_binary(type_):
        return 32
    return 64 if t.is_large_string(type_) or t.is_large_binary(type_) else 0


def _width(type_: pa.DataType) -> int:
    """The size of an item in bytes; 1 also stands for bools, which are bits; 0 for types that Arrow takes itself."""
    t = pa.types
    if t.is_boolean(type_):
        return 1
    if t.is_integer(type_) or t.is_floating(type_) or t.is_temporal(type_) or t.is_decimal(type_):
        width: int = type_.bit_width // 8
        return width if width in (1, 2, 4, 8, 16, 32) else 0
    return 0


def _data(array: Any, buffer: int, start: int, stop: int) -> int:
    """The address of byte ``start`` of an array's buffer, after a check that bytes start..stop-1 are in it."""
    held = array.buffers()[buffer]
    if held is None:
        if len(array) == 0:
            return 0
        raise InternalError("an Arrow array has no data")
    if len(array) and stop > held.size:
        raise InternalError("an Arrow array's buffer is shorter than the array")
    where: int = held.address
    return where + start


def _validity(arrays: Sequence[Any], picks: Picks) -> tuple[Any, int]:
    """The validity buffer of the result (None if nothing is null) and the number of nulls."""
    if not picks.missing and not any(a is not None and a.null_count for a in arrays):
        return None, 0
    found = [(0, 0) if a is None else bits(a, len(a)) for a in arrays]
    where, first = np.array([b for b, _ in found], np.int64), np.array([o for _, o in found], np.int64)
    rows, out = picks.rows, np.empty((len(picks.rows) + 7) // 8, np.uint8)
    nulls = _bits(where.ctypes.data, first.ctypes.data, rows.ctypes.data, len(rows), out.ctypes.data)
    return (pa.py_buffer(out.data), nulls) if nulls else (None, 0)


def _bools(arrays: Sequence[Any], rows: Int64s) -> npt.NDArray[np.uint8]:
    where = _addresses(arrays, lambda a: _data(a, 1, 0, (a.offset + len(a) + 7) // 8))
    first = np.array([0 if a is None else a.offset for a in arrays], np.int64)
    out = np.empty((len(rows) + 7) // 8, np.uint8)
    _bits(where.ctypes.data, first.ctypes.data, rows.ctypes.data, len(rows), out.ctypes.data)
    return out


def _by_arrow(arrays: Sequence[Any], rows: Int64s, missing: bool) -> Any:
    """Gather types that no kernel knows, such as maps: Arrow takes from the arrays that are used, concatenated."""
    if len(arrays) > 1:
        which = rows >> 32
        used = np.unique(which[rows >= 0])
        starts = np.zeros(len(arrays) + 1, np.int64)
        base = 0
        for number in used.tolist():
            starts[number] = base
            base += len(arrays[number])
        joined = pa.concat_arrays([arrays[i] for i in used.tolist()]) if len(used) else arrays[0].slice(0, 0)
        rows = np.where(rows < 0, -1, starts[which] + (rows & 0xFFFFFFFF))
    else:
        joined = arrays[0]
    return joined.take(pa.array(rows, mask=rows < 0) if missing else pa.array(rows))
