"""Works that many threads ask for at once, done by one of them for all.

A commit waits for the disk, which takes sixty as quickly as one; making one row into a record takes nearly as long as making
sixty, since it is all calls into Arrow, each of which also gives up the interpreter's lock.  So a thread that finds nobody
at work does the work of all who wait, itself included, and the first of those who come meanwhile does theirs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
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
    done: bool = False
    woken: threading.Lock = field(default_factory=_held_lock)


class Combiner:
    """Thread-safe.

    Args:
        lock: held while somebody works; who comes while it is waited for is taken in, too.
    """

    def __init__(self, lock: AbstractContextManager[Any] | None = None) -> None:
        self._lock = nullcontext() if lock is None else lock
        self._queue: list[_Waiter] = []
        self._led = False
        """Whether somebody works, and will wake the next one in the queue."""
        self._guard = threading.Lock()

    @property
    def waiting(self) -> int:
        """Requests that wait for somebody to begin with them."""
        return len(self._queue)

    def ask(self, request: Any, work: Work) -> None:
        """Have ``work`` done, on this request and on others that wait.

        If the thread is interrupted, nobody begins with its request any more; if somebody has begun, that is waited for.

        Args:
            work: takes requests, the first of them first; the same for everybody.  It leaves what became of each in it, and
                nothing in those that are to be done alone.
        """
        waiter = _Waiter(request)
        with self._guard:
            self._queue.append(waiter)
            leads = not self._led
            self._led = True
        try:
            if not leads:
                waiter.woken.acquire()
            if leads or waiter.leads:
                self._lead(waiter, work)
        except BaseException:
            with self._guard:
                leads = leads or waiter.leads
                queued = waiter in self._queue
                if queued:
                    self._queue.remove(waiter)
                    if leads:  # whoever is behind must not wait for this one
                        self._wake_next()
            if not (queued or leads):
                while not waiter.done and not waiter.woken.acquire(timeout=1.0):
                    pass
            raise

    def _lead(self, leader: _Waiter, work: Work) -> None:
        """Work for all who wait, then wake the first of those who came meanwhile, to do the same."""
        group: list[_Waiter] = []
        try:
            with self._lock:
                with self._guard:
                    group, self._queue = self._queue, []
                work([waiter.request for waiter in group])
        finally:
            if group:
                with self._guard:
                    self._wake_next()
                for waiter in group:
                    waiter.done = True
                    if waiter is not leader:
                        waiter.woken.release()

    def _wake_next(self) -> None:
        if self._queue:
            self._queue[0].leads = True
            self._queue[0].woken.release()
        else:
            self._led = False
