"""Segmented scans: running results per group over a whole batch, in the order and with the rounding of row-by-row
processing.

Compiled kernels fold integers row by row.  Other values and operations are folded group by group, in order: large groups by
`numpy.ufunc.accumulate`, the small ones all at once, first rows first.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..kernels import folds
from .batch import Int64s
from .kernel import Segments

Values = npt.NDArray[Any]

_COMPILED: Final[dict[np.ufunc, Any]] = {np.maximum: folds.largest, np.minimum: folds.smallest}
"""The kernels that fold integers."""

_LARGE: Final = 48
"""From so many rows a group is scanned on its own: one NumPy call for it costs less than its share of rounds."""


def running_sums(segments: Segments, initial: Int64s, values: Int64s) -> Int64s:
    """int64[n]: the sum of each row's group right after the row, modulo 2**64."""
    running = folds.sums(segments.groups, initial, values, every=True)[1]
    assert running is not None
    return running


def final_sums(segments: Segments, initial: Int64s, values: Int64s) -> Int64s:
    """int64[count]: the sum of each group after all rows, modulo 2**64."""
    return folds.sums(segments.groups, initial, values, every=False)[0]


# Infinities of both signs add up to NaN, which is the right answer: no warning.
@np.errstate(invalid="ignore", over="ignore")
def final_values(operation: np.ufunc, segments: Segments, initial: Values, values: Values) -> Values:
    """The value of each group after all rows: ``initial``, then the rows, folded by a binary ufunc in order."""
    compiled = _COMPILED.get(operation)
    if compiled is not None and initial.dtype == values.dtype == np.int64:
        final_: Values = compiled(segments.groups, initial, values, every=False)[0]
        return final_
    final = initial.copy()
    operation.at(final, segments.groups, values)
    return final


@np.errstate(invalid="ignore", over="ignore")
def running_values(operation: np.ufunc, segments: Segments, initial: Values, values: Values) -> Values:
    """The value of each row's group right after the row, folded by a binary ufunc in order."""
    compiled = _COMPILED.get(operation)
    if compiled is not None and initial.dtype == values.dtype == np.int64:
        running_: Values = compiled(segments.groups, initial, values, every=True)[1]
        return running_
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
    """int64[n]: the last marked row of each row's group up to and including the row, -1 if there is none."""
    running = folds.last(segments.groups, segments.count, marked, every=True)[1]
    assert running is not None
    return running


def final_last(segments: Segments, marked: npt.NDArray[np.bool_]) -> Int64s:
    """int64[count]: the last marked row of each group, -1 if there is none."""
    return folds.last(segments.groups, segments.count, marked, every=False)[0]


def final_first(segments: Segments, marked: npt.NDArray[np.bool_]) -> Int64s:
    """int64[count]: the first marked row of each group, -1 if there is none."""
    final = np.full(segments.count, -1, np.int64)
    rows = np.flatnonzero(marked)[::-1]
    final[segments.groups[rows]] = rows
    return final
