"""What `kernels/sessions.py` makes, in passes of NumPy over rows by group: the oracle of its tests."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from penstock.kernels.sessions import InOrder
from penstock.runtime.kernel import Segments

Int64s = npt.NDArray[np.int64]


def in_order(
    groups: Int64s,
    timestamps: Int64s,
    times: Int64s,
    hidden_until: Int64s,
    starts: Int64s,
    ends: Int64s,
    *,
    gap: int,
    open_: int,
    nowhere: int,
) -> InOrder:
    """See `kernels.sessions.in_order`; every group has a row."""
    segments = Segments(groups, len(starts))
    order, group_starts = segments.order, segments.starts
    maxima = np.empty(len(groups), np.int64)
    for group in range(len(starts)):
        rows = np.flatnonzero(groups == group)
        maxima[rows] = np.maximum(np.maximum.accumulate(timestamps[rows]), ends[group])
    groups = groups[order]
    ts, now, end_after = timestamps[order], times[order], maxima[order]
    first = np.zeros(len(order), np.bool_)
    first[group_starts] = True
    end_before = np.empty(len(order), np.int64)
    end_before[1:] = end_after[:-1]
    end_before[group_starts] = ends
    touches = ts <= end_before + gap
    # The start of the session that the row would extend: of the last session begun in the group, or of its latest.
    began = np.where(~touches, np.arange(len(order)), -1)
    before = np.full(len(order), -1, np.int64)
    before[1:] = np.maximum.accumulate(began)[:-1]
    in_group = before >= group_starts[groups]
    start_before = np.where(in_group, ts[before], starts[groups])
    reaches_back = touches & (ts < start_before)
    hidden = touches & (end_before <= hidden_until[order])
    late = ~(end_after >= now - open_)
    other = np.zeros(segments.count, np.bool_)
    other[groups[reaches_back | hidden | late]] = True
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
    return InOrder(
        rows=rows,
        sessions=by_row[rows],
        begins=~touches[at],
        ends_before=end_before[at],
        ends_after=end_after[at],
        groups=head_groups,
        starts=np.where(continues, starts[head_groups], ts[heads]),
        ends=end_after[tails],
        first_ends=np.where(continues, end_before[heads], nowhere),
        continues=continues,
        other=other,
    )
