"""A push query as a table that updates in place."""

from __future__ import annotations

import html
import time
from typing import Any

from IPython.display import display

from ..engine.relation import grid, instant
from ..engine.results import PushResult

REFRESH_S = 0.2
"""Between two pictures of the table, at least."""
_BOUNDS = ("WINDOWSTART", "WINDOWEND")


class LiveTable:
    """The latest rows of a push query.

    Rows of a table replace the row of their key (and window), a row that was deleted goes; rows of a stream scroll.

    Attributes:
        read: how many rows have come.
        missed: how many were lost because the reader was slow.
    """

    def __init__(self, pushed: PushResult, *, rows_max: int = 20) -> None:
        self._subscription = pushed.subscription
        self.columns = pushed.subscription.columns
        self._keys = list(pushed.key_places)
        self._rows_max = rows_max
        self._rows: dict[Any, tuple[Any, ...]] = {}
        self.read = 0
        self.missed = 0
        self.state = "running"

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """The rows that are there now."""
        return list(self._rows.values())

    def run(self, seconds: float) -> None:
        """Show rows as they come until LIMIT, the time or an interruption (the notebook's stop button) ends it."""
        handle: Any = display(self, display_id=True)
        deadline, drawn = time.monotonic() + seconds, 0.0
        changed = True
        try:
            while not self._subscription.finished and time.monotonic() < deadline:
                row = self._subscription.poll(min(REFRESH_S, max(deadline - time.monotonic(), 0.0)))
                if row is not None:
                    self._take(row)
                    changed = True
                if changed and time.monotonic() - drawn >= REFRESH_S:
                    handle.update(self)
                    drawn, changed = time.monotonic(), False
            while (row := self._subscription.poll(0)) is not None:
                self._take(row)
            self.state = "over" if self._subscription.finished else f"stopped after {seconds:g} s"
        except KeyboardInterrupt:
            self.state = "stopped"
        finally:
            self._subscription.close()
            handle.update(self)

    def _take(self, row: Any) -> None:
        self.read += 1
        self.missed += row.missed
        key: Any = tuple(repr(row.values[place]) for place in self._keys) if self._keys else self.read
        if row.tombstone:
            self._rows.pop(key, None)
            return
        if not self._keys and len(self._rows) >= self._rows_max:
            self._rows.pop(next(iter(self._rows)))
        self._rows[key] = row.values

    def _cells(self) -> list[list[str]]:
        rows = self.rows
        if self._keys:
            rows = sorted(rows, key=lambda values: [repr(values[place]) for place in self._keys])
        return [
            [
                "NULL" if value is None else instant(value) if name in _BOUNDS and isinstance(value, int) else str(value)
                for name, value in zip(self.columns, values, strict=True)
            ]
            for values in rows[: self._rows_max]
        ]

    @property
    def _status(self) -> str:
        left = len(self._rows) - self._rows_max
        more = f", {left} rows not shown" if left > 0 else ""
        lost = f", {self.missed} missed" if self.missed else ""
        return f"{self.read} rows read{more}{lost}, {self.state}"

    def __repr__(self) -> str:
        return f"{grid(self.columns, self._cells())}\n({self._status})"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in self._cells())
        table = f'<table class="penstock"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        return f'{table}<p aria-live="polite">{html.escape(self._status)}</p>'
