"""The first rows of every group by a key (source/top.cpp)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import InternalError
from .library import address, function

__all__ = ["top_rows"]

Int64s = npt.NDArray[np.int64]

_top = function("top_rows", "i", "pppiii" + "pppp")


def top_rows(groups: Int64s, count: int, keys: Int64s, marked: npt.NDArray[np.bool_], k: int) -> Int64s:
    """Of the marked rows of each group the ``k`` with the smallest keys; of equal keys the first ones.

    Args:
        groups: int64[n], each from 0 to ``count - 1``.
        keys: int64[n].

    Returns:
        rows, by group and then ascending.
    """
    n = len(groups)
    groups, keys = np.ascontiguousarray(groups, np.int64), np.ascontiguousarray(keys, np.int64)
    if k < 1 or (n and not (int(groups.min()) >= 0 and int(groups.max()) < count)):
        raise InternalError("a row's group does not exist, or nothing is to be kept")
    room = np.minimum(np.bincount(groups, minlength=count), k)
    starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(room, dtype=np.int64)))
    sizes, heaps, out = (
        np.zeros(count, np.int64),
        np.empty(2 * int(starts[-1]), np.int64),
        np.empty(int(starts[-1]), np.int64),
    )
    kept: int = _top(
        address(groups, np.int64, n),
        address(keys, np.int64, n),
        address(marked, np.bool_, n),
        n,
        count,
        k,
        starts.ctypes.data,
        sizes.ctypes.data,
        heaps.ctypes.data,
        out.ctypes.data,
    )
    return out[:kept]
