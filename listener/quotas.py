"""Quotas in bytes per second.  A client that exceeds its quota gets its answer; then its requests are not read until its
average rate is within the quota again.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["Quota"]

_BURST_S = 1.0
"""The largest burst that is not throttled, in seconds of the rate."""
_CLIENTS_MAX = 10_000
_WAIT_MAX_S = 30.0
"""The longest wait after one request, in seconds, whatever its size."""


class Quota:
    """A quota that holds for each client on its own.  Use it on the event loop's thread.

    Args:
        rate: bytes per second; None: no bound.
        seconds: a monotonic clock, in seconds.
    """

    def __init__(self, rate: float | None, seconds: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._seconds = seconds
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def charge(self, name: str, size: int) -> int:
        """Count ``size`` bytes of a client.  Return for how many milliseconds its requests must not be read."""
        if self._rate is None:
            return 0
        now_s = self._seconds()
        left, at_s = self._left.get(name, (self._rate * _BURST_S, now_s))
        left = min(self._rate * _BURST_S, left + (now_s - at_s) * self._rate) - size
        left = max(left, -_WAIT_MAX_S * self._rate)
        self._left[name] = (left, now_s)
        self._left.move_to_end(name)
        while len(self._left) > _CLIENTS_MAX:
            self._left.popitem(last=False)
        return 0 if left >= 0 else int(-left / self._rate * 1000) + 1
