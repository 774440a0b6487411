"""Hopping windows by panes: pieces of time as long as the windows' advance, of which windows consist.

A row belongs to many windows but to one pane.  So rows are first aggregated by pane, and then the few panes are merged into
their windows.  The result is that of row-by-row processing if the aggregates do not depend on the order of rows
(`Aggregator.orderless`), only the last update of each window is wanted, and no row is late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from ...kernels import folds
from ...storage.state.index import factorize
from ..batch import Int64s
from ..kernel import Segments, State
from ..state_values import picked, replaced
from ..windows import TimeWindows
from .group_states import NO_TIME, ROWTIME, GroupStates, Updates

_ROWS_PER_PANE_MIN: Final = 2
"""The number of rows per pane below which panes do not pay off."""
_PAUSE_STEPS: Final = 16
"""The number of steps, after panes did not pay off, until they are tried again."""


@dataclass(frozen=True, slots=True)
class PaneUpdates:
    """The windows that a batch changed, ordered by the row that changed them last and then by their starts.

    Attributes:
        starts: of the windows.
        updates: `Updates.rows` are rows of the batch; None where no updates are wanted.
    """

    starts: Int64s
    updates: Updates | None


class Panes:
    """Adds batches to windows by way of panes, where that is possible and pays off."""

    def __init__(self, states: GroupStates, windows: TimeWindows) -> None:
        self._states = states
        self._windows = windows
        self._possible = (
            windows.advance_ms < windows.size_ms
            and windows.size_ms % windows.advance_ms == 0
            and all(call.aggregator.orderless for call in states.calls)
        )
        self._pause = 0

    def fits(self, timestamps: Int64s, stream_time: int) -> bool:
        """Whether a batch can be processed by panes: no row is late for any window, or from before the epoch.

        Args:
            stream_time: after all rows.
        """
        if not self._possible or not len(timestamps):
            return False
        earliest = int(timestamps.min())
        first_start = max(0, earliest - self._windows.size_ms + self._windows.advance_ms)
        first_start -= first_start % self._windows.advance_ms
        return earliest >= 0 and first_start + self._windows.size_ms > stream_time - self._windows.grace_ms

    def update(
        self, keys: Sequence[Any], columns: Sequence[Any], timestamps: Int64s, *, before: bool, emit: bool
    ) -> PaneUpdates | None:
        """See `GroupStates.update`; ``keys`` are without windows.

        Returns:
            None if panes do not pay off; then nothing has been done.
        """
        if self._pause:
            self._pause -= 1
            return None
        states, advance_ms = self._states, self._windows.advance_ms
        panes = timestamps // advance_ms * advance_ms
        groups, firsts = factorize([*keys, pa.array(panes)])
        if len(firsts) * _ROWS_PER_PANE_MIN > len(timestamps):
            self._pause = _PAUSE_STEPS
            return None
        count = len(firsts)
        segments = Segments(groups, count)
        partial, _ = states.scan(states.initial(count), segments, states.arguments(columns), None, False)
        latest = folds.largest(groups, np.full(count, NO_TIME, np.int64), timestamps, every=False)[0]
        last = segments.last
        which, starts = self._windows.assign(panes[firsts])
        rows = pa.array(firsts[which])
        slots, is_new = states.store.insert([*(k.take(rows) for k in keys), pa.array(starts)])
        windows, distinct = states.store.group(slots)
        old = states.read(distinct)
        new = self._merged(old, partial, which, Segments(windows, len(distinct)))
        times = folds.largest(windows, states.store.read(ROWTIME, distinct), latest[which], every=False)[0]
        states.write(distinct, new)
        states.store.write(ROWTIME, distinct, times)
        if not emit:
            return PaneUpdates(starts[:0], None)
        begin, fresh = np.empty(len(distinct), np.int64), np.zeros(len(distinct), np.bool_)
        begin[windows] = starts
        fresh[windows[is_new]] = True
        changed = folds.largest(windows, np.full(len(distinct), -1, np.int64), last[which], every=False)[0]
        order = _by_row(changed, begin)
        index = pa.array(order)
        results, failures = states.evaluated([[picked(values, order) for values in state] for state in new])
        return PaneUpdates(
            begin[order],
            Updates(
                changed[order],
                results,
                times[order],
                [r.take(index) for r in states.results(old)] if before else None,
                fresh[order] if before else None,
                failures,
            ),
        )

    def _merged(self, old: Sequence[State], partial: Sequence[State], which: Int64s, windows: Segments) -> list[State]:
        """Merge the states of panes into those of their windows: first one pane of each window, then a second one, and so
        on.

        Args:
            which: the pane of each pair of pane and window; ``windows`` has its window.
        """
        order, starts = windows.order, windows.starts
        sizes = np.diff(starts, append=len(order))
        merged: list[State] = [list(state) for state in old]
        for nth in range(int(sizes.max(initial=0))):
            some = np.flatnonzero(sizes > nth)
            panes = which[order[starts[some] + nth]]
            whole = len(some) == windows.count
            for number, call in enumerate(self._states.calls):
                left = merged[number] if whole else [picked(values, some) for values in merged[number]]
                both = call.aggregator.merge(left, [picked(values, panes) for values in partial[number]])
                if whole:
                    merged[number] = both
                else:
                    merged[number] = [replaced(v, some, o) for v, o in zip(merged[number], both, strict=True)]
        return merged


def _by_row(rows: Int64s, starts: Int64s) -> Int64s:
    """The order of distinct pairs of row and start.  One number per pair sorts five times as fast as two."""
    lowest = int(starts.min())
    width = int(starts.max()) - lowest + 1
    if (int(rows.max()) + 1) * width < 1 << 63:
        return np.argsort(rows * width + (starts - lowest))
    return np.lexsort((starts, rows))
