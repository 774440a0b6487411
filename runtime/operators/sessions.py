"""A session while a batch is worked on row by row (all at once: `kernels.sessions`)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..kernel import State

__all__ = ["Session"]


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
