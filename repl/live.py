"""A push query in the foreground of a terminal: a table that updates in place, a chart, or scrolling rows."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from .charts import chart
from .jobs import Job
from .redraw import Redrawn, bold, has_colour
from .render import shown, table, width_of

__all__ = ["ToBackground", "live_lines", "watch"]

_REDRAW_S = 0.1
"""The shortest time between two drawings, in seconds."""
_AROUND_ROWS = 5
"""Lines of the screen that are not rows: headings, the rule, a hint, the count, and the cursor's line."""
_WIDE = 1_000_000
_KEYS = "Ctrl-C ends, Ctrl-Z puts it behind the prompt"


class ToBackground(Exception):
    """Raised when the person wants the prompt while the query goes on."""


def watch(job: Job, out: TextIO, format_: str = "table") -> bool:
    """Show a job until it ends, the person ends it (Ctrl-C), or wants the prompt (Ctrl-Z).

    Args:
        out: a terminal.
        format_: ``table`` or ``chart``.

    Returns:
        whether the job goes on in the background.

    Raises:
        PenstockError: the query failed.
    """
    job.front()
    goes_on = False
    try:
        with _ctrl_z():
            if job.is_table or format_ == "chart":
                _in_place(job, out, format_)
            else:
                _scrolling(job, out)
    except KeyboardInterrupt:
        out.write("\r\x1b[K")  # the terminal has shown ^C
    except ToBackground:
        out.write("\r\x1b[K")
        goes_on = True
    finally:
        if not goes_on:
            job.subscription.close()
    if job.is_table or format_ == "chart":
        out.write("\x1b[1F\x1b[J")  # the line that said which keys there are
    count = job.rows.read
    ended = "limit reached, " if job.subscription.limit_reached else ""
    unit = "change" if job.is_table else "row"
    held = f"{len(job.rows):,} row{'' if len(job.rows) == 1 else 's'}, " if job.is_table else ""
    said = f"({ended}{held}{count:,} {unit}{'' if count == 1 else 's'})"
    if goes_on:
        said = f"[{job.number}] goes on behind the prompt: \\fg shows it, \\jobs lists all"
    out.write(said + "\n")
    out.flush()
    return goes_on


def _in_place(job: Job, out: TextIO, format_: str) -> None:
    screen = Redrawn(out)
    began_s = time.monotonic()
    first = True
    while True:
        deadline = time.monotonic() + _REDRAW_S
        changed = False
        while (left := deadline - time.monotonic()) > 0 and not job.subscription.finished:
            row = job.subscription.poll(left)
            if row is not None:
                job.rows.take(row)
                changed = True
        if changed or first or job.subscription.finished:
            first = False
            size = shutil.get_terminal_size((120, 40))
            lines, marked = live_lines(job, format_, size.columns, size.lines, time.monotonic() - began_s)
            screen.draw(lines, marked)
        if job.subscription.finished:
            return


def live_lines(job: Job, format_: str, width: int, height: int, seconds: float) -> tuple[list[str], list[int]]:
    """The lines of a live table or chart, and the numbers of the rows that changed since the last drawing.

    A changed row also begins with ``*``, for people who cannot see bold letters.
    """
    rows = job.rows
    room = max(height - _AROUND_ROWS, 1)
    rate = f", {rows.read / seconds:,.0f}/s" if seconds >= 1 else ""
    lost = f", {rows.missed:,} missed" if rows.missed else ""
    unit = "changes" if rows.key_places else "rows read"
    if format_ == "chart":
        text = chart(rows.columns, rows.latest(None if rows.windowed else room), width)
        return [*text.splitlines(), f"({len(rows):,} rows, {rows.read:,} {unit}{rate}{lost}; {_KEYS})"], []
    marked = rows.marked(room)
    values = [rows.readable(row) for row, _ in marked]
    text = table(rows.columns, values, _WIDE)
    lines = ["  " + line for line in text.splitlines()]
    changed = [number for number, (_, new) in enumerate(marked, 2) if new]
    for number in changed:
        lines[number] = "* " + lines[number][2:]
    hidden = f", {len(marked):,} shown" if len(rows) > len(marked) else ""
    count = f"{len(rows):,} row{'' if len(rows) == 1 else 's'}{hidden}, {rows.read:,} {unit}{rate}{lost}"
    return [*lines, *_hidden_windows(job), f"({count}; {_KEYS})"], changed


_LATE = "(waiting for what comes; SET 'auto.offset.reset' = 'earliest'; shows what is there, too)"


def _hidden_windows(job: Job) -> list[str]:
    if job.starts_late and not job.rows.read:
        return [_LATE]
    if not job.windowed or job.rows.windowed:
        return []
    return ["(each key's last window: SELECT WINDOWSTART, too, to see them all)"]


def _scrolling(job: Job, out: TextIO) -> None:
    """Rows of a stream, one under the other; the widths of columns are those of what has been shown so far."""
    rows = job.rows
    out.write(f"(rows as they come; {_KEYS})\n")
    if job.starts_late and not job.rows.read:
        out.write(f"{_LATE}\n")
    widths = [width_of(shown(name)) for name in rows.columns]
    for place, values in enumerate(rows.latest()):  # what came behind the prompt
        _line(out, rows.columns, rows.readable(values), widths, heading=place == 0)
    seen, flushed_s = bool(len(rows)), 0.0
    while not job.subscription.finished:
        row = job.subscription.poll(_REDRAW_S)
        if row is None:
            out.flush()
            continue
        if row.missed:
            out.write(f"({row.missed} rows were dropped: the reader was slow)\n")
        rows.take(row)
        _line(out, rows.columns, rows.readable(row.values), widths, heading=not seen)
        seen = True
        now_s = time.monotonic()
        if now_s - flushed_s > _REDRAW_S / 2:
            out.flush()
            flushed_s = now_s


def _line(out: TextIO, columns: Sequence[str], values: Sequence[Any], widths: list[int], *, heading: bool) -> None:
    texts = [shown(value) for value in values]
    widths[:] = [max(width, width_of(text)) for width, text in zip(widths, texts, strict=True)]
    if heading:
        head = _aligned([shown(name) for name in columns], widths)
        out.write((bold(head) if has_colour(out) else head) + "\n")
    out.write(_aligned(texts, widths) + "\n")


def _aligned(texts: Sequence[str], widths: Sequence[int]) -> str:
    cells = (text + " " * (width - width_of(text)) for text, width in zip(texts, widths, strict=True))
    return " | ".join(cells).rstrip()


@contextmanager
def _ctrl_z() -> Iterator[None]:
    """Ctrl-Z raises `ToBackground` meanwhile, where the system has it."""
    if not hasattr(signal, "SIGTSTP") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: object) -> None:
        raise ToBackground

    before = signal.signal(signal.SIGTSTP, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, before)
