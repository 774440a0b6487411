"""Merges ascending runs (source/merge.cpp), and groups rows by their target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..errors import InternalError
from .library import address, function

__all__ = ["merge", "merge_beside", "merge_queues", "scatter"]

Int64s = npt.NDArray[np.int64]

_merge = function("merge_runs", "-", "ppipp")
_beside = function("merge_beside", "-", "pppippp")
_queues = function("merge_queues", "i", "pppp" + "ii" + "pp")
_scatter = function("scatter_rows", "-", "piippp")


def _bounds(lengths: Sequence[int]) -> Int64s:
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)))


def merge(runs: Sequence[Int64s]) -> Int64s:
    """Merge ascending runs: the positions of the values in ascending order, counted over all runs in sequence.  Of equal
    values those of the earlier run come first.
    """
    keys = np.ascontiguousarray(np.concatenate(runs), np.int64) if len(runs) > 1 else runs[0]
    bounds, heads = _bounds([len(r) for r in runs]), np.empty(len(runs), np.int64)
    order = np.empty(len(keys), np.int64)
    _merge(address(keys, np.int64, len(keys)), bounds.ctypes.data, len(runs), heads.ctypes.data, order.ctypes.data)
    return order


def merge_beside(runs: Sequence[Int64s], beside: Sequence[Int64s]) -> tuple[Int64s, Int64s]:
    """Merge ascending runs of keys, and what stands beside them (parallel to the runs).  Of equal keys those of the earlier
    run come first.

    Returns:
        what stands beside the keys, in the order of the keys, and the keys.
    """
    lengths = np.array([len(r) for r in runs], np.int64)
    if lengths.tolist() != [len(b) for b in beside]:
        raise InternalError("what stands beside keys is parallel to them")
    held = [[np.ascontiguousarray(a, np.int64) for a in arrays] for arrays in (runs, beside)]
    tables = [np.array([address(a, np.int64, len(a)) for a in arrays], np.int64) for arrays in held]
    total, heads = int(lengths.sum()), np.empty(len(runs), np.int64)
    ordered, moved = np.empty(total, np.int64), np.empty(total, np.int64)
    _beside(
        tables[0].ctypes.data,
        tables[1].ctypes.data,
        lengths.ctypes.data,
        len(runs),
        heads.ctypes.data,
        ordered.ctypes.data,
        moved.ctypes.data,
    )
    return moved, ordered


def merge_queues(
    keys: Sequence[Int64s], ties: Sequence[Int64s], truncated: Sequence[bool], limit: int
) -> tuple[list[Int64s], int]:
    """Merge the heads of queues by key, then tie, then queue; key and tie ascend within a queue.  Take at most ``limit``
    records, and nothing after the last record of a truncated queue.

    Returns:
        for each queue the ranks of its records that are taken, and how many are taken in all.
    """
    lengths = np.array([len(k) for k in keys], np.int64)
    if lengths.tolist() != [len(t) for t in ties]:
        raise InternalError("the keys and ties of a queue are parallel")
    cut, heads = np.array(truncated, np.bool_), np.empty(len(keys), np.int64)
    positions = [np.empty(len(k), np.int64) for k in keys]
    held = [[np.ascontiguousarray(a, np.int64) for a in arrays] for arrays in (keys, ties)]
    tables = [np.array([address(a, np.int64, len(a)) for a in arrays], np.int64) for arrays in (*held, positions)]
    total: int = _queues(
        tables[0].ctypes.data,
        tables[1].ctypes.data,
        lengths.ctypes.data,
        cut.ctypes.data,
        len(keys),
        limit,
        heads.ctypes.data,
        tables[2].ctypes.data,
    )
    return [p[: int(taken)] for p, taken in zip(positions, heads)], total


def scatter(targets: Int64s, count: int) -> list[Int64s]:
    """Group rows by target: for each target 0..count-1 its rows, ascending.

    Raises:
        InternalError: a target is outside this range.
    """
    if len(targets) and not (int(targets.min()) >= 0 and int(targets.max()) < count):
        raise InternalError("a row's target does not exist")
    targets = np.ascontiguousarray(targets, np.int64)
    ends, heads, rows = np.empty(count + 1, np.int64), np.empty(count, np.int64), np.empty(len(targets), np.int64)
    _scatter(
        address(targets, np.int64, len(targets)), len(targets), count, ends.ctypes.data, heads.ctypes.data, rows.ctypes.data
    )
    return [rows[int(ends[t]) : int(ends[t + 1])] for t in range(count)]
