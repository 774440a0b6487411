"""What DuckDB takes beside the memory that it counts: the texts that functions make are not counted by it.

A thread looks at how large the process is while a query runs, and interrupts the query if it has grown by too much.  DuckDB
notices that between two operators: what one expression makes of one block of rows is not bounded by it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["Watch", "watched"]

_LOOK_S: Final = 0.05
_STATM: Final = Path("/proc/self/statm")
_BLOCKS: Final = 2
"""How many times its limit a query may take: once as DuckDB counts it, once beside that."""


class Watch:
    """``exceeded``: the query was interrupted, as it took too much memory."""

    def __init__(self, most: int, interrupt: Callable[[], None]) -> None:
        self.exceeded = False
        self._most = most
        self._interrupt = interrupt
        self._ended = threading.Event()

    def look(self) -> None:
        """Until the query ends."""
        first = resident_bytes()
        while first is not None and not self._ended.wait(_LOOK_S):
            now = resident_bytes()
            if now is not None and now - first > _BLOCKS * self._most:
                self.exceeded = True
                self._interrupt()

    def end(self) -> None:
        self._ended.set()


def resident_bytes() -> int | None:
    """How much memory the process has; None where that cannot be told."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


@contextmanager
def watched(most: int, interrupt: Callable[[], None]) -> Iterator[Watch]:
    """Watch a query while it runs; see the module's text."""
    watch = Watch(most, interrupt)
    thread = threading.Thread(target=watch.look, name="penstock-duckdb-watch", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.end()
        thread.join()
