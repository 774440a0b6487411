"""Zigzag numbers of variable length, as Avro's, for all records of a batch at once (source/varints.cpp)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import InternalError
from .library import address, function

__all__ = ["read", "write"]

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Octets = npt.NDArray[np.uint8]

_read = function("varints_read", "-", "pipippp")
_write = function("varints_write", "-", "pppip")


def read(data: Octets, at: Int64s, null: Bools, odd: Bools) -> tuple[Int64s, Int64s]:
    """Read a number at each position.

    Args:
        data: not empty; reading a number stops at its end.
        at: int64[n], each within ``data``.
        null: bool[n], rows that have no number: theirs is 0, and their position stays.
        odd: bool[n], is set for rows whose number has more than 64 bits.

    Returns:
        int64[n] numbers, and int64[n] positions behind them.
    """
    n = len(at)
    if n and not (int(at.min()) >= 0 and int(at.max()) < len(data)):
        raise InternalError("a number begins outside of the data")
    after, numbers = np.array(at, np.int64), np.empty(n, np.int64)
    _read(
        address(data, np.uint8, 0),
        len(data),
        address(after, np.int64, n, write=True),
        n,
        address(null, np.bool_, n),
        address(odd, np.bool_, n, write=True),
        address(numbers, np.int64, n, write=True),
    )
    return numbers, after


def write(numbers: npt.NDArray[np.uint64], widths: Int64s, at: Int64s, out: Octets) -> None:
    """Write each number, which is in zigzag order already, to ``out`` at its position, in so many bytes (0: none)."""
    n = len(numbers)
    if n and not (int(at.min()) >= 0 and int((at + widths).max()) <= len(out)):
        raise InternalError("a number ends outside of the output")
    _write(
        address(numbers, np.uint64, n),
        address(widths, np.int64, n),
        address(at, np.int64, n),
        n,
        address(out, np.uint8, 0, write=True),
    )
