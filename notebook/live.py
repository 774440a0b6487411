"""A push query as a table that updates in place."""

from __future__ import annotations

import html
import time
from typing import Any

from IPython.display import display

from ..engine.live_rows import LiveRows
from ..engine.relation import grid, html_table
from ..engine.results import PushResult
from .show import are_numbers, bars_html

REFRESH_S = 0.2
"""The shortest time between two drawings of the table, in seconds."""


class LiveTable:
    """The latest rows of a push query, as a table or as a chart of its numbers.

    For a query over a table, a row replaces the one with the same key (and window), a deleted row disappears, and rows are
    in the order of their windows.  For a query over a stream, new rows are added at the end and old ones leave at the top.

    Args:
        charted: draw a bar beside each number.

    Attributes:
        live: the rows received.
        state: whether the query still runs, as a text to show.
    """

    def __init__(self, pushed: PushResult, *, rows_max: int = 20, charted: bool = False) -> None:
        self._subscription = pushed.subscription
        self.columns = pushed.subscription.columns
        self.live = LiveRows(self.columns, pushed.key_places, **({} if pushed.key_places else {"rows_max": rows_max}))
        self._rows_max = rows_max
        self._charted = charted
        self.state = "running"

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """The rows shown now."""
        return self.live.latest()

    def run(self, seconds: float) -> None:
        """Show rows as they come, for ``seconds``, or until the query's LIMIT or the notebook's stop button ends it."""
        handle: Any = display(self, display_id=True)
        deadline, drawn = time.monotonic() + seconds, 0.0
        changed = True
        try:
            while not self._subscription.finished and time.monotonic() < deadline:
                row = self._subscription.poll(min(REFRESH_S, max(deadline - time.monotonic(), 0.0)))
                if row is not None:
                    self.live.take(row)
                    changed = True
                if changed and time.monotonic() - drawn >= REFRESH_S:
                    handle.update(self)
                    drawn, changed = time.monotonic(), False
            while (row := self._subscription.poll(0)) is not None:
                self.live.take(row)
            self.state = "over" if self._subscription.finished else f"stopped after {seconds:g} s"
        except KeyboardInterrupt:
            self.state = "stopped"
        finally:
            self._subscription.close()
            handle.update(self)

    def _cells(self) -> list[list[str]]:
        shown = [self.live.readable(row) for row in self.live.latest(self._rows_max)]
        return [["NULL" if value is None else str(value) for value in row] for row in shown]

    @property
    def _status(self) -> str:
        left = len(self.live) - self._rows_max
        more = f", {left} rows not shown" if left > 0 else ""
        lost = f", {self.live.missed} missed" if self.live.missed else ""
        return f"{self.live.read} rows read{more}{lost}, {self.state}"

    def __repr__(self) -> str:
        return f"{grid(self.columns, self._cells())}\n({self._status})"

    def _repr_html_(self) -> str:
        if self._charted:
            shown = bars_html(self.columns, self.live.latest(self._rows_max), self.live)
        else:
            numeric = are_numbers(self.columns, self.live.latest(self._rows_max))
            shown = html_table(self.columns, self._cells(), numeric)
        return f'{shown}<p aria-live="polite">{html.escape(self._status)}</p>'
