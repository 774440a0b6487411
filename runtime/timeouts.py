"""Checks timeouts given by programs: a value that is not a number of seconds is an error, not an endless wait."""

from __future__ import annotations

import math
import threading
import time

from ..errors import PenstockError, StatementError

__all__ = ["checked_timeout", "deadline_after"]


def checked_timeout(timeout_s: object, error: type[PenstockError] = StatementError) -> float | None:
    """Check a timeout in seconds.  None means for ever, and so do infinity and numbers too large for a clock.

    Raises:
        StatementError, or ``error``: it is neither a number nor None.
    """
    if timeout_s is None:
        return None
    if not isinstance(timeout_s, (int, float)) or isinstance(timeout_s, bool) or math.isnan(timeout_s):
        raise error(f"a time to wait is a number of seconds, not {timeout_s!r:.100}")
    return None if timeout_s > threading.TIMEOUT_MAX / 2 else float(timeout_s)


def deadline_after(timeout_s: object) -> float | None:
    """The end of a wait, by `time.monotonic`; None for never.  Raises: StatementError, see `checked_timeout`."""
    seconds = checked_timeout(timeout_s)
    return None if seconds is None else time.monotonic() + seconds
