"""The latest rows of a push query, for live tables and live charts."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from .relation import instant

__all__ = ["LiveRows"]

ROWS_KEPT = 10_000
"""The number of rows kept of a table: those that changed last."""
WINDOW_BOUNDS = ("WINDOWSTART", "WINDOWEND")


class LiveRows:
    """Keeps the latest rows.  A table's row replaces the row of its key (and window), and a deletion removes it; a stream's
    rows scroll.

    Thread-safe.

    Args:
        columns: their names.
        key_places: which columns are the key (and window) of a table's rows; empty for a stream.
        rows_max: how many rows are kept.

    Attributes:
        read: how many rows have come.
        missed: how many were lost because the reader was slow.
    """

    def __init__(self, columns: Sequence[str], key_places: Sequence[int] = (), *, rows_max: int = ROWS_KEPT) -> None:
        self.columns = tuple(columns)
        self.key_places = tuple(key_places)
        self._order = self._ordered_by()
        self._rows_max = rows_max
        self._rows: dict[Any, tuple[Any, ...]] = {}
        self._changed: set[Any] = set()
        self._guard = threading.Lock()
        self.read = 0
        self.missed = 0

    def _ordered_by(self) -> tuple[int, ...]:
        """The columns by which rows are ordered: windows first, then the rest of the key."""
        bounds = [place for place in self.key_places if self.columns[place] in WINDOW_BOUNDS]
        return (*bounds, *(place for place in self.key_places if place not in bounds))

    def take(self, row: Any) -> None:
        """Add a row (a `PushRow`)."""
        with self._guard:
            self.read += 1
            self.missed += row.missed
            key: Any = tuple(repr(row.values[place]) for place in self.key_places) if self.key_places else self.read
            self._rows.pop(key, None)  # the dict's order is that of the last changes
            if row.tombstone:
                return
            self._rows[key] = row.values
            self._changed.add(key)
            if len(self._rows) > self._rows_max:
                gone = next(iter(self._rows))
                del self._rows[gone]
                self._changed.discard(gone)

    def __len__(self) -> int:
        return len(self._rows)

    def latest(self, count: int | None = None) -> list[tuple[Any, ...]]:
        """The rows that changed last, ordered by window and then by key; all of them if no number is given."""
        return [values for values, _ in self.marked(count)]

    def marked(self, count: int | None = None) -> list[tuple[tuple[Any, ...], bool]]:
        """Like `latest`, with a flag beside each row: it has changed since the last call of `marked`."""
        with self._guard:
            items = list(self._rows.items())
            changed, self._changed = self._changed, set()
        if self.windowed and count is not None:
            items = sorted(items, key=lambda item: _place(item[1], self._order))
        items = items if count is None else items[-count:]
        if self._order:
            items.sort(key=lambda item: _place(item[1], self._order))
        return [(values, key in changed) for key, values in items]

    @property
    def windowed(self) -> bool:
        """Whether the rows have windows."""
        return bool(self._order) and self.columns[self._order[0]] in WINDOW_BOUNDS

    def readable(self, values: Sequence[Any]) -> list[Any]:
        """A row whose window bounds are written as times."""
        return self.with_times(self.columns, values)

    @staticmethod
    def with_times(columns: Sequence[str], values: Sequence[object]) -> list[object]:
        """Values of columns, with window bounds (milliseconds since 1970) written as times."""
        return [
            instant(value) if name in WINDOW_BOUNDS and isinstance(value, int) else value
            for name, value in zip(columns, values, strict=True)
        ]


def _place(values: Sequence[Any], order: Sequence[int]) -> list[Any]:
    """The sort key of a row; it orders values of different types, and NULL."""
    return [(value is not None, type(value).__name__, _comparable(value)) for value in (values[place] for place in order)]


def _comparable(value: Any) -> Any:
    if value is None:
        return 0
    return value if isinstance(value, (int, float, str, bytes)) else repr(value)
