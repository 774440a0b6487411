"""Which session each row of a batch belongs to.

Two ways: all at once, for groups whose rows only extend their latest session or begin later ones, and row by row for the
groups with late rows or rows that reach back.  Both give what row by row would give.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ..batch import Int64s
from ..kernel import Segments
from ..windows import SessionWindows
from .group_states import NO_TIME, GroupStates
from .session_output import Emissions
from .sessions import Session, SessionRows


def sessions_in_order(
    segments: Segments,
    timestamps: Int64s,
    maxima: Int64s,
    times: Int64s,
    starts: Int64s,
    ends: Int64s,
    windows: SessionWindows,
    hidden_until: Int64s,
) -> SessionRows:
    """Find the sessions of all groups, and the groups for which that needs care.

    Args:
        maxima: per row, the largest timestamp of the group so far and its latest session's end: in order, that is the end
            of the row's session.
        times: stream time after each row.
        starts, ends: per group, the bounds of its latest session, `NO_TIME` if it has none.
        hidden_until: per row; sessions that end at or before it cannot be joined.
    """
    order, group_starts = segments.order, segments.starts
    groups = segments.groups[order]
    ts, now, end_after = timestamps[order], times[order], maxima[order]
    first = np.zeros(len(order), np.bool_)
    first[group_starts] = True
    end_before = np.empty(len(order), np.int64)
    end_before[1:] = end_after[:-1]
    end_before[group_starts] = ends
    touches = ts <= end_before + windows.gap_ms
    # The start of the session that the row would extend: of the last session begun in the group, or of its latest.
    began = np.where(~touches, np.arange(len(order)), -1)
    before = np.full(len(order), -1, np.int64)
    before[1:] = np.maximum.accumulate(began)[:-1]
    in_group = before >= group_starts[groups]
    start_before = np.where(in_group, ts[before], starts[groups])
    reaches_back = touches & (ts < start_before)
    hidden = touches & (end_before <= hidden_until[order])
    late = ~windows.accepted(end_after, now)
    careful = reaches_back | hidden | late
    other = np.zeros(segments.count, np.bool_)
    other[groups[careful]] = True
    kept = ~other[groups]
    begins = (~touches | first) & kept
    session = np.cumsum(begins) - 1
    heads = np.flatnonzero(begins)
    tails = np.empty(len(heads), np.int64)
    kept_places = np.flatnonzero(kept)
    tails[session[kept_places]] = kept_places  # the last write stays
    continues = touches[heads]
    head_groups = groups[heads]
    by_row = np.full(len(order), -1, np.int64)
    by_row[order] = np.where(kept, session, -1)
    rows = np.flatnonzero(by_row >= 0)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    at = place[rows]
    return SessionRows(
        rows=rows,
        sessions=by_row[rows],
        starts_new=~touches[at],
        ends_before=end_before[at],
        ends_after=end_after[at],
        groups=head_groups,
        starts=np.where(continues, starts[head_groups], ts[heads]),
        ends=end_after[tails],
        first_ends=np.where(continues, end_before[heads], NO_TIME),
        continues=continues,
        other_groups=np.flatnonzero(other),
    )


def merge_one_by_one(
    groups: GroupStates,
    stored: list[Session],
    rows: Int64s,
    timestamps: Int64s,
    times: Int64s,
    arguments: Sequence[Sequence[Any]],
    sequence: int,
    windows: SessionWindows,
    hidden_until: Int64s,
    emissions: Emissions,
) -> tuple[list[Session], list[int]]:
    """Take the rows of one group in.

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
        states = groups.initial(1)
        for session in joined:
            states = [c.aggregator.merge(a, b) for c, a, b in zip(groups.calls, states, session.states)]
        one = pa.array([row])
        columns = [[column.take(one) for column in call] for call in arguments]
        states, _ = groups.scan(states, Segments(np.zeros(1, np.int64), 1, sequence + row), columns, None, False)
        merged = Session(start, end, states, True, row)
        for session in joined:
            merged.stored += session.stored if session.changed else [session]
        if emissions.every:
            emissions.add_merge(row, ts, merged, joined)
        # A hidden session that starts at the same instant is replaced, as it would be in the store.
        sessions = [s for s in sessions if s not in joined and s.start != start]
        sessions.append(merged)
        sessions.sort(key=lambda s: s.start)
    if not emissions.every:
        for session in sessions:
            if session.changed:
                emissions.add_merged(session)
    return sessions, late
