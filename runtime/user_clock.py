"""A clock that a program brings along: what it raises or gives is checked, since everybody asks it."""

from __future__ import annotations

import operator

from ..errors import StorageError
from ..limits import TIMESTAMP_MS_MAX
from . import user_code
from .clock import Clock, ManualClock, SystemClock

__all__ = ["checked_clock"]


class _CheckedClock:
    """See `checked_clock`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now_ms(self) -> int:
        try:
            now = operator.index(user_code.call(self._clock.now_ms))
        except user_code.UserCodeError as error:
            raise _failed(f"failed: {error}") from error
        except TypeError as error:
            raise _failed("gives no whole number of milliseconds") from error
        if not -TIMESTAMP_MS_MAX <= now <= TIMESTAMP_MS_MAX:
            raise _failed(f"says {now} ms, which is no time")
        return now


def _failed(how: str) -> StorageError:
    return StorageError(f"the clock of the database {how}", action="mend the clock that connect() was given")


def checked_clock(clock: Clock) -> Clock:
    """The clock, or, if it is a program's own, what asks it and raises a StorageError where it fails."""
    return clock if isinstance(clock, (SystemClock, ManualClock)) else _CheckedClock(clock)
