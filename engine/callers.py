"""Finds variables of the calling program: data frames that a query names without registering them."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from .loading import as_arrow

_FRAMES = {"pandas", "polars", "pyarrow"}


def frame_of_caller(name: str) -> Any:
    """The data frame or Arrow table of this name in the nearest calling function outside of Penstock; None without one."""
    frame: FrameType | None = sys._getframe(1)
    package = __name__.partition(".")[0]
    while frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == package:
        frame = frame.f_back
    if frame is None:
        return None
    found = frame.f_locals.get(name, frame.f_globals.get(name))
    if type(found).__module__.partition(".")[0] not in _FRAMES or not hasattr(found, "columns"):
        return None
    return as_arrow(found)
