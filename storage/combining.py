"""Combines requests of many threads: one thread does the work of all that wait.

A commit waits for the disk, which takes as long for sixty commits as for one.  Turning a row into a record takes nearly as
long as turning sixty, since it is all calls into Arrow, each of which also releases the interpreter's lock.  So a thread
that finds nobody at work does the work of all waiting threads, itself included; the first thread that comes meanwhile does
the next round.
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
    """A waiting request.  ``woken`` is held until the request was processed, or until it ``leads``: then its thread
    processes all requests in the queue.
    """

    request: Any
    leads: bool = False
    done: bool = False
    woken: threading.Lock = field(default_factory=_held_lock)


class Combiner:
    """The queue of requests.  Thread-safe.

    Args:
        lock: held during the work; requests that come while it is waited for are included.
    """

    def __init__(self, lock: AbstractContextManager[Any] | None = None) -> None:
        self._lock = nullcontext() if lock is None else lock
        self._queue: list[_Waiter] = []
        self._led = False
        """Whether somebody works, and will wake the next one in the queue."""
        self._guard = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many requests nobody has begun to process."""
        return len(self._queue)

    def ask(self, request: Any, work: Work) -> None:
        """Have ``work`` process this request, possibly with others that wait.

        If the thread is interrupted, its request is withdrawn; if processing has begun, the interruption waits for its
        end.

        Args:
            work: takes requests in order; the same function for every caller.  It leaves in each request its result, and
                leaves untouched those that must be processed alone.
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
