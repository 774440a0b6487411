"""The wall clock.  This is the only module that reads it, so that everything else can be replayed and tested.

Stream time, windows and joins never look here: they go by the timestamps of records.  What does look here are the
timestamps of records inserted without one, ``UNIX_TIMESTAMP()`` and ``UNIX_DATE()``, and the pacing of background work.

The clock in force is a context variable: a database runs its queries inside ``with use_clock(its clock):``, and a
worker thread (which starts with an empty context) does the same on entry.  Elsewhere it is the system's clock.
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
        """Milliseconds since the epoch.  May go backwards: the system's clock can be set."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that stands still until it is told otherwise; for tests, simulations and exact replays."""

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


def current_clock() -> Clock:
    """The clock in force here."""
    return _current.get()


def now_ms() -> int:
    """Milliseconds since the epoch, by the clock in force."""
    return _current.get().now_ms()


@contextmanager
def use_clock(clock: Clock) -> Iterator[Clock]:
    """Put a clock in force for the block (in this thread or task, and in what it awaits; not in threads it starts)."""
    token = _current.set(clock)
    try:
        yield clock
    finally:
        _current.reset(token)
