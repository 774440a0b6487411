"""A session during row-by-row processing (for all rows at once see `kernels.sessions`)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..kernel import State

__all__ = ["SessionWindow"]


@dataclass(slots=True)
class SessionWindow:
    """A session while its group is processed row by row.

    Attributes:
        states: by call, by field, arrays of length 1.
        changed: whether it differs from what the store holds.
        row: the last row that was added to it.
        stored: the stored sessions that were merged into it, as they were stored.
        pool: where `Emissions` keeps its current states.
    """

    start: int
    end: int
    states: list[State]
    changed: bool = False
    row: int = -1
    stored: list[SessionWindow] = field(default_factory=list)
    pool: int = -1
