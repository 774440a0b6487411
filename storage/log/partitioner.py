"""Which partition a key belongs to: murmur2 as Kafka's default partitioner computes it, over whole columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["murmur2", "partitions_of", "place"]

_SEED = np.uint32(0x9747B28C)
_M = np.uint32(0x5BD1E995)


_TOGETHER_MIN = 16
"""Keys from which one NumPy call for a word of each is quicker than the words one by one."""


def _mixed(start: int, words: npt.NDArray[np.uint32]) -> int:
    """The hash after some more words of one key."""
    k = words * _M
    k ^= k >> np.uint32(24)
    k *= _M
    hashed, multiplier = start, int(_M)
    for word in k.tolist():
        hashed = hashed * multiplier & 0xFFFFFFFF ^ word
    return hashed


def murmur2(keys: Any) -> npt.NDArray[np.uint32]:
    """The 32-bit murmur2 hash of each key of binary[n]; nulls hash as empty keys.

    The keys are taken four bytes at a time, all together: longest first, so those not yet at their end are a prefix.
    """
    n = len(keys)
    if n == 0:
        return np.zeros(0, np.uint32)
    offsets = np.frombuffer(keys.buffers()[1], np.int32)[keys.offset : keys.offset + n + 1].astype(np.int64)
    data_buffer = keys.buffers()[2]
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer is not None and data_buffer.size else np.zeros(0, np.uint8)
    # Whole words and the tail are read as 4 bytes wherever they start; 4 more bytes keep that inside the array.
    first, last = int(offsets[0]), int(offsets[-1])
    padded = np.zeros(last - first + 4, np.uint8)
    padded[: last - first] = data[first:last]
    words: npt.NDArray[np.uint32] = np.ndarray((len(padded) - 3,), "<u4", padded.data, strides=(1,))
    starts = offsets[:-1] - first
    lengths = np.diff(offsets)
    if keys.null_count:
        lengths = np.where(np.asarray(keys.is_valid()), lengths, 0)

    same_length = bool((lengths == lengths[0]).all())
    order = np.arange(n) if same_length else np.argsort(-lengths, kind="stable")
    starts, lengths = starts[order], lengths[order]
    word_counts = lengths >> 2
    hashes: npt.NDArray[np.uint32] = _SEED ^ lengths.astype(np.uint32)
    longest = int(word_counts[0])
    # active[i]: how many keys have more than i words
    active = np.searchsorted(-word_counts, -np.arange(longest), side="left") if longest else np.zeros(0, np.int64)
    for i in range(longest):
        count = int(active[i])
        if count < _TOGETHER_MIN:  # words left in few, long keys: a call per word would cost more than the words
            for row in range(count):
                start = int(starts[row])
                left = words[start + 4 * i : start + 4 * int(word_counts[row]) : 4]
                hashes[row] = _mixed(int(hashes[row]), left)
            break
        k = words[starts[:count] + 4 * i] * _M
        k ^= k >> np.uint32(24)
        k *= _M
        hashes[:count] *= _M
        hashes[:count] ^= k
    rest = lengths & 3
    tails = words[starts + 4 * word_counts] & ((np.uint32(1) << (8 * rest).astype(np.uint32)) - np.uint32(1))
    hashes = np.where(rest > 0, (hashes ^ tails) * _M, hashes)
    hashes ^= hashes >> np.uint32(13)
    hashes *= _M
    hashes ^= hashes >> np.uint32(15)
    if same_length:
        return hashes
    result = np.empty(n, np.uint32)
    result[order] = hashes
    return result


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
    """int32[rows]: the partition that was asked for, else that of the key, else what is said of records without a key.

    Args:
        keys: binary[rows], or None if no record has one.
        keyless: the partition of records without a key, or what gives the next so many of them theirs.
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
