"""The progress of persistent queries: a table that is redrawn in a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from .redraw import Redrawn
from .render import instant

COLUMNS = (
    "QUERY",
    "STATE",
    "READ",
    "USED",
    "FILTERED",
    "LATE",
    "BAD",
    "WRITTEN",
    "LAG",
    "ROWS/S",
    "STATE BYTES",
    "STREAM TIME (UTC)",
)
"""The columns.  The last one is the window watermark of the partition that is furthest behind; ``-`` without windows."""


def _word(name: str) -> str:
    return name.lower().partition(" (")[0].replace(" ", "_")


@dataclass(frozen=True, slots=True)
class Sample:
    """The progress of all queries at one time.  ``queries`` maps ids to what `QueryHandle.progress` returned."""

    at_s: float
    queries: Mapping[str, Any]


def sample(database: Any) -> Sample:
    """The progress of all persistent queries of a database, now."""
    found = {}
    for query_id, handle in database.queries.items():
        try:
            found[query_id] = handle.progress()
        except KeyError:  # terminated while we looked
            continue
    return Sample(time.monotonic(), found)


def rows_of(now: Sample, before: Sample | None) -> list[tuple[Any, ...]]:
    """One row per query, under `COLUMNS`; the rate is that since the sample ``before``."""
    rows = []
    for query_id, progress in now.queries.items():
        account = progress.account
        earlier = before.queries.get(query_id) if before is not None else None
        rate = 0
        if before is not None and earlier is not None and now.at_s > before.at_s:
            rate = round((account.read - earlier.account.read) / (now.at_s - before.at_s))
        counts = (account.read, account.used, account.filtered, account.late, account.bad, account.written)
        watermark = "-" if progress.stream_time is None else instant(progress.stream_time)
        rows.append((query_id, progress.state, *counts, progress.lag, rate, progress.state_bytes, watermark))
    return rows


_LEFT_OUT = ("USED", "FILTERED", "WRITTEN", "READ")
"""Columns that a narrow terminal leaves out, in this order."""


def _written(row: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(f"{value:,}" if isinstance(value, int) else str(value) for value in row)


class Display:
    """Prints samples.

    Args:
        out: a terminal gets one table that is redrawn; anything else a line for each query that moved.
        table: print the whole table each time, also without a terminal.
    """

    def __init__(self, out: TextIO, *, table: bool = False) -> None:
        self._out = out
        self._table = table
        self._redraws = out.isatty()
        self._redrawn = Redrawn(out)
        self._widths = [len(name) for name in COLUMNS]
        self._shown: dict[str, tuple[Any, ...]] = {}
        self._last: Sample | None = None
        self._errors: set[str] = set()

    def show(self, now: Sample, extra: Sequence[str] = ()) -> None:
        """Print a sample; in a terminal with the lines ``extra`` below it."""
        rows = rows_of(now, self._last)
        self._last = now
        if self._redraws:
            self._redraw(rows, extra)
        elif self._table:
            written = [_written(row) for row in rows]
            self._out.write("\n".join(line.rstrip() for line in self._aligned(written)) + "\n")
        else:
            self._lines(rows)
        for query_id, progress in now.queries.items():
            if progress.error is not None and query_id not in self._errors:
                self._errors.add(query_id)
                self._redrawn.keep()
                self._out.write(f"{query_id} has failed: {progress.error}\n")
        self._out.flush()

    def _redraw(self, rows: list[tuple[Any, ...]], extra: Sequence[str]) -> None:
        written = [_written(row) for row in rows]
        width = shutil.get_terminal_size((120, 40)).columns
        left_out: list[str] = []
        lines = self._aligned(written)
        for name in _LEFT_OUT:
            if max(map(len, lines)) < width:
                break
            left_out.append(name)
            lines = self._aligned(written, left_out)
        self._redrawn.draw([*lines, *extra])

    def _aligned(self, rows: list[tuple[str, ...]], left_out: Sequence[str] = ()) -> list[str]:
        """Lines of a table without rules, counts flush right; columns never become narrower again."""
        lines = [COLUMNS, *rows]
        self._widths = [max(have, *(len(line[i]) for line in lines)) for i, have in enumerate(self._widths)]
        places = [i for i, name in enumerate(COLUMNS) if name not in left_out]
        return [
            "  ".join(line[i].ljust(self._widths[i]) if i < 2 else line[i].rjust(self._widths[i]) for i in places)
            for line in lines
        ]

    def _lines(self, rows: list[tuple[Any, ...]]) -> None:
        for row in rows:
            moved = row[: COLUMNS.index("ROWS/S")]
            if self._shown.get(row[0]) != moved:
                self._shown[row[0]] = moved
                counts = " ".join(f"{_word(name)}={value}" for name, value in zip(COLUMNS[2:], row[2:], strict=True))
                self._out.write(f"{row[0]} {row[1]} {counts}\n")


__all__ = ["COLUMNS", "Display", "Sample", "rows_of", "sample"]
