"""Wakes event loops: a coroutine waits for what other threads do, without a thread of its own.

`Wakes` is a set of callbacks, each called once; `LogWakes` calls them for commits, from one thread for everyone who waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Callable
from contextvars import copy_context

from ..errors import StatementError
from ..storage.log.protocol import Log

_LOOK_S = 0.5
"""The longest wait for commits, in seconds, before the thread checks whether anybody is still waiting."""


def running_loop() -> asyncio.AbstractEventLoop:
    """The event loop that is running.  Raises: StatementError, if it is none of asyncio."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise StatementError(
            "no event loop of asyncio is running",
            suggestion="Await it inside asyncio.run(..); anyio does with its asyncio backend, trio's loop does not.",
        ) from None


class Wakes:
    """Callbacks for the next event.  Each is called once, on the thread that causes the event.  Thread-safe."""

    def __init__(self) -> None:
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._callbacks)

    def add(self, callback: Callable[[], None]) -> int:
        """Add a callback for the next event; returns a number to remove it with.

        Trap: earlier events are not reported.  Add first, then check.
        """
        with self._lock:
            number = next(self._numbers)
            self._callbacks[number] = callback
        return number

    def remove(self, number: int) -> None:
        """Remove a callback; does nothing if it was called."""
        with self._lock:
            self._callbacks.pop(number, None)

    def wake(self) -> None:
        """Call all callbacks."""
        if self._callbacks:
            with self._lock:
                callbacks, self._callbacks = self._callbacks, {}
            for callback in callbacks.values():
                callback()

    async def wait(self, timeout_s: float | None, happened: Callable[[], bool]) -> bool:
        """Wait on the running event loop until the next event; return at once if the awaited state is already there.

        Args:
            timeout_s: None waits for ever.

        Returns:
            False if the time was up first.

        Raises:
            StatementError: no loop of asyncio is running.
        """
        loop = running_loop()
        waiter: asyncio.Future[None] = loop.create_future()

        def settle() -> None:
            if not waiter.done():
                waiter.set_result(None)

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and with it whoever waited
                loop.call_soon_threadsafe(settle)

        number = self.add(wake)
        try:
            if happened():
                return True
            await asyncio.wait_for(waiter, timeout_s)
        except TimeoutError:
            return False
        finally:
            self.remove(number)
        return True


class LogWakes:
    """Wakes coroutines that wait for commits.  One thread waits for the log, while there are any."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._wakes = Wakes()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    async def wait(self, epoch: int, timeout_s: float) -> None:
        """Like `Log.wait`: until there are commits after ``epoch``, the time is up, or this is closed."""

        def happened() -> bool:
            self._start(epoch)
            return self._closed or self._log.epoch != epoch

        await self._wakes.wait(timeout_s, happened)

    def _start(self, epoch: int) -> None:
        with self._lock:
            if self._thread is None and not self._closed:
                run = copy_context().run
                self._thread = threading.Thread(target=run, args=(self._run, epoch), name="penstock-loop-wakes", daemon=True)
                self._thread.start()

    def _run(self, epoch: int) -> None:
        idle = 0
        while True:
            self._log.wait(epoch, _LOOK_S, lambda: self._closed)
            now = self._log.epoch
            if now != epoch or self._closed:
                epoch = now
                self._wakes.wake()
            idle = 0 if len(self._wakes) else idle + 1
            with self._lock:
                if self._closed or (idle > 1 and not len(self._wakes)):
                    self._thread = None
                    return

    def close(self) -> None:
        """End the thread and wake everyone who waits."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._log.wake()
        if thread is not None:
            thread.join()
        self._wakes.wake()
