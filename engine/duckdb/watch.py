"""Limits the memory that DuckDB does not count itself: the texts that functions make.

While a query runs, a thread checks the size of the process, and interrupts the query if it has grown too much.  DuckDB
notices an interrupt only between two operators, so this does not limit what one expression makes from one block of rows.
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
"""How many times its limit a query may use: once as DuckDB counts it, and once for what DuckDB does not count."""


class Watch:
    """Watches a query.

    Attributes:
        exceeded: whether the query was interrupted because it used too much memory.
    """

    def __init__(self, most: int, interrupt: Callable[[], None]) -> None:
        self.exceeded = False
        self._most = most
        self._interrupt = interrupt
        self._ended = threading.Event()

    def look(self) -> None:
        """Check the memory until the query ends."""
        first = resident_bytes()
        while first is not None and not self._ended.wait(_LOOK_S):
            now = resident_bytes()
            if now is not None and now - first > _BLOCKS * self._most:
                self.exceeded = True
                self._interrupt()

    def end(self) -> None:
        self._ended.set()


def resident_bytes() -> int | None:
    """The memory of the process in bytes; None if it is not known."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


@contextmanager
def watched(most: int, interrupt: Callable[[], None]) -> Iterator[Watch]:
    """Watch a query while the block runs, see the text of this module."""
    watch = Watch(most, interrupt)
    thread = threading.Thread(target=watch.look, name="penstock-duckdb-watch", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.end()
        thread.join()
