"""Keys go where Kafka's default partitioner puts them."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa

from penstock.storage.log.partitioner import murmur2, partitions_of

KNOWN = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


def one_by_one(key: bytes) -> int:
    """The hash of one key, step by step."""
    mask = 0xFFFFFFFF
    h = 0x9747B28C ^ len(key)
    for i in range(0, len(key) - 3, 4):
        k = int.from_bytes(key[i : i + 4], "little") * 0x5BD1E995 & mask
        k = (k ^ k >> 24) * 0x5BD1E995 & mask
        h = (h * 0x5BD1E995 & mask) ^ k
    tail = key[len(key) & ~3 :]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * 0x5BD1E995 & mask
    h = (h ^ h >> 13) * 0x5BD1E995 & mask
    return h ^ h >> 15


def test_known_hashes() -> None:
    """Values that Kafka's own hash gives."""
    assert murmur2(pa.array(list(KNOWN))).astype(np.int32).tolist() == list(KNOWN.values())


def test_columns_hash_as_single_keys_do() -> None:
    """Mixed lengths, slices, empty keys and nulls."""
    chance = random.Random(1)
    keys = [chance.randbytes(chance.randrange(0, 40)) for _ in range(500)]
    array = pa.array([b"before", None, *keys, b"after"]).slice(2, 500)
    assert murmur2(array).tolist() == [one_by_one(k) for k in keys]
    assert murmur2(pa.array([], pa.binary())).tolist() == []
    assert murmur2(pa.array([b"", b""])).tolist() == [one_by_one(b"")] * 2


def test_null_keys_have_no_partition() -> None:
    """-1 says that the caller has to choose."""
    assert partitions_of(pa.array([None, b"foobar"]), 3).tolist() == [-1, (-790332482 & 0x7FFFFFFF) % 3]
    assert partitions_of(pa.array(["foobar", None]), 1).tolist() == [0, -1]
