"""Finds the top rows of every group by a key (source/top.cpp)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import InternalError
from .library import address, function

__all__ = ["Running", "top_rows", "top_running"]

Int64s = npt.NDArray[np.int64]

_top = function("top_rows", "i", "pppiii" + "pppp")
_running = function("top_running", "i", "pppiiii" + "pppipp")


def top_rows(groups: Int64s, count: int, keys: Int64s, marked: npt.NDArray[np.bool_] | None, k: int) -> Int64s:
    """Find the ``k`` marked rows of each group with the smallest keys; of equal keys the first ones.

    Args:
        groups: int64[n], each from 0 to ``count - 1``.
        keys: int64[n].
        marked: None: all are.

    Returns:
        rows, by group and then ascending.
    """
    n = len(groups)
    groups, keys = np.ascontiguousarray(groups, np.int64), np.ascontiguousarray(keys, np.int64)
    if k < 1 or (n and count < 1):
        raise InternalError("a row's group does not exist, or nothing is to be kept")
    if count * k <= n:
        starts = np.arange(count + 1, dtype=np.int64) * k
    else:
        if n and not (int(groups.min()) >= 0 and int(groups.max()) < count):
            raise InternalError("a row's group does not exist")
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
        0 if marked is None else address(marked, np.bool_, n),
        n,
        count,
        k,
        starts.ctypes.data,
        sizes.ctypes.data,
        heaps.ctypes.data,
        out.ctypes.data,
    )
    if kept < 0:
        raise InternalError("a row's group does not exist")
    return out[:kept]


@dataclass(frozen=True, slots=True)
class Running:
    """What groups keep after each row, and in the end.

    Attributes:
        ends: int32[n + 1]: after row i its group keeps ``rows[ends[i]:ends[i + 1]]``.
        sizes: int64[groups]: how many rows each group keeps in the end; ``final`` has these rows, by group.
    """

    ends: npt.NDArray[np.int32]
    rows: Int64s
    sizes: Int64s
    final: Int64s


def top_running(
    held: tuple[Int64s, Int64s], groups: Int64s, keys: Int64s, marked: npt.NDArray[np.bool_], k: int, *, distinct: bool
) -> Running:
    """Find, after each row, the ``k`` rows with the smallest keys of its group, in order.  Of equal keys all count, the
    first ones first, or only the first one.

    Args:
        held: what groups keep before these rows: int64[groups], how many rows each (at most ``k``), and all their keys, by
            group and in order.  These rows have the numbers 0, 1, ..
        groups, keys, marked: of the other rows, whose numbers follow; rows that are not marked change nothing.

    Raises:
        InternalError: a group does not exist, or the result has more rows than offsets of 32 bits can count.
    """
    counts, old = held
    n, count, before = len(groups), len(counts), len(old)
    groups, keys = np.ascontiguousarray(groups, np.int64), np.ascontiguousarray(keys, np.int64)
    if k < 1 or (n and not (int(groups.min()) >= 0 and int(groups.max()) < count)):
        raise InternalError("a row's group does not exist, or nothing is to be kept")
    if int(counts.sum()) != before or int(counts.max(initial=0)) > k or int(counts.min(initial=0)) < 0:
        raise InternalError("groups have kept more than they may, or other rows than these")
    starts = np.zeros(count + 1, np.int64)
    np.cumsum(np.minimum(counts + np.bincount(groups[marked], minlength=count), k), out=starts[1:])
    kept = np.zeros((int(starts[-1]), 2), np.int64)
    places = np.arange(before, dtype=np.int64) + np.repeat(starts[:-1] - (np.cumsum(counts) - counts), counts)
    kept[places, 0], kept[places, 1] = old, np.arange(before, dtype=np.int64)
    sizes = counts.astype(np.int64)  # a copy
    room = int(np.diff(starts)[groups].sum())
    if room > 2**31 - 1:
        raise InternalError("the results after each row have too many items for one array")
    ends, rows = np.zeros(n + 1, np.int32), np.empty(room, np.int64)
    total = _running(
        address(groups, np.int64, n),
        address(keys, np.int64, n),
        address(marked, np.bool_, n),
        n,
        before,
        k,
        int(distinct),
        starts.ctypes.data,
        sizes.ctypes.data,
        kept.ctypes.data,
        room,
        ends[1:].ctypes.data,
        rows.ctypes.data,
    )
    if total < 0:
        raise InternalError("a group keeps more than it has room for")
    held_now = np.arange(int(sizes.sum()), dtype=np.int64) + np.repeat(starts[:-1] - (np.cumsum(sizes) - sizes), sizes)
    return Running(ends, rows[:total], sizes, kept[held_now, 1])
