"""The threads of an asyncio connection: blocking calls run here, and any event loop can wait for their results.

A connection is not bound to an event loop.  Several loops may use it, one after the other or at once on threads of their
own.  For that, only `concurrent.futures.Future`s are kept between calls; each wait makes an asyncio future of its own loop.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import TypeVar

from ..runtime.wakes import running_loop

__all__ = ["CALLS_MAX", "WAITS_MAX", "Threads", "awaited"]

_Returned = TypeVar("_Returned")

CALLS_MAX = 8
"""The largest number of calls of one connection that run at once.  The engine runs one statement at a time in any case."""
WAITS_MAX = 64
"""The largest number of calls that wait for queries at once (`wait`, ``sql(after=)``, `wait_idle`).  They have threads of
their own, so they do not hold up other calls."""


class Threads:
    """The threads of a connection.  Thread-safe."""

    def __init__(self) -> None:
        self._calls = ThreadPoolExecutor(CALLS_MAX, thread_name_prefix="penstock-async")
        self._waits = ThreadPoolExecutor(WAITS_MAX, thread_name_prefix="penstock-async-wait")
        self._process = os.getpid()
        self._over = False

    def submit(self, function: Callable[[], _Returned], *, waits: bool = False) -> Future[_Returned]:
        """Start a function on a thread and return the future of its result.

        After `shut_down`, and in a child process of the one that made this object (a fork does not copy threads), the
        function runs on the caller's thread instead.  Functions of a closed database raise their error there at once.

        Args:
            waits: the function may wait for queries; it then takes one of the `WAITS_MAX` threads.
        """
        if not self._over and self._process == os.getpid():
            pool = self._waits if waits else self._calls
            with suppress(RuntimeError):  # it was closed meanwhile, or the interpreter is ending
                return pool.submit(copy_context().run, function)
        done: Future[_Returned] = Future()
        done.set_result(function())
        return done

    async def call(
        self,
        function: Callable[[], _Returned],
        *,
        waits: bool = False,
        undo: Callable[[_Returned], object] = lambda made: None,
    ) -> _Returned:
        """Run a function on a thread, wait for it and return its result.

        Args:
            waits: the function may wait for queries.
            undo: called on a thread with the function's result if the caller is cancelled while the function runs.

        Raises:
            StatementError: no asyncio event loop is running.
            BaseException: whatever the function raises.
        """
        running_loop()
        future = self.submit(function, waits=waits)
        try:
            return await awaited(future)
        except asyncio.CancelledError:
            if not future.cancel():
                self.submit(partial(_undone, undo, future))
            raise

    def shut_down(self) -> None:
        """Take no more calls.  The threads end when they have run those they have; this does not wait for them."""
        self._over = True
        self._calls.shutdown(wait=False)
        self._waits.shutdown(wait=False)


async def awaited(future: Future[_Returned]) -> _Returned:
    """Wait on the running event loop for a thread's future and return its result.

    A cancellation ends the wait; the thread goes on.

    Raises:
        StatementError: no asyncio event loop is running.
        BaseException: the future's error.
    """
    loop = running_loop()
    waiter: asyncio.Future[None] = loop.create_future()

    def settle() -> None:
        if not waiter.done():
            waiter.set_result(None)

    def tell(_: object) -> None:
        with suppress(RuntimeError):  # the loop is closed, and with it whoever waited
            loop.call_soon_threadsafe(settle)

    if not future.done():
        future.add_done_callback(tell)
        await waiter
    try:
        return future.result()
    finally:
        del future  # an error holds this frame


def _undone(undo: Callable[[_Returned], object], future: Future[_Returned]) -> None:
    """Call ``undo`` with the future's result, unless it has an error."""
    try:
        made = future.result()
    except BaseException:  # it has made nothing, and whoever asked for it is gone
        return
    undo(made)
