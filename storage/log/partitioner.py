"""Which partition a key belongs to: murmur2 as Kafka's default partitioner computes it, over whole columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...kernels.hashing import murmur2

__all__ = ["murmur2", "partitions_of", "place"]


def partitions_of(keys: Any, partitions: int) -> npt.NDArray[np.int32]:
    """murmur2(key) with its sign bit cleared, modulo ``partitions``; -1 for null keys."""
    if isinstance(keys, pa.ChunkedArray):
        keys = keys.combine_chunks()
    if keys.type != pa.binary():
        keys = keys.cast(pa.binary())
    if partitions == 1:
        chosen = np.zeros(len(keys), np.int32)
    else:
        chosen = ((murmur2(keys) & np.uint32(0x7FFFFFFF)) % np.uint32(partitions)).astype(np.int32)
    if keys.null_count:
        chosen[np.asarray(keys.is_null())] = -1
    return chosen


def place(
    keys: Any | None,
    rows: int,
    partitions: int,
    keyless: int | Callable[[int], npt.NDArray[Any]],
    *,
    asked: npt.NDArray[Any] | None = None,
    hashed: Callable[[Any, int], npt.NDArray[np.int32]] = partitions_of,
) -> npt.NDArray[np.int32]:
    """int32[rows]: the partition that was asked for, else the key's, else the one for records without a key.

    Args:
        keys: binary[rows], or None if no record has one.
        keyless: the partition of records without a key, or a function that gives the partitions of the next so many of them.
        asked: int[rows], -1 where none is asked for.
        hashed: how keys are spread (`Log.partitions_of`).
    """
    if keys is None:
        chosen = np.full(rows, -1, np.int32)
    else:
        chosen = hashed(keys, partitions)
    if asked is not None:
        chosen = np.where(asked >= 0, asked, chosen).astype(np.int32)
    free = np.flatnonzero(chosen < 0)
    if len(free):
        chosen[free] = keyless(len(free)) if callable(keyless) else keyless
    return chosen
