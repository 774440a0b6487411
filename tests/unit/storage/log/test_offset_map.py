"""The map of keys that compaction works with, beside a dict."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest

from penstock.storage.log.local.segments.offset_map import OffsetMap


@pytest.mark.parametrize("lengths", [(0, 1, 2, 3), (7, 8, 9), (15, 16, 17, 40), (4,), (250, 256, 257, 300)])
def test_it_equals_a_dict(lengths: tuple[int, ...]) -> None:
    """Keys of any length, again and again, also from slices of columns, found or not."""
    chance = random.Random(1)
    pool = [chance.randbytes(chance.choice(lengths)) for _ in range(3000)] + [bytes(n) for n in lengths]
    known, found = OffsetMap(100_000), {}
    offset = 0
    for _ in range(6):
        keys = [chance.choice(pool) for _ in range(1500)]
        column = pa.array([b"before", *keys, b"after"], pa.binary()).slice(1, len(keys))
        offsets = np.arange(offset, offset + len(keys))
        assert known.room(len(keys)) == len(keys)
        known.put(known.hashes(column), offsets)
        found.update(zip(keys, offsets.tolist(), strict=True))
        offset += len(keys)
        assert known.last(known.hashes(pa.array(pool, pa.binary()))).tolist() == [found.get(k, -1) for k in pool]
        assert len(known) == len(found)
        assert known.noted().tolist() == sorted(found.values())


def test_it_grows_to_its_bound_and_no_further() -> None:
    """What it knows stays known when it grows; full, it says how little it takes."""
    known = OffsetMap(250_000)
    keys = pa.array([b"%d" % i for i in range(600_000)])
    hashes = known.hashes(keys)
    taken = 0
    while room := known.room(50_000):
        part = slice(taken, taken + room)
        known.put((hashes[0][part], hashes[1][part]), np.arange(taken, taken + room))
        taken += room
    assert taken == len(known) == 250_000
    assert known.last(hashes).tolist() == [*range(taken), *[-1] * (len(keys) - taken)]


def test_keys_that_differ_in_a_few_bits_are_different() -> None:
    """Numbers as bytes, one bit apart in one word or in two: no two have the same hash."""
    words = [1 << i for i in range(64)] + [0, 1 << 63 | 1 << 34, 1 << 63 | 1 << 31]
    keys = pa.array([a.to_bytes(8, "little") + b.to_bytes(8, "little") for a in words for b in words])
    known = OffsetMap(100_000)
    low, high = known.hashes(keys)
    assert len(set(low.tolist())) == len(set(high.tolist())) == len(keys)


@pytest.mark.parametrize("key", [b"", b"a", b"12345678", b"123456789"])
def test_a_key_has_one_hash_whatever_stands_beside_it(key: bytes) -> None:
    """Alone in a frame, or among shorter and longer ones: otherwise a deleted record would come back."""
    known = OffsetMap(100)
    alone = known.hashes(pa.array([key], pa.binary()))
    for others in ([b""], [b"a", b"b"], [b"x" * 8], [b"x" * 9, b""], [b"x" * 300, b"", b"y"]):
        beside = known.hashes(pa.array([*others, key], pa.binary()))
        assert (beside[0][-1], beside[1][-1]) == (alone[0][0], alone[1][0])
