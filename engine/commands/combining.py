"""Small works that many threads ask for at once, done by one of them for all.

Making one row into a record takes nearly as long as making sixty: it is all calls into Arrow, each of which also gives up
the interpreter's lock, so that threads which do the same at the same time mostly wait for each other.  A thread that finds
nobody at work does the work of all who wait, itself included; the first of those who come meanwhile does theirs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Combiner"]

Work = Callable[[Sequence[Any]], None]


def _held_lock() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(slots=True, eq=False)
class _Waiter:
    """``woken`` is held until the request was worked on, or ``leads``: then its thread works on all that is in the queue."""

    request: Any
    leads: bool = False
    woken: threading.Lock = field(default_factory=_held_lock)


class Combiner:
    """Thread-safe."""

    def __init__(self) -> None:
        self._queue: list[_Waiter] = []
        self._led = False
        """Whether somebody works, and will wake the next one in the queue."""
        self._guard = threading.Lock()

    def ask(self, request: Any, work: Work) -> None:
        """Have ``work`` done, on this request and on others that wait.

        Args:
            work: takes requests, the first of them first; the same for everybody.  It leaves what became of each in it, and
                nothing in those that are to be done alone.
        """
        waiter = _Waiter(request)
        with self._guard:
            leads = not self._led
            self._led = True
            self._queue.append(waiter)
        try:
            if not leads:
                waiter.woken.acquire()
            if leads or waiter.leads:
                self._lead(waiter, work)
        except BaseException:  # interrupted: whoever is behind must not wait for this one
            with self._guard:
                if waiter in self._queue:
                    self._queue.remove(waiter)
                    if leads or waiter.leads:
                        self._wake_next()
            raise

    def _lead(self, leader: _Waiter, work: Work) -> None:
        group: list[_Waiter] = []
        try:
            with self._guard:
                group, self._queue = self._queue, []
            work([waiter.request for waiter in group])
        finally:
            if group:
                with self._guard:
                    self._wake_next()
                for waiter in group:
                    if waiter is not leader:
                        waiter.woken.release()

    def _wake_next(self) -> None:
        if self._queue:
            self._queue[0].leads = True
            self._queue[0].woken.release()
        else:
            self._led = False
