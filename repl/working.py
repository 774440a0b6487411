"""Progress of long calls: after two seconds a bar, or the time so far."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from .. import Advance

__all__ = ["bar", "working"]

_PATIENCE_S = 2.0
_REDRAW_S = 0.2
_BAR_CHARS = 24


def bar(done: int, total: int, unit: str, seconds: float) -> str:
    """A bar with the part done, the rate and the remaining time.

    >>> bar(1_000, 4_000, "rows", 2.0)
    '[######..................]  25%  1,000 of 4,000 rows, 500/s, 6 s left'
    """
    share = min(done / total, 1.0) if total else 1.0
    left = f", {max(1, round(seconds / share - seconds))} s left" if 0 < share < 1 else ""
    filled = "#" * int(share * _BAR_CHARS)
    rate = done / max(seconds, 1e-6)
    return f"[{filled.ljust(_BAR_CHARS, '.')}] {share:4.0%}  {done:,} of {total:,} {unit}, {rate:,.0f}/s{left}"


@contextmanager
def working(out: TextIO | None) -> Iterator[Callable[[Advance], None]]:
    """A context in which, from the third second on, a line shows the progress; it disappears at the end.

    Args:
        out: a terminal; on anything else, or None, nothing is shown.

    Returns: takes the progress (`penstock.Advance`) of what the database itself knows nothing of.
    """
    if out is None or not out.isatty():
        yield lambda advance: None
        return
    from .. import listening

    over = threading.Event()
    line = _Line(out)
    thread = threading.Thread(target=line.draw, args=(over,), name="penstock-working", daemon=True)
    thread.start()
    try:
        with listening(line.take):
            yield line.take
    finally:
        over.set()
        thread.join()


class _Line:
    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._began_s = time.monotonic()
        self._advance: Advance | None = None

    def take(self, advance: Advance) -> None:
        if advance.done == 0:  # what came before is no part of it
            self._began_s = time.monotonic()
        self._advance = advance

    def draw(self, over: threading.Event) -> None:
        if over.wait(_PATIENCE_S):
            return
        while True:
            seconds = time.monotonic() - self._began_s
            now = self._advance
            if now is None:
                text = f"working, {seconds:.0f} s (Ctrl-C ends it)"
            elif now.total is None:
                text = f"{now.done:,} {now.unit}, {now.done / max(seconds, 1e-6):,.0f}/s, {seconds:.0f} s"
            else:
                text = bar(now.done, now.total, now.unit, seconds)
            self._out.write(f"\r\x1b[K{text}")
            self._out.flush()
            if over.wait(_REDRAW_S):
                self._out.write("\r\x1b[K")
                self._out.flush()
                return
