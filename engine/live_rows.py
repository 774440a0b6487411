"""The latest rows of a push query, for live tables and live charts."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from .relation import instant

__all__ = ["LiveRows"]

ROWS_KEPT = 10_000
"""The number of rows that are kept: those that changed last."""
WINDOW_BOUNDS = ("WINDOWSTART", "WINDOWEND")


class LiveRows:
    """Keeps the latest rows.  Several threads may use it.

    A row of a table replaces the row of its key (and window), and a tombstone removes it.  New rows of a stream push out the
    oldest ones.

    Args:
        columns: the names of the columns.
        key_places: the indices of the columns that are the key (and window) of a table's rows; empty for a stream.
        rows_max: how many rows are kept.

    Attributes:
        read: the number of rows that have come.
        missed: the number of rows that were dropped because the reader was slow.
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
            self._rows.pop(key, None)  # the dict is in the order of the last changes
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
        """The rows that changed last, ordered by window and then by key; None: all of them."""
        return [values for values, _ in self.marked(count)]

    def marked(self, count: int | None = None) -> list[tuple[tuple[Any, ...], bool]]:
        """Like `latest`, but each row has a flag: whether it has changed since the last call of `marked`."""
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
        """A row with window bounds written as times."""
        return self.with_times(self.columns, values)

    @staticmethod
    def with_times(columns: Sequence[str], values: Sequence[object]) -> list[object]:
        """The values of columns with window bounds (milliseconds since 1970-01-01 UTC) written as times."""
        return [
            instant(value) if name in WINDOW_BOUNDS and isinstance(value, int) else value
            for name, value in zip(columns, values, strict=True)
        ]


def _place(values: Sequence[Any], order: Sequence[int]) -> list[Any]:
    """The sort key of a row.  It orders values of different types, and NULL."""
    return [(value is not None, type(value).__name__, _comparable(value)) for value in (values[place] for place in order)]


def _comparable(value: Any) -> Any:
    if value is None:
        return 0
    return value if isinstance(value, (int, float, str, bytes)) else repr(value)
