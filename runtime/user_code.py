"""All calls of users' functions and callbacks go through this module.

Whatever they raise fails only the present row (or call), even if it is not an `Exception`: asyncio's CancelledError,
SystemExit, GeneratorExit, a panic of an extension module.  Only KeyboardInterrupt in the main thread is the user's own.

A step of a query has an `Allowance`.  Loops over rows that call user code check it between rows (`row_check`), so that a
slow function delays neither other queries nor the end of its own.
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
    """A user's function raised an error; the text describes it."""


class StepOverrun(BaseException):
    """A step takes too long, or must end at once; it is undone.  (Not an `Exception`, so that it fails no row.)"""


def call(function: Callable[..., ResultT], *arguments: object) -> ResultT:
    """Call a user's function.

    Raises:
        UserCodeError: it raised an error.
        KeyboardInterrupt: it was raised in the main thread.
    """
    try:
        with interrupts.UserCode():  # a signal ends it at once, and not when the call that it is part of is over
            return function(*arguments)
    except BaseException as error:
        raise raised(error) from error


def raised(error: BaseException) -> UserCodeError:
    """Convert what a user's function raised to an `Exception`, for code that handles those.

    Raises:
        KeyboardInterrupt: it is one, in the main thread.
        StepOverrun: it is one.
    """
    if is_ours(error):
        raise error
    return error if isinstance(error, UserCodeError) else UserCodeError(text_of(error))


def is_ours(error: BaseException) -> bool:
    """Whether an error must always be passed on: the user's interrupt, or the end of a step."""
    if isinstance(error, KeyboardInterrupt):
        return threading.current_thread() is threading.main_thread()
    return isinstance(error, StepOverrun)


def is_the_end(error: BaseException) -> bool:
    """Whether an error that did not pass through this module ends the process, for the thread that would be told."""
    return not isinstance(error, Exception) and threading.current_thread() is threading.main_thread()


def text_of(error: BaseException) -> str:
    """``Kind: message``, even if the message cannot be read; for Penstock's own errors the message."""
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
    """The limits of a step.

    Attributes:
        deadline_s: when it must end (`time.monotonic`); None for no limit.
        ending: it must end at the next row; other threads set it.
        rows: the number of calls of user code so far.
    """

    deadline_s: float | None = None
    ending: bool = False
    rows: int = 0

    def check(self) -> None:
        """Check the limits between two rows.  Raises: StepOverrun."""
        self.rows += 1
        if self.ending or (self.deadline_s is not None and time.monotonic() > self.deadline_s):
            raise StepOverrun


_ALLOWANCE: ContextVar[Allowance | None] = ContextVar("allowance", default=None)


@contextmanager
def allowed(allowance: Allowance | None) -> Iterator[None]:
    """Set the limits for the block, in this context; None: no limits."""
    token = _ALLOWANCE.set(allowance)
    try:
        yield
    finally:
        _ALLOWANCE.reset(token)


def row_check() -> Callable[[], None]:
    """The function to call between rows of user code, see `Allowance.check`."""
    allowance = _ALLOWANCE.get()
    return _nothing if allowance is None else allowance.check


def _nothing() -> None:
    """The check outside of steps: does nothing."""
