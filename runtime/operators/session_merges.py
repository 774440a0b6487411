"""Assigns the rows of a batch to sessions.

There are two ways: all at once, for groups whose rows only extend their latest session or begin later ones, and row by row,
for groups with rows that are late or reach back.  Both give the result of row-by-row processing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ...kernels.sessions import InOrder, in_order
from ..batch import Int64s
from ..kernel import Segments, State
from ..windows import SessionWindows
from .group_states import NO_TIME, GroupStates
from .session_output import Emissions
from .sessions import SessionWindow


def sessions_in_order(
    segments: Segments,
    timestamps: Int64s,
    times: Int64s,
    starts: Int64s,
    ends: Int64s,
    windows: SessionWindows,
    hidden_until: Int64s,
) -> InOrder:
    """Find the sessions of all groups, and the groups to process row by row: those with a row that reaches back before the
    start of its group's latest session, would join a hidden one, or is late.

    Args:
        times: stream time after each row.
        starts, ends: per group, the bounds of its latest session, `NO_TIME` if it has none.
        hidden_until: per row; a session that ends at or before it takes no more rows.
    """
    return in_order(
        segments.groups,
        timestamps,
        times,
        hidden_until,
        starts,
        ends,
        gap=windows.gap_ms,
        open_=windows.gap_ms + windows.grace_ms,
        nowhere=NO_TIME,
    )


def merge_one_by_one(
    groups: GroupStates,
    stored: list[SessionWindow],
    rows: Int64s,
    timestamps: Int64s,
    times: Int64s,
    arguments: Sequence[Sequence[Any]],
    sequence: int,
    windows: SessionWindows,
    hidden_until: Int64s,
    emissions: Emissions,
) -> tuple[list[SessionWindow], list[int]]:
    """Add the rows of one group, one by one.

    Args:
        stored: the group's sessions by time.

    Returns:
        the group's sessions after the rows, and the rows that were late.
    """
    sessions = list(stored)
    late: list[int] = []
    for row in rows.tolist():
        ts, now = int(timestamps[row]), int(times[row])
        joined = [s for s in sessions if s.end > hidden_until[row] and windows.touches(s.start, s.end, ts)]
        start = min([ts, *(s.start for s in joined)])
        end = max([ts, *(s.end for s in joined)])
        if end < now - windows.grace_ms - windows.gap_ms:
            late.append(row)
            continue
        states: Sequence[State] = groups.initial(1)
        for session in joined:
            states = [c.aggregator.merge(a, b) for c, a, b in zip(groups.calls, states, session.states)]
        one = pa.array([row])
        columns = [[column.take(one) for column in call] for call in arguments]
        states, _ = groups.scan(states, Segments(np.zeros(1, np.int64), 1, sequence + row), columns, None, False)
        merged = SessionWindow(start, end, states, True, row)
        for session in joined:
            merged.stored += session.stored if session.changed else [session]
        if emissions.every:
            emissions.add_merge(row, ts, merged, joined)
        # A hidden session that starts at the same instant is replaced, as it would be in the store.  What was put out of it
        # stays, as no window of the new one is its; so a step that made it puts it out, too.
        sessions = [s for s in sessions if s not in joined]
        for session in sessions:
            if session.start == start and session.changed and session.end != end and not emissions.every:
                emissions.add_merged(session)
        sessions = [s for s in sessions if s.start != start]
        sessions.append(merged)
        sessions.sort(key=lambda s: s.start)
    if not emissions.every:
        for session in sessions:
            if session.changed:
                emissions.add_merged(session)
    return sessions, late
