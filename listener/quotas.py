"""Quotas: a client that sends or reads more bytes per second than its quota gets its answer, and then is not read for as
long as the excess takes.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["Quota"]

_BURST_S = 1.0
"""How much may come in one burst, as seconds of the rate."""
_CLIENTS_MAX = 10_000
_WAIT_MAX_S = 30.0
"""The longest wait for one request, whatever its size."""


class Quota:
    """The quota of each client in bytes per second.  Use it on the event loop.

    Args:
        rate: bytes per second; None: no bound.
        seconds: a monotonic clock.
    """

    def __init__(self, rate: float | None, seconds: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._seconds = seconds
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def charge(self, name: str, size: int) -> int:
        """Count bytes of a client; return for how many milliseconds it must not be read."""
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
