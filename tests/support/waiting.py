"""Waiting for what other threads and processes do."""

import time
from collections.abc import Callable

PATIENCE_S = 60.0
"""How long a loaded machine may need for what an idle one does in a moment, in seconds."""


def until(holds: Callable[[], object], seconds: float = PATIENCE_S) -> bool:
    """Return True as soon as `holds()` is true.

    Raises: AssertionError when it is not within so many seconds.
    """
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"it did not come to that within {seconds:g} s"
        time.sleep(0.01)
    return True
