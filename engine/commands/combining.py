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

Work = Callable[[Sequence[Any]], Sequence[Any]]


def _held_lock() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(slots=True)
class _Waiter:
    """``woken`` is held until ``result`` is what it will be, or ``leads``: then its thread does all that is in the queue."""

    kind: Any
    request: Any
    work: Work
    result: Any = None
    leads: bool = False
    woken: threading.Lock = field(default_factory=_held_lock)


class Combiner:
    """Thread-safe."""

    def __init__(self) -> None:
        self._queue: list[_Waiter] = []
        self._led = False
        """Whether somebody works, and will wake the next one in the queue."""
        self._guard = threading.Lock()

    def ask(self, kind: Any, request: Any, work: Work) -> Any | None:
        """What ``work`` makes of the request, and of others of this kind (the very same object) that wait.

        None if ``work`` fails: then each has to do it alone, and whoever is at fault is told so.

        Args:
            work: takes requests, gives as many results.
        """
        waiter = _Waiter(kind, request, work)
        with self._guard:
            leads = not self._led
            self._led = True
            self._queue.append(waiter)
        try:
            if not leads:
                waiter.woken.acquire()
        except BaseException:  # interrupted: whoever is behind must not wait for this one
            with self._guard:
                if waiter in self._queue:
                    self._queue.remove(waiter)
                    if waiter.leads:
                        self._wake_next()
            raise
        if leads or waiter.leads:
            self._lead(waiter)
        return waiter.result

    def _lead(self, leader: _Waiter) -> None:
        with self._guard:
            group, self._queue = self._queue, []
        try:
            by_kind: dict[int, list[_Waiter]] = {}
            for waiter in group:
                by_kind.setdefault(id(waiter.kind), []).append(waiter)
            for alike in by_kind.values():
                _do(alike)
        finally:
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


def _do(alike: Sequence[_Waiter]) -> None:
    try:
        results = alike[0].work([waiter.request for waiter in alike])
    except Exception:  # not swallowed: each does its own again, and meets what is wrong with it
        return
    for waiter, result in zip(alike, results, strict=True):
        waiter.result = result
