"""Sessions while a batch is worked on: all of its rows at once, or one after the other."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..batch import Bools, Int64s
from ..kernel import State

__all__ = ["Session", "SessionRows"]


@dataclass(frozen=True, slots=True)
class SessionRows:
    """The rows of in-order groups, in processing order, and the sessions they make.

    Attributes:
        rows: their numbers in the batch.
        sessions: the session of each row, numbered by group and then by time.
        starts_new: the row is its session's first.
        ends_before, ends_after: the session's end before the row (no meaning where it is new) and after it.
        groups, starts, ends, first_ends: by session: its group, its start, its end after the batch and before it.
        continues: by session: the group's latest session was extended.
        other_groups: the groups that must go row by row.
    """

    rows: Int64s
    sessions: Int64s
    starts_new: Bools
    ends_before: Int64s
    ends_after: Int64s
    groups: Int64s
    starts: Int64s
    ends: Int64s
    first_ends: Int64s
    continues: Bools
    other_groups: Int64s


@dataclass(slots=True)
class Session:
    """A session while its group goes row by row.

    Attributes:
        states: by call, by field, arrays of length 1.
        changed: it is not (only) what the store holds.
        row: the last row that went into it.
        stored: the sessions of the store that went into it, as they were there.
        pool: where `Emissions` keeps its current states.
    """

    start: int
    end: int
    states: list[State]
    changed: bool = False
    row: int = -1
    stored: list[Session] = field(default_factory=list)
    pool: int = -1
