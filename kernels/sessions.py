"""Assigns rows to sessions where they come in order of time (source/sessions.cpp)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import InternalError
from .library import address, function

__all__ = ["InOrder", "in_order"]

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_rows = function("session_rows", "-", "ppppii" + "ppii" + "ppppppp")
_bounds = function("session_bounds", "i", "ppippi" + "ppppp" + "ppppp")


@dataclass(frozen=True, slots=True)
class InOrder:
    """Rows and sessions of the groups whose rows only extend the latest session or begin later ones.

    Attributes:
        rows, sessions, begins, ends_before, ends_after: by row that counts, ascending: its number, its session, whether it
            begins that session, and the end of the group's sessions before and after it.
        groups, starts, ends, first_ends, continues: by session, ordered by group and then time: its group, its bounds after
            all rows, its end before them (or ``nowhere``), and whether it existed before.
        other: bool by group: the groups whose rows come in another order.
    """

    rows: Int64s
    sessions: Int64s
    begins: Bools
    ends_before: Int64s
    ends_after: Int64s
    groups: Int64s
    starts: Int64s
    ends: Int64s
    first_ends: Int64s
    continues: Bools
    other: Bools


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
    """Assign rows to sessions for the groups whose rows come in order.

    Args:
        groups: by row, each from 0 to ``len(starts) - 1``.
        times: stream time after each row.
        hidden_until: by row; a session that ends at or before it takes no more rows.
        starts, ends: by group, the bounds of its latest session; ``nowhere`` if it has none.
        gap, open_: a row belongs to a session at most ``gap`` away, and a session takes rows until ``open_`` after its end.
        nowhere: a time before all others.
    """
    n, count = len(groups), len(starts)
    given = [np.ascontiguousarray(a, np.int64) for a in (groups, timestamps, times, hidden_until, starts, ends)]
    if n and not (int(given[0].min()) >= 0 and int(given[0].max()) < count):
        raise InternalError("a row's group does not exist")
    by_row = [address(a, np.int64, n) for a in given[:4]]
    by_group = [address(a, np.int64, count) for a in given[4:]]
    current, counts = np.empty(2 * count, np.int64), np.empty(count, np.int64)
    other = np.empty(count, np.bool_)
    sessions, ends_before, ends_after, rows = (np.empty(n, np.int64) for _ in range(4))
    begins = np.empty(n, np.bool_)
    made = [a.ctypes.data for a in (current, sessions, begins, ends_before, ends_after, counts, other)]
    _rows(*by_row, n, count, *by_group, gap, open_, *made)
    counts[other] = 0
    bases = np.cumsum(counts) - counts
    bases[other] = -1
    total = int(counts.sum())
    found = [np.full(total, -1, np.int64), *(np.empty(total, np.int64) for _ in range(3))]
    continues = np.empty(total, np.bool_)
    kept: int = _bounds(
        by_row[0],
        by_row[1],
        n,
        bases.ctypes.data,
        by_group[0],
        nowhere,
        *(a.ctypes.data for a in (rows, sessions, begins, ends_before, ends_after)),
        *(a.ctypes.data for a in (*found, continues)),
    )
    return InOrder(
        rows[:kept],
        sessions[:kept],
        begins[:kept],
        ends_before[:kept],
        ends_after[:kept],
        found[0],
        found[1],
        found[2],
        found[3],
        continues,
        other,
    )
