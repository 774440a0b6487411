"""The one door through which functions and callbacks of users are called.

Whatever they raise is a failure of the row (or of the call) in hand and of nothing else, also what is no `Exception`:
asyncio's CancelledError, SystemExit, GeneratorExit, a panic of an extension module.  KeyboardInterrupt in the main thread
alone is the user's own.

A step of a query has an `Allowance`.  Loops over rows that call user code ask it between rows (`row_check`), so that one
slow function holds back neither other queries nor the end of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from ..errors import PenstockError
from ..storage import interrupts

ResultT = TypeVar("ResultT")


class UserCodeError(Exception):
    """A user's function raised: the text says what."""


class StepOverrun(BaseException):
    """A step takes too long, or is to end at once: it is taken back.  (No `Exception`, so that no row is failed by it.)"""


def call(function: Callable[..., ResultT], *arguments: object) -> ResultT:
    """Call a user's function.

    Raises:
        UserCodeError: it raised.
        KeyboardInterrupt: that was raised in the main thread.
    """
    try:
        with interrupts.USER_CODE:  # a signal ends it at once, and not when the call that it is part of is over
            return function(*arguments)
    except BaseException as error:
        raise raised(error) from error


def raised(error: BaseException) -> UserCodeError:
    """What a user's function raised, as something that code which handles an `Exception` can handle.

    Raises:
        KeyboardInterrupt: it is that, in the main thread.
        StepOverrun: it is that.
    """
    if is_ours(error):
        raise error
    return error if isinstance(error, UserCodeError) else UserCodeError(text_of(error))


def is_ours(error: BaseException) -> bool:
    """Whether an error is to be passed on whoever caused it: the user's interrupt, or the end of a step."""
    if isinstance(error, KeyboardInterrupt):
        return threading.current_thread() is threading.main_thread()
    return isinstance(error, StepOverrun)


def is_the_end(error: BaseException) -> bool:
    """Whether an error that did not come through `user_code`'s door ends the process: on the thread that would be told."""
    return not isinstance(error, Exception) and threading.current_thread() is threading.main_thread()


def text_of(error: BaseException) -> str:
    """``Kind: message``, also if the message cannot be had; of our own errors the message."""
    try:
        message = str(error)
    except BaseException as inner:
        if is_ours(inner):
            raise
        message = "(it has no text)"
    if isinstance(error, PenstockError | UserCodeError):
        return message
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


@dataclass(slots=True)
class Allowance:
    """What a step may take.

    Attributes:
        deadline_s: when it is to end (`time.monotonic`); None if it may take any time.
        ending: it is to end at the next row: set by other threads.
        rows: calls of user code so far.
    """

    deadline_s: float | None = None
    ending: bool = False
    rows: int = 0

    def check(self) -> None:
        """Between two rows.  Raises: StepOverrun."""
        self.rows += 1
        if self.ending or (self.deadline_s is not None and time.monotonic() > self.deadline_s):
            raise StepOverrun


_ALLOWANCE: ContextVar[Allowance | None] = ContextVar("allowance", default=None)


@contextmanager
def allowed(allowance: Allowance | None) -> Iterator[None]:
    """What runs inside, in this context, may take so much; None: anything."""
    token = _ALLOWANCE.set(allowance)
    try:
        yield
    finally:
        _ALLOWANCE.reset(token)


def row_check() -> Callable[[], None]:
    """To be called between rows that user code works on, see `Allowance.check`."""
    allowance = _ALLOWANCE.get()
    return _nothing if allowance is None else allowance.check


def _nothing() -> None:
    """Outside of steps."""
