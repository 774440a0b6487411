"""The wall clock.  Only this module reads it, so that everything else can be replayed and tested.

Stream time, windows and joins do not use it; they go by the timestamps of records.  The wall clock gives the timestamps of
records inserted without one, ``UNIX_TIMESTAMP()`` and ``UNIX_DATE()``, and paces background work.

The current clock is a context variable.  A database runs its queries inside ``with use_clock(its clock):``, and so does a
worker thread, which starts with an empty context.  Elsewhere it is the system's clock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Clock(Protocol):
    """A source of the current time."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch.  May go backwards, since the system's clock can be set."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that moves only when told to; for tests, simulations and exact replays."""

    def __init__(self, now_ms: int = 0) -> None:
        self._now_ms = now_ms
        self._lock = threading.Lock()

    def now_ms(self) -> int:
        return self._now_ms

    def set(self, now_ms: int) -> None:
        """Jump to an instant, forwards or backwards."""
        with self._lock:
            self._now_ms = now_ms

    def advance(self, by_ms: int) -> int:
        """Move by an amount and return the new time."""
        with self._lock:
            self._now_ms += by_ms
            return self._now_ms


SYSTEM_CLOCK = SystemClock()

_current: ContextVar[Clock] = ContextVar("penstock_clock", default=SYSTEM_CLOCK)


def now_ms() -> int:
    """Milliseconds since the epoch, by the current clock."""
    return _current.get().now_ms()


@contextmanager
def use_clock(clock: Clock) -> Iterator[Clock]:
    """Use a clock inside the block (in this thread or task, and in what it awaits; not in threads that it starts)."""
    token = _current.set(clock)
    try:
        yield clock
    finally:
        _current.reset(token)
