"""Makes Ctrl-C, and other signals whose handlers may raise, wait while a call works.

Python runs signal handlers in the main thread between any two instructions.  An exception from there could leave a lock
taken, or a commit half told.  So a call that takes locks or changes anything runs inside `DEFERRED`: a signal that comes
meanwhile is noted, and its handler runs when the call is over, or where the call asks for it (`check`): where it waits, or
between two parts of its work, so that Ctrl-C need not wait as long as the disk takes.

Other threads never run handlers; for them all of this costs and does nothing.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` without enums, which take thirty times as long
import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from inspect import isasyncgenfunction, isgeneratorfunction
from threading import get_ident, main_thread
from types import FrameType, FunctionType, TracebackType
from typing import Any, ParamSpec, TypeVar

__all__ = [
    "DEFERRED",
    "TimeLimitReached",
    "UserCode",
    "acquire",
    "check",
    "deferring",
    "doors",
    "stopping",
    "time_limit",
    "wait_for",
    "wait_for_event",
]

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C")

_NAMES = "SIGINT SIGBREAK SIGTERM SIGHUP SIGQUIT SIGALRM SIGVTALRM SIGPROF SIGUSR1 SIGUSR2 SIGXCPU"
_SIGNALS = tuple(int(getattr(signal, name)) for name in _NAMES.split() if hasattr(signal, name))
"""The signals for which programs have handlers that raise.  SIGINT is first in the list: it is the last to raise again."""

_PAUSE_S = 0.05
"""How often a waiting call looks for signals, in seconds: short enough not to be noticed after Ctrl-C."""


class _State:
    """The state of the main thread; no other thread uses it."""

    __slots__ = ("depth", "pending", "raising", "saved", "stops")

    def __init__(self) -> None:
        self.depth = 0
        self.pending: list[tuple[int, Any]] = []
        """Signals that wait, with their handlers."""
        self.saved: list[tuple[int, Any]] = []
        """The handlers in whose place `_note` stands."""
        self.raising = 0
        """The depth at which the user's code runs, which may be interrupted anywhere; 0 if none runs.  Penstock's
        calls from this code are deeper."""
        self.stops: list[Callable[[], object]] = []


_state = _State()


def _note(number: int, frame: FrameType | None) -> None:
    """What handles signals meanwhile."""
    handler = next((h for n, h in _state.saved if n == number), None)
    if handler is None:
        return
    if 0 < _state.raising == _state.depth:
        _state.raising = 0
        handler(number, frame)
        return
    _state.pending.append((number, handler))
    for stop in _state.stops:
        stop()


def _take_over() -> None:
    saved = [(n, h) for n in _SIGNALS if (h := _signal.getsignal(n)) is not _note and callable(h)]
    try:
        _state.saved = saved
        for number, _ in saved:
            _signal.signal(number, _note)
    except ValueError:  # an interpreter that is not the process's main one gets no signals
        _state.saved = []
    except BaseException:
        _give_back(_state.saved)
        raise


def _give_back(saved: list[tuple[int, Any]]) -> None:
    if saved:
        number, handler = saved[-1]
        try:
            if _signal.getsignal(number) is _note:  # (it may have been set anew in between: then that counts)
                _signal.signal(number, handler)
        finally:  # a handler that is back raises when it likes
            del saved[-1:]
            _give_back(saved)


_forks_itself = True
"""Whether the main thread is the one that forks."""


def _before_fork() -> None:
    global _forks_itself
    _forks_itself = get_ident() == main_thread().ident


def _in_child() -> None:
    """The thread that forked is the child's main thread.  If it was another one, calls of the old main thread, which is not
    there, never end.
    """
    if _forks_itself:
        return
    _state.depth = _state.raising = 0
    _state.pending, _state.stops = [], []
    _give_back(_state.saved)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_in_child)


class TimeLimitReached(Exception):
    """The time of a call is over, see `time_limit`."""


_limits = threading.local()


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Limit this thread's time inside the context: the first `check` after so many seconds raises `TimeLimitReached`."""
    outer = getattr(_limits, "end_s", None)
    end_s = time.monotonic() + seconds
    _limits.end_s = end_s if outer is None else min(outer, end_s)
    try:
        yield
    finally:
        _limits.end_s = outer


def check() -> None:
    """Run the handlers of waiting signals.

    It raises what they raise, usually KeyboardInterrupt; or `TimeLimitReached`, if the thread's time is over.  Call it
    where a call waits, or between two parts of its work, where the call may end.
    """
    end_s = getattr(_limits, "end_s", None)
    if end_s is not None and time.monotonic() > end_s:
        raise TimeLimitReached
    if _state.pending and get_ident() == main_thread().ident:
        _deliver()


def _deliver() -> None:
    while _state.pending:
        number, handler = _state.pending.pop(0)
        handler(number, sys._getframe(1))


class _Deferred:
    """Signals wait until the end of the ``with``.  Reentrant."""

    __slots__ = ()

    def __enter__(self) -> None:
        if get_ident() != main_thread().ident:
            return
        if not _state.depth:
            _take_over()
        _state.depth += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if get_ident() != main_thread().ident:
            return
        if _state.depth > 1:
            _state.depth -= 1
            if _state.pending and _state.raising == _state.depth:  # back in the user's code
                _deliver()
            return
        try:
            _state.depth = 0
            _give_back(_state.saved)
        finally:
            if _state.pending:
                _deliver()


class UserCode:
    """Inside `DEFERRED`: user code runs.  It may be interrupted anywhere, except in the calls of Penstock that it makes."""

    __slots__ = ("_outer",)

    def __enter__(self) -> None:
        self._outer = 0
        if get_ident() == main_thread().ident:
            check()
            self._outer = _state.raising
            _state.raising = _state.depth

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if get_ident() == main_thread().ident:
            _state.raising = self._outer


DEFERRED = _Deferred()


def deferring(function: Callable[P, T]) -> Callable[P, T]:
    """The function, running inside `DEFERRED`."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        with DEFERRED:
            return function(*args, **kwargs)

    return call


def doors(*, but: Collection[str] = ()) -> Callable[[type[C]], type[C]]:
    """A class decorator that makes public methods and properties `deferring`.  Generators, which run in pieces, are left
    out.

    Args:
        but: names of methods that are safe without, and faster.
    """

    def guarded(cls: type[C]) -> type[C]:
        for name, value in list(vars(cls).items()):
            if name in but or (name.startswith("_") and name not in ("__enter__", "__exit__", "__len__", "__getitem__")):
                continue
            if isinstance(value, FunctionType) and not isgeneratorfunction(value) and not isasyncgenfunction(value):
                setattr(cls, name, deferring(value))
            elif isinstance(value, property) and value.fget is not None:
                setattr(cls, name, property(deferring(value.fget), value.fset, value.fdel, value.__doc__))
        return cls

    return guarded


@contextmanager
def stopping(stop: Callable[[], object]) -> Iterator[None]:
    """A context around a call that does not know signals: a signal calls ``stop`` at once before it waits.

    The stopped call ends in an error of its own kind; a `check` after it raises if a signal was the reason.
    """
    if get_ident() != main_thread().ident:
        yield
        return
    _state.stops.append(stop)
    try:
        yield
    finally:
        _state.stops.remove(stop)


# ------------------------------------------------------------------------------------------------------- waiting


def wait_for(condition: threading.Condition, holds: Callable[[], bool], timeout_s: float | None = None) -> bool:
    """``condition.wait_for`` that a signal ends.  The condition is held before and after."""
    return _sliced(lambda left_s: condition.wait_for(holds, left_s), timeout_s)


def wait_for_event(event: threading.Event, timeout_s: float | None = None) -> bool:
    """``event.wait`` that a signal ends."""
    return event.is_set() or _sliced(event.wait, timeout_s)


def acquire(lock: Any, timeout_s: float | None = None) -> bool:
    """``acquire`` of a lock or semaphore that a signal ends."""
    return bool(lock.acquire(blocking=False)) or _sliced(lambda left_s: lock.acquire(timeout=left_s), timeout_s, -1)


def _sliced(wait: Callable[[Any], bool], timeout_s: float | None, for_ever: float | None = None) -> bool:
    if get_ident() != main_thread().ident or not _state.depth:
        return bool(wait(for_ever if timeout_s is None else timeout_s))
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        check()
        left_s = _PAUSE_S if deadline_s is None else min(_PAUSE_S, deadline_s - time.monotonic())
        if wait(max(left_s, 0.0)):
            return True
        if deadline_s is not None and time.monotonic() >= deadline_s:
            return False
