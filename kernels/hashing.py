"""Kafka's hash of keys (source/partition.cpp)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InternalError
from .library import address, function

__all__ = ["murmur2"]

_murmur2 = function("murmur2_keys", "-", "pipip")


def murmur2(keys: Any) -> npt.NDArray[np.uint32]:
    """uint32[n]: the murmur2 hash of each key of a binary Arrow array.  The hash of a null has no meaning."""
    n = len(keys)
    out = np.empty(n, np.uint32)
    _, ends, data = keys.buffers()
    if n == 0 or ends is None:
        return out
    offsets = np.frombuffer(ends, np.int32, n + 1, 4 * keys.offset)
    octets = np.zeros(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    if int(offsets[0]) < 0 or int(offsets[-1]) > len(octets):
        raise InternalError("the offsets of keys lie outside of their bytes")
    _murmur2(address(offsets, np.int32, n + 1), 0, address(octets, np.uint8, 0), n, out.ctypes.data)
    return out
