"""How many rows a step takes: as many as fit its time, and fewer where one of them is at fault."""

from __future__ import annotations

TARGET_S = 0.2
"""How long a step is to take where others wait for the same workers."""

OVERRUN_S = 2 * TARGET_S
"""After so long a step is taken back, where that can be done, and done with fewer rows."""

_GROWTH = 4
"""By how much a step may be larger than the one before it."""

_CAUTIOUS_ROWS = 16


class Pace:
    """The rows of the next step.

    Where a step fails, the rows at fault are narrowed down: the step is taken back, and steps of half as many rows are
    taken, each committed on its own, until one row alone fails.  What comes of it depends on the rows only, not on how
    they were cut into steps before.

    Args:
        rows_max: never more than these.
    """

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self._by_time = float(rows_max)
        self._suspect: int | None = None
        """Of so many rows from here on, one at least is at fault."""
        self._cautious: int | None = None
        """Another row may be at fault soon: so many rows."""
        self._since_fault = 0

    def rows(self, *, bounded: bool) -> int:
        """Of the next step.

        Args:
            bounded: it is to take no longer than `TARGET_S`, about.
        """
        rows = self._rows_max
        if bounded:
            rows = min(rows, int(self._by_time))
        if self._suspect is not None:
            rows = min(rows, self._suspect // 2)
        elif self._cautious is not None:
            rows = min(rows, self._cautious)
        return max(1, rows)

    @property
    def careful(self) -> bool:
        """Whether a row at fault is being looked for, or expected."""
        return self._suspect is not None or self._cautious is not None

    def took(self, rows: int, seconds: float) -> None:
        """A step went well."""
        if self._suspect is not None:
            self._suspect -= rows
            if self._suspect <= 0:  # it was no row's fault, or not only that
                self._suspect = None
        elif self._cautious is not None:
            self._since_fault += rows
            self._cautious *= _GROWTH
            if self._cautious >= self._rows_max:
                self._cautious = None
        if rows >= self._by_time / 2 or seconds > TARGET_S:  # else it says little about how many would fit
            fitting = rows * TARGET_S / max(seconds, 1e-6)
            self._by_time = min(fitting, self._by_time * _GROWTH, self._rows_max)

    def overran(self, rows: int, done: int, seconds: float) -> None:
        """A step took too long and was taken back when it had called user code for ``done`` of its rows, or more than once
        for each."""
        fitting = done * TARGET_S / max(seconds, 1e-6)
        self._by_time = max(1.0, min(fitting, rows / 2))

    def failed(self, rows: int) -> None:
        """A step of more than one row failed."""
        self._suspect = rows

    def dropped(self) -> None:
        """The one row at fault was left out."""
        self._suspect = None
        self._cautious = max(_CAUTIOUS_ROWS, min(self._rows_max, self._since_fault // 2))
        self._since_fault = 0
