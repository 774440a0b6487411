"""Gathering, merging and scattering rows, against lists of Python values."""

from __future__ import annotations

import heapq
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import InternalError
from penstock.kernels.gathering import Later, gather, gather_numbers, pick, take
from penstock.kernels.merging import merge, merge_queues, scatter


def list_of_pairs(items: dict[str, int]) -> list[tuple[str, int]]:
    """As Arrow gives a map back."""
    return list(items.items())


VALUES: list[tuple[Any, Any]] = [
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.int32(), st.integers(-5, 5)),
    (pa.int8(), st.integers(-5, 5)),
    (pa.float64(), st.floats(allow_nan=False)),
    (pa.bool_(), st.booleans()),
    (pa.date32(), st.dates()),
    (pa.decimal128(20, 0), st.integers(-5, 5).map(Decimal)),
    (pa.decimal256(40, 0), st.integers(-5, 5).map(Decimal)),
    (pa.string(), st.text(max_size=40)),
    (pa.binary(), st.binary(max_size=80)),
    (pa.large_string(), st.text(max_size=4)),
    (pa.list_(pa.int64()), st.lists(st.integers(0, 9), max_size=3)),
    (pa.struct([("a", pa.string())]), st.fixed_dictionaries({"a": st.text(max_size=3)})),
    (
        pa.list_(pa.struct([("n", pa.int64()), ("t", pa.string()), ("l", pa.list_(pa.string()))])),
        st.lists(
            st.none()
            | st.fixed_dictionaries(
                {
                    "n": st.none() | st.integers(0, 9),
                    "t": st.none() | st.text(max_size=3),
                    "l": st.none() | st.lists(st.none() | st.text(max_size=2), max_size=2),
                }
            ),
            max_size=3,
        ),
    ),
    (
        pa.map_(pa.string(), pa.int64()),
        st.dictionaries(st.text(max_size=2), st.integers(0, 9), max_size=2).map(list_of_pairs),
    ),
    (pa.null(), st.none()),
]


@st.composite
def arrays_and_picks(draw: st.DrawFn) -> tuple[list[Any], list[tuple[int, int]]]:
    """Arrays of one type, some of them slices, and rows of them by (array, row); (-1, -1) is a null."""
    type_, value = draw(st.sampled_from(VALUES))
    arrays = []
    for values in draw(st.lists(st.lists(st.none() | value, max_size=12), min_size=1, max_size=4)):
        array = pa.array(values, type_)
        start = draw(st.integers(0, len(array)))
        arrays.append(array.slice(start, draw(st.integers(0, len(array) - start))))
    places = [(number, row) for number, array in enumerate(arrays) for row in range(len(array))]
    return arrays, draw(st.lists(st.sampled_from([*places, (-1, -1)]), max_size=40))


@settings(max_examples=300)
@given(arrays_and_picks())
def test_rows_are_gathered_from_arrays(drawn: tuple[list[Any], list[tuple[int, int]]]) -> None:
    """Every type, slices, nulls and missing rows; the result is a valid array."""
    arrays, picks = drawn
    rows = np.array([-1 if a < 0 else (a << 32) | r for a, r in picks], np.int64)
    gathered = gather(arrays, rows)
    gathered.validate(full=True)
    assert gathered.type == arrays[0].type
    assert gathered.to_pylist() == [None if a < 0 else arrays[a][r].as_py() for a, r in picks]
    assert gathered.null_count == sum(v is None for v in gathered.to_pylist())


@given(arrays_and_picks(), st.data())
def test_rows_are_gathered_later(drawn: tuple[list[Any], list[tuple[int, int]]], data: st.DataObject) -> None:
    """Some of the rows, or all, are what gathering at once and taking from that gives."""
    arrays, picks = drawn
    rows = np.array([(a << 32) | r for a, r in picks if a >= 0], np.int64)
    later, whole = Later(arrays, rows), gather(arrays, rows)
    assert (len(later), later.type) == (len(whole), whole.type)
    assert later.may_be_null or whole.null_count == 0 or later.type == pa.null()
    some = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=9)) if len(rows) else []
    for wanted in (np.array(some, np.int64), pa.array(some, pa.int64())):
        assert later.take(wanted).to_pylist() == [whole[i].as_py() for i in some]
    assert later.all().to_pylist() == whole.to_pylist()


@pytest.mark.parametrize("rows", [[3], [0, 1 << 32], [-1, 5]])
def test_rows_beyond_the_end_are_refused(rows: list[int]) -> None:
    """A wrong row would be somebody else's memory."""
    with pytest.raises(InternalError):
        take(pa.array([1, 2, 3]), np.array(rows, np.int64))
    with pytest.raises(InternalError):
        gather([pa.array([1]), pa.array([2])], np.array([2 << 32], np.int64))
    with pytest.raises(InternalError):
        gather([pa.array([1, 2])], pick([3], np.array([2], np.int64)))
    with pytest.raises(InternalError):
        gather([pa.array([1]), pa.array(["2"])], np.array([0], np.int64))


def test_too_many_bytes_are_refused() -> None:
    """Offsets of 32 bits do not wrap."""
    text = pa.array(["x" * (1 << 20)])
    with pytest.raises(pa.ArrowInvalid, match="do not fit"):
        take(text, np.zeros(2048, np.int64))


@given(st.lists(st.lists(st.integers(0, 255), min_size=1, max_size=5), min_size=1, max_size=3), st.data())
def test_numbers_are_gathered(values: list[list[int]], data: st.DataObject) -> None:
    """NumPy arrays of every width."""
    dtype = data.draw(st.sampled_from([np.uint8, np.int16, np.int32, np.int64, np.float64]))
    arrays = [np.array(v, dtype) for v in values]
    picks = data.draw(st.lists(st.sampled_from([(a, r) for a, v in enumerate(values) for r in range(len(v))])))
    rows = np.array([(a << 32) | r for a, r in picks], np.int64)
    assert gather_numbers(arrays, rows).tolist() == [values[a][r] for a, r in picks]


RUNS = st.lists(st.lists(st.integers(0, 8), max_size=8).map(sorted), min_size=1, max_size=5)


@given(RUNS)
def test_runs_are_merged(runs: list[list[int]]) -> None:
    """Of equal values the earlier run's come first: what a stable sort gives."""
    flat = np.concatenate([np.array(r, np.int64) for r in runs])
    assert merge([np.array(r, np.int64) for r in runs]).tolist() == np.argsort(flat, kind="stable").tolist()


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=8), st.booleans()),
        min_size=2,
        max_size=4,
    ),
    st.integers(0, 20),
)
def test_queues_are_taken_head_by_head(queues: list[tuple[list[tuple[int, int]], bool]], limit: int) -> None:
    """The same as a heap of heads, which stops where a truncated queue has run out."""
    keys, ties = [], []
    for records, _ in queues:
        keys.append(np.maximum.accumulate(np.array([k for k, _ in records], np.int64)))
        ties.append(np.maximum.accumulate(np.array([t for _, t in records], np.int64)))
    expected: list[list[int]] = [[] for _ in queues]
    heads = [(int(k[0]), int(t[0]), q, 0) for q, (k, t) in enumerate(zip(keys, ties)) if len(k)]
    heapq.heapify(heads)
    open_ = not any(cut and not records for records, cut in queues)
    total = 0
    while open_ and heads and total < limit:
        _, _, queue, row = heapq.heappop(heads)
        expected[queue].append(total)
        total += 1
        if row + 1 < len(keys[queue]):
            heapq.heappush(heads, (int(keys[queue][row + 1]), int(ties[queue][row + 1]), queue, row + 1))
        else:
            open_ = not queues[queue][1]
    positions, taken = merge_queues(keys, ties, [cut for _, cut in queues], limit)
    assert (taken, [p.tolist() for p in positions]) == (total, expected)


@given(st.lists(st.integers(0, 4), max_size=30))
def test_rows_are_scattered_in_order(targets: list[int]) -> None:
    """Each target gets its rows, ascending."""
    found = scatter(np.array(targets, np.int64), 5)
    assert [f.tolist() for f in found] == [[i for i, t in enumerate(targets) if t == n] for n in range(5)]


def test_a_target_that_is_not_there_is_refused() -> None:
    """It would be written beyond the end of the lists."""
    with pytest.raises(InternalError, match="target"):
        scatter(np.array([0, 5], np.int64), 5)
