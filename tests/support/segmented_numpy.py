"""The oracle of the compiled folds: segmented scans in NumPy, in the order and with the rounding of one row at a time.

Whole numbers are summed modulo 2**64, where the order does not matter, so a cumulative sum over all rows minus what came
before the group gives every running sum.  Sums of floats, minima and maxima are taken group by group in order: large
groups by `numpy.ufunc.accumulate`, the small ones all at once, first rows first.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from penstock.runtime.batch import Int64s
from penstock.runtime.kernel import Segments

Values = npt.NDArray[Any]

_LARGE: Final = 48
"""Rows from which a group is scanned by itself: there a call of NumPy for one group costs less than its share of rounds."""


def running_sums(segments: Segments, initial: Int64s, values: Int64s) -> Int64s:
    """int64[n]: the sum of each row's group right after the row, modulo 2**64."""
    order, starts = segments.order, segments.starts
    sums = np.cumsum(values[order])
    before = np.zeros(segments.count, np.int64)
    before[1:] = sums[starts[1:] - 1]
    running = np.empty(len(values), np.int64)
    running[order] = sums + (initial - before)[segments.groups[order]]
    return running


def final_sums(segments: Segments, initial: Int64s, values: Int64s) -> Int64s:
    """int64[count]: the sum of each group after all rows, modulo 2**64."""
    final = initial.astype(np.int64, copy=True)
    np.add.at(final, segments.groups, values)
    return final


# Infinities of both signs add up to NaN: an answer, and nothing to warn of.
@np.errstate(invalid="ignore", over="ignore")
def final_values(operation: np.ufunc, segments: Segments, initial: Values, values: Values) -> Values:
    """Each group's value after all rows: ``initial`` and then the rows folded by a binary ufunc, in order."""
    final = initial.copy()
    operation.at(final, segments.groups, values)
    return final


@np.errstate(invalid="ignore", over="ignore")
def running_values(operation: np.ufunc, segments: Segments, initial: Values, values: Values) -> Values:
    """The value of each row's group right after the row, folded by a binary ufunc, in order."""
    order, starts = segments.order, segments.starts
    counts = np.diff(starts, append=len(order))
    folded = values[order]
    out = np.empty_like(folded)
    for group in np.flatnonzero(counts >= _LARGE):
        start = int(starts[group])
        stop = start + int(counts[group])
        folded[start] = operation(initial[group], folded[start])
        operation.accumulate(folded[start:stop], out=out[start:stop])
    small = np.flatnonzero(counts < _LARGE)
    if len(small):
        small = small[np.argsort(-counts[small], kind="stable")]
        places, state = starts[small], initial[small]
        # Group sizes fall along ``small``, so those with a row left in a round are its first ``active``.
        sizes = np.bincount(counts[small])
        active = len(small)
        for done in range(int(counts[small[0]])):
            active -= int(sizes[done])
            at = places[:active] + done
            state = operation(state[:active], folded[at])
            out[at] = state
    running = np.empty_like(out)
    running[order] = out
    return running


def running_last(segments: Segments, marked: npt.NDArray[np.bool_]) -> Int64s:
    """int64[n]: the last marked row of each row's group up to and with the row itself, -1 if there is none."""
    order, starts = segments.order, segments.starts
    place = np.where(marked[order], np.arange(len(order), dtype=np.int64), -1)
    np.maximum.accumulate(place, out=place)
    found = place >= starts[segments.groups[order]]
    running = np.empty(len(order), np.int64)
    running[order] = np.where(found, order[place], -1)
    return running


def final_last(segments: Segments, marked: npt.NDArray[np.bool_]) -> Int64s:
    """int64[count]: the last marked row of each group, -1 if there is none."""
    final = np.full(segments.count, -1, np.int64)
    rows = np.flatnonzero(marked)
    final[segments.groups[rows]] = rows  # the last write stays
    return final


def final_first(segments: Segments, marked: npt.NDArray[np.bool_]) -> Int64s:
    """int64[count]: the first marked row of each group, -1 if there is none."""
    final = np.full(segments.count, -1, np.int64)
    rows = np.flatnonzero(marked)[::-1]
    final[segments.groups[rows]] = rows
    return final
