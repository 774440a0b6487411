"""A clock supplied by the program.  Its errors and results are checked, since all of the engine uses it."""

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
            raise _failed(f"says {now} ms, which is not a time")
        return now


def _failed(how: str) -> StorageError:
    return StorageError(f"the clock of the database {how}", action="mend the clock that connect() was given")


def checked_clock(clock: Clock) -> Clock:
    """Wrap a program's own clock so that its failures raise StorageError; Penstock's own clocks are returned unchanged."""
    return clock if isinstance(clock, (SystemClock, ManualClock)) else _CheckedClock(clock)
