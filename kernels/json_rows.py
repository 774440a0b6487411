"""Reads flat JSON objects with known keys into columns (source/json_rows.cpp)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..errors import InternalError
from .library import address, function

__all__ = ["KINDS", "objects_to_columns"]

_rows = function("json_rows", "i", "ppi" + "pi")

_FIELD_WORDS: Final = 11
_SPARE: Final = 4
"""A column of texts whose buffer is more than so many times its size is copied, so that the memory is freed."""
_STRING: Final = 5
KINDS: Final[dict[Any, tuple[int, Any]]] = {
    pa.int64(): (1, np.int64),
    pa.timestamp("ms"): (1, np.int64),
    pa.int32(): (2, np.int32),
    pa.date32(): (2, np.int32),
    pa.float64(): (3, np.float64),
    pa.bool_(): (4, np.uint8),
    pa.string(): (_STRING, np.int32),
}
"""The types of columns that the kernel reads, each with the kernel's code and its NumPy type."""


def objects_to_columns(
    texts: Any,
    keys: Mapping[str, tuple[Any, int | None] | None],
    types: Sequence[Any],
    octets_max: Sequence[int] | None = None,
) -> tuple[int, list[Any]]:
    """Read JSON objects into columns, as far as they are plain.  Returns how many were read, and the columns.

    An object is not plain if it has another key, a key twice, a value of another type or out of its range, an escape, an
    exponent, a number of more than 15 digits for a DOUBLE, something nested, or bytes that are not UTF-8.  A missing key and
    a null both give null.

    Args:
        texts: binary[n] without nulls.
        keys: the objects' keys, without quotes, backslashes and control characters.  Each has a type of `KINDS` and the
            number of its column; with None as number, values are only checked.  With None instead of both, plain values are
            skipped.
        types: of the columns.
        octets_max: the largest number of bytes in a column of texts; reading stops there, too.  None: no bound.

    Raises:
        InternalError: a type is not of `KINDS`.
    """
    n = len(texts)
    if texts.type != pa.binary() or texts.null_count:
        raise InternalError("JSON objects are read from binary arrays without nulls")
    if any(kind not in KINDS for kind in (*types, *(known[0] for known in keys.values() if known is not None))):
        raise InternalError("a kernel reads no such column from JSON")
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + n + 1]
    if n == 0 or data is None:
        return 0, [pa.array([], kind) for kind in types]
    if int(ends[n]) > data.size:
        raise InternalError("an Arrow array's bytes are shorter than the array")
    size = int(ends[n]) - int(ends[0])
    rooms = [size if octets_max is None else min(size, most) for most in octets_max or [size] * len(types)]
    outs = [np.zeros(n + 1, KINDS[kind][1]) for kind in types]
    valid = [np.zeros(n, np.uint8) for _ in types]
    octets = [np.empty(room if KINDS[kind][0] == _STRING else 0, np.uint8) for kind, room in zip(types, rooms, strict=True)]
    table, names = np.zeros((len(keys), _FIELD_WORDS), np.int64), []
    for number, (key, known) in enumerate(keys.items()):
        name = np.frombuffer(key.encode() or b"\0", np.uint8)
        names.append(name)
        table[number, :2] = address(name, np.uint8, len(name)), len(key.encode())
        if known is None:
            continue
        kind, column = known
        table[number, 2], dtype = KINDS[kind]
        if column is not None:
            if types[column] != kind:
                raise InternalError("a key has another type than its column")
            table[number, 3:7] = (
                address(outs[column], dtype, n + 1, write=True),
                address(octets[column], np.uint8, 0, write=True),
                len(octets[column]),
                address(valid[column], np.uint8, n, write=True),
            )
    read = _rows(data.address, address(ends, np.int32, n + 1), n, table.ctypes.data, len(keys))
    nulls = [read] * len(types)  # (a column that no key gives)
    for number, known in enumerate(keys.values()):
        if known is not None and known[1] is not None:
            nulls[known[1]] = int(table[number, 8])
    return read, [
        _column(kind, read, nulls[column], valid[column][:read], outs[column], octets[column])
        for column, kind in enumerate(types)
    ]


def _column(
    kind: Any, n: int, nulls: int, valid: npt.NDArray[np.uint8], out: npt.NDArray[Any], octets: npt.NDArray[np.uint8]
) -> Any:
    bits = pa.py_buffer(np.packbits(valid, bitorder="little").data) if nulls else None
    if pa.types.is_string(kind):
        used = octets[: int(out[n])]
        if len(octets) > _SPARE * len(used):
            used = used.copy()
        return pa.Array.from_buffers(kind, n, [bits, pa.py_buffer(out.data), pa.py_buffer(used.data)], nulls)
    if pa.types.is_boolean(kind):
        out = np.packbits(out[:n], bitorder="little")
    return pa.Array.from_buffers(kind, n, [bits, pa.py_buffer(out.data)], nulls)
