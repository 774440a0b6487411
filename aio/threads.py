"""The threads of a connection: what blocks runs there, and any event loop waits for it.

A connection belongs to no loop.  Loops may use it one after the other, or side by side on threads of their own: what is kept
between two calls is a future of a thread, and only the wait for it belongs to a loop.
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
"""How many calls of one connection run at once.  The engine runs one statement at a time anyway."""
WAITS_MAX = 64
"""How many calls may wait for queries at once (`wait`, ``sql(after=)``, `wait_idle`).  They do not block other calls."""


class Threads:
    """The threads of a connection.  Thread-safe."""

    def __init__(self) -> None:
        self._calls = ThreadPoolExecutor(CALLS_MAX, thread_name_prefix="penstock-async")
        self._waits = ThreadPoolExecutor(WAITS_MAX, thread_name_prefix="penstock-async-wait")
        self._process = os.getpid()
        self._over = False

    def submit(self, function: Callable[[], _Returned], *, waits: bool = False) -> Future[_Returned]:
        """Begin a call on a thread.

        A closed database says so at once, on the caller's thread; so does one that was opened before a fork, whose threads
        are not in this process.

        Args:
            waits: the function may wait for queries.
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
        """Call a function on a thread.

        Args:
            waits: the function may wait for queries.
            undo: gets, on a thread, the function's result if the caller was cancelled meanwhile.

        Raises:
            StatementError: no loop of asyncio is running.
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
        """Let the threads end when they have done what was begun."""
        self._over = True
        self._calls.shutdown(wait=False)
        self._waits.shutdown(wait=False)


async def awaited(future: Future[_Returned]) -> _Returned:
    """Wait for what a thread does, on whichever loop is running.  A cancellation ends the waiting, and not the work.

    Raises:
        StatementError: no loop of asyncio is running.
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
    """Undo what a call has made, when it has."""
    try:
        made = future.result()
    except BaseException:  # it has made nothing, and whoever asked for it is gone
        return
    undo(made)
