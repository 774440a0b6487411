"""Numbers of variable length, read and written; the oracle takes one byte after the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import InternalError
from penstock.kernels import texts, varints

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
NUMBERS = st.lists(st.none() | st.integers(-200, 200) | INT64, min_size=1, max_size=40)


def encoded(number: int) -> bytes:
    """As Avro's specification says."""
    left = (number << 1) ^ (number >> 63)
    left &= (1 << 64) - 1
    out = bytearray()
    while left >= 0x80:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*out, left])


@given(NUMBERS, st.binary(max_size=3))
def test_what_was_written_is_read(numbers: list[int | None], before: bytes) -> None:
    """Rows without a number keep their position."""
    pieces = [b"" if n is None else encoded(n) for n in numbers]
    widths = np.array([len(p) for p in pieces], np.int64)
    at = len(before) + np.cumsum(widths) - widths
    null = np.array([n is None for n in numbers])
    zigzag = np.array([0 if n is None else ((n << 1) ^ (n >> 63)) & ((1 << 64) - 1) for n in numbers], np.uint64)
    out = np.frombuffer(bytearray(before + bytes(int(widths.sum()) + 1)), np.uint8)
    varints.write(zigzag, widths, at, out)
    assert out.tobytes() == before + b"".join(pieces) + b"\0"
    odd = np.zeros(len(numbers), np.bool_)
    found, after = varints.read(out, at, null, odd)
    assert found.tolist() == [0 if n is None else n for n in numbers]
    assert after.tolist() == (at + widths).tolist()
    assert not odd.any()


@given(st.binary(min_size=1, max_size=30), st.data())
def test_any_bytes(data: bytes, draw: st.DataObject) -> None:
    """Ten bytes are looked at, at most; at the end of the data its last byte is taken for those that are missing."""
    begin = draw.draw(st.integers(0, len(data) - 1))
    seen = [data[min(begin + place, len(data) - 1)] for place in range(10)]
    size = next((place + 1 for place, byte in enumerate(seen) if byte < 0x80), 10)
    raw = sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(seen[:size])) & ((1 << 64) - 1)
    wanted = (raw >> 1) ^ -(raw & 1)
    odd = np.zeros(1, np.bool_)
    found, after = varints.read(np.frombuffer(data, np.uint8), np.array([begin]), np.zeros(1, np.bool_), odd)
    assert (found[0], after[0], odd[0]) == (wanted, begin + size, size == 10 and seen[9] > 1)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=20), st.randoms())
def test_strings_are_put_where_they_belong(strings: list[bytes], random: object) -> None:
    """In another order than they lie."""
    order = list(range(len(strings)))
    random.shuffle(order)  # type: ignore[attr-defined]
    lengths = np.array([len(s) for s in strings], np.int64)
    starts = np.cumsum(lengths) - lengths
    places = np.zeros(len(strings), np.int64)
    at = 1
    for row in order:
        places[row], at = at, at + len(strings[row])
    out = np.zeros(at + 1, np.uint8)
    texts.put(np.frombuffer(b"".join(strings), np.uint8), starts, lengths, places, out)
    assert out.tobytes() == b"\0" + b"".join(strings[row] for row in order) + b"\0"


def test_places_outside_are_refused() -> None:
    """By whoever calls, before the kernel reads or writes there."""
    data, one, null = np.zeros(4, np.uint8), np.array([1]), np.zeros(1, np.bool_)
    for at in (-1, 4):
        with pytest.raises(InternalError):
            varints.read(data, np.array([at]), null, null.copy())
        with pytest.raises(InternalError):
            varints.write(np.array([1], np.uint64), one, np.array([at]), data)
        with pytest.raises(InternalError):
            texts.put(data, np.array([at]), one, one, data.copy())
        with pytest.raises(InternalError):
            texts.put(data, one, one, np.array([at]), data.copy())
