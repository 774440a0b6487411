"""Aggregates of groups, computed row by row in processing order (source/folds.cpp)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InternalError
from .library import address, function

__all__ = ["largest", "last", "smallest", "sums"]

Int64s = npt.NDArray[np.int64]

_sums = function("fold_sums", "-", "ppipp")
_largest = function("fold_largest", "-", "ppipp")
_smallest = function("fold_smallest", "-", "ppipp")
_last = function("fold_last", "-", "ppipp")


def sums(groups: Int64s, initial: Int64s, values: Int64s, *, every: bool) -> tuple[Int64s, Int64s | None]:
    """Compute each group's sum, modulo 2**64, after all rows and, on request, also after each row.

    Args:
        groups: int64[n], each from 0 to ``len(initial) - 1``.
    """
    return _folded(_sums, groups, initial, values, np.int64, every)


def largest(groups: Int64s, initial: Int64s, values: Int64s, *, every: bool) -> tuple[Int64s, Int64s | None]:
    """Like `sums`, with the larger of two values."""
    return _folded(_largest, groups, initial, values, np.int64, every)


def smallest(groups: Int64s, initial: Int64s, values: Int64s, *, every: bool) -> tuple[Int64s, Int64s | None]:
    """Like `sums`, with the smaller of two values."""
    return _folded(_smallest, groups, initial, values, np.int64, every)


def last(groups: Int64s, count: int, marked: npt.NDArray[np.bool_], *, every: bool) -> tuple[Int64s, Int64s | None]:
    """Find the last marked row of each of ``count`` groups (-1 if there is none), and for each row the last marked row of
    its group up to and including it.
    """
    return _folded(_last, groups, np.full(count, -1, np.int64), marked, np.bool_, every)


def _folded(
    kernel: Any, groups: Int64s, initial: Int64s, values: npt.NDArray[Any], dtype: Any, every: bool
) -> tuple[Int64s, Int64s | None]:
    n = len(groups)
    groups = np.ascontiguousarray(groups, np.int64)
    values = np.ascontiguousarray(values, dtype)
    if n and not (int(groups.min()) >= 0 and int(groups.max()) < len(initial)):
        raise InternalError("a row's group does not exist")
    state = np.array(initial, np.int64)
    running = np.empty(n, np.int64) if every else None
    kernel(
        address(groups, np.int64, n),
        address(values, dtype, n),
        n,
        address(state, np.int64, len(initial), write=True),
        0 if running is None else address(running, np.int64, n, write=True),
    )
    return state, running
