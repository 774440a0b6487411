"""Collects the tombstones and sessions of a step, in the order in which rows cause them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from ...kernels.sessions import InOrder
from ..batch import Bools, Int64s
from ..kernel import Failures, State, picked_failures
from ..state_values import joined
from .columns import merged
from .group_states import GroupStates
from .sessions import SessionWindow


@dataclass(frozen=True, slots=True)
class Collected:
    """The output of a step.

    Attributes:
        rows: the row that caused each entry, ascending.
        starts, ends: the session's bounds.
        tombstones: the session no longer exists under these bounds.
        results: one array per call; ``result_index`` and ``before_index`` are the indices of each entry's result now and
            before (null for none).
        before_absent: there was no session under these bounds.
        failures: the entries (not the rows) of which a result failed; it is null.
    """

    rows: Int64s
    starts: Int64s
    ends: Int64s
    tombstones: Bools
    results: list[Any]
    result_index: Any
    before_index: Any
    before_absent: Bools
    failures: Failures | None


class Emissions:
    """Collects the output of a step: for every row with ``every``, else for every session that changed."""

    def __init__(self, states: GroupStates, every: bool) -> None:
        self.every = every
        self._states = states
        self._pool: list[Sequence[State]] = []
        self._pooled = 0
        self._parts: list[tuple[Int64s, ...]] = []
        self._single: list[tuple[int, int, int, int, int, int]] = []

    def _add_states(self, states: Sequence[State], count: int) -> int:
        """Keep states whose results may be wanted; returns the number of the first."""
        first = self._pooled
        self._pool.append(states)
        self._pooled += count
        return first

    def _add(self, rows: Int64s, second: int, starts: Int64s, ends: Int64s, results: Int64s, before: Int64s) -> None:
        """Add entries.  ``second``: 0 for tombstones, 1 for sessions, which follow the tombstones of their row."""
        self._parts.append((rows, np.full(len(rows), second, np.int64), starts, ends, results, before))

    def add_in_order(
        self, found: InOrder, initial: Sequence[State], final: Sequence[State], running: Sequence[State] | None
    ) -> None:
        """Add the sessions of in-order groups: states before and after the batch, with ``running`` after each row too."""
        old = self._add_states(initial, len(found.starts))
        if running is None:
            self._add_final(found, old, self._add_states(final, len(found.starts)))
            return
        new = self._add_states(running, len(found.rows))
        sessions = found.sessions
        previous = _previous_rows(sessions)
        here = new + np.arange(len(sessions), dtype=np.int64)
        had = np.where(previous >= 0, new + previous, old + sessions)
        starts = found.starts[sessions]
        moved = ~found.begins & (starts < found.ends_after)
        nothing = np.full(int(moved.sum()), -1, np.int64)
        self._add(found.rows[moved], 0, starts[moved], found.ends_before[moved], nothing, had[moved])
        before = np.where(moved | found.begins, -1, had)
        self._add(found.rows, 1, starts, found.ends_after, here, before)

    def _add_final(self, found: InOrder, old: int, new: int) -> None:
        count = len(found.starts)
        numbers = np.arange(count, dtype=np.int64)
        rows = np.empty(count, np.int64)
        rows[found.sessions] = found.rows  # the last write stays
        moved = found.continues & (found.first_ends != found.ends)
        nothing = np.full(int(moved.sum()), -1, np.int64)
        self._add(rows[moved], 0, found.starts[moved], found.first_ends[moved], nothing, old + numbers[moved])
        before = np.where(found.continues & ~moved, old + numbers, -1)
        self._add(rows, 1, found.starts, found.ends, new + numbers, before)

    def add_merge(self, row: int, timestamp: int, merged: SessionWindow, joined: Sequence[SessionWindow]) -> None:
        """Add the effect of one row: ``joined`` became ``merged``."""
        same = merged.start == merged.end
        before = -1
        for session in joined:
            if session.pool < 0:
                session.pool = self._add_states(session.states, 1)
            if same:
                before = session.pool
            else:
                self._single.append((row, 0, session.start, session.end, -1, session.pool))
        merged.pool = self._add_states(merged.states, 1)
        self._single.append((row, 1, merged.start, merged.end, merged.pool, before))

    def add_merged(self, session: SessionWindow) -> None:
        """Add the effect of a step on one session."""
        before = -1
        for old in session.stored:
            pool = self._add_states(old.states, 1)
            if (old.start, old.end) == (session.start, session.end):
                before = pool
            else:
                self._single.append((session.row, 0, old.start, old.end, -1, pool))
        self._single.append((session.row, 1, session.start, session.end, self._add_states(session.states, 1), before))

    def collected(self) -> Collected:
        """Return all entries, in order."""
        parts = list(self._parts)
        if self._single:
            parts.append(tuple(np.array(self._single, np.int64).T))
        if not parts:
            parts.append((np.zeros(0, np.int64),) * 6)
        rows, second, starts, ends, results, before = (np.concatenate(p) for p in zip(*parts))
        order = np.lexsort((second, rows))
        results, before = results[order], before[order]
        values, failures = self._results()
        return Collected(
            rows[order],
            starts[order],
            ends[order],
            second[order] == 0,
            values,
            pa.array(results, mask=results < 0),
            pa.array(before, mask=before < 0),
            before < 0,
            picked_failures(failures, results),
        )

    def _results(self) -> tuple[list[Any], Failures | None]:
        if not self._pool:
            return self._states.evaluated(self._states.initial(0))
        results: list[list[Any]] = []
        failed: list[Failures] = []
        first = 0
        for _, alike in groupby(self._pool, _form):  # states after each row may have another form than stored ones
            states = [[joined(fields) for fields in zip(*call)] for call in zip(*alike)]
            values, failures = self._states.evaluated(states)
            results.append(values)
            if failures is not None:
                failed.append(Failures(failures.rows + first, failures.reasons))
            first += len(values[0]) if values else 0
        return [pa.concat_arrays(parts) for parts in zip(*results)], merged(failed)


def _form(states: Sequence[State]) -> list[list[str]]:
    """The types of the fields of some states: those of one form can be joined."""
    return [[str(field.dtype if isinstance(field, np.ndarray) else field.type) for field in state] for state in states]


def _previous_rows(sessions: Int64s) -> Int64s:
    """For each row the row before it in its session, -1 for the first."""
    order = np.argsort(sessions, kind="stable")
    previous = np.full(len(sessions), -1, np.int64)
    same = sessions[order[1:]] == sessions[order[:-1]]
    previous[order[1:][same]] = order[:-1][same]
    return previous
