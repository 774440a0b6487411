"""Flat JSON objects with known keys to columns (source/json_rows.cpp)."""

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

_SKIPPED: Final = 0
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
"""Types of columns that are read: with each what the kernel calls it, and its numbers."""


def objects_to_columns(texts: Any, keys: Mapping[str, int | None], types: Sequence[Any]) -> tuple[int, list[Any]]:
    """How many of the first JSON objects are plain, and their columns.

    One is not plain that has another key, a key twice, a value of another type or beyond it, an escape, an exponent, a
    number of more than 15 digits for a DOUBLE, or something nested.  A key that is missing and one that is null are null.

    Args:
        texts: binary[n] without nulls, valid UTF-8.
        keys: of the objects, without quotes, backslashes and control characters; with each the number of its column, or None
            if it is skipped.
        types: of the columns, all of `KINDS`.

    Raises:
        InternalError: a type is none of these.
    """
    n = len(texts)
    if texts.type != pa.binary() or texts.null_count:
        raise InternalError("JSON objects are read from binary arrays without nulls")
    if any(kind not in KINDS for kind in types):
        raise InternalError("a kernel reads no such column from JSON")
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + n + 1]
    if n == 0 or data is None:
        return 0, [pa.array([], kind) for kind in types]
    if int(ends[n]) > data.size:
        raise InternalError("an Arrow array's bytes are shorter than the array")
    size = int(ends[n]) - int(ends[0])
    outs = [np.zeros(n + 1, KINDS[kind][1]) for kind in types]
    valid = [np.zeros(n, np.uint8) for _ in types]
    octets = [np.empty(size if KINDS[kind][0] == _STRING else 0, np.uint8) for kind in types]
    table, names = np.zeros((len(keys), 8), np.int64), []
    for number, (key, column) in enumerate(keys.items()):
        name = np.frombuffer(key.encode() or b"\0", np.uint8)
        names.append(name)
        table[number, :2] = address(name, np.uint8, len(name)), len(key.encode())
        if column is not None:
            kind, dtype = KINDS[types[column]]
            table[number, 2:6] = (
                kind,
                address(outs[column], dtype, n + 1, write=True),
                address(octets[column], np.uint8, 0, write=True),
                address(valid[column], np.uint8, n, write=True),
            )
    read = _rows(data.address, address(ends, np.int32, n + 1), n, table.ctypes.data, len(keys))
    nulls = [read] * len(types)  # (a column that no key gives)
    for number, column in enumerate(keys.values()):
        if column is not None:
            nulls[column] = int(table[number, 7])
    return read, [
        _column(kind, read, nulls[column], valid[column][:read], outs[column], octets[column])
        for column, kind in enumerate(types)
    ]


def _column(
    kind: Any, n: int, nulls: int, valid: npt.NDArray[np.uint8], out: npt.NDArray[Any], octets: npt.NDArray[np.uint8]
) -> Any:
    bits = pa.py_buffer(np.packbits(valid, bitorder="little").data) if nulls else None
    if pa.types.is_string(kind):
        used = octets[: int(out[n])].copy()  # there was room for all of the text
        return pa.Array.from_buffers(kind, n, [bits, pa.py_buffer(out.data), pa.py_buffer(used.data)], nulls)
    if pa.types.is_boolean(kind):
        out = np.packbits(out[:n], bitorder="little")
    return pa.Array.from_buffers(kind, n, [bits, pa.py_buffer(out.data)], nulls)
