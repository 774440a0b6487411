"""The hash index, against a dict of Python values."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import InternalError
from penstock.kernels import index as kernels
from penstock.kernels.library import address
from penstock.storage.state.index import HashIndex, factorize

KEY_TYPES: dict[str, tuple[Any, Any]] = {
    "int64": (pa.int64(), st.integers(-3, 40)),
    "int32": (pa.int32(), st.integers(-3, 3)),
    "bool": (pa.bool_(), st.booleans()),
    "double": (pa.float64(), st.sampled_from([0.0, -0.0, 1.5, -1.5, math.inf, math.nan])),
    "decimal": (pa.decimal128(30, 2), st.integers(-3, 3).map(lambda n: Decimal(n) * (10**20))),
    "text": (pa.string(), st.text("ab\0é", max_size=5) | st.sampled_from(["x" * 16, "x" * 17, "y" * 200])),
    "bytes": (pa.binary(), st.binary(max_size=20)),
    "large": (pa.large_string(), st.text("ab", max_size=3)),
    "nested": (pa.list_(pa.int64()), st.lists(st.integers(0, 2), max_size=2)),
}


def canonical(value: Any) -> Any:
    """What is one key is one value: NaN is, and so are the zeros."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value + 0.0
    return tuple(value) if isinstance(value, list) else value


@st.composite
def shapes_and_steps(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, list[tuple[Any, ...]]]]]:
    """Key types, and steps of inserting, removing and finding rows of keys."""
    shape = draw(st.lists(st.sampled_from(sorted(KEY_TYPES)), min_size=1, max_size=3))
    row = st.tuples(*(st.none() | KEY_TYPES[name][1] for name in shape))
    kinds = st.sampled_from(["insert", "insert", "insert", "remove", "find", "freeze"])
    return shape, draw(st.lists(st.tuples(kinds, st.lists(row, min_size=1, max_size=30)), max_size=8))


def arrays(shape: list[str], rows: list[tuple[Any, ...]], pad: int = 0) -> list[Any]:
    """Key columns; with ``pad`` they are slices of longer arrays."""
    columns = []
    for i, name in enumerate(shape):
        values = [r[i] for r in rows]
        columns.append(pa.array([*[None] * pad, *values], KEY_TYPES[name][0]).slice(pad))
    return columns


@settings(max_examples=150)
@given(shapes_and_steps())
def test_the_index_is_a_dict_with_slots(given_: tuple[list[str], list[tuple[str, list[tuple[Any, ...]]]]]) -> None:
    """Keys keep their slots until they are removed; what is new is told once; snapshots see the keys of their time."""
    shape, steps = given_
    index = HashIndex(pa.schema([(f"k{i}", KEY_TYPES[name][0]) for i, name in enumerate(shape)]))
    model: dict[Any, int] = {}
    frozen: list[tuple[Any, dict[Any, int], list[Any], list[Any]]] = []
    for number, (kind, rows) in enumerate(steps):
        keys = [tuple(map(canonical, row)) for row in rows]
        columns = arrays(shape, rows, number % 3)
        if kind == "insert":
            slots, is_new = index.insert(columns)
            for key, slot, new in zip(keys, slots.tolist(), is_new.tolist(), strict=True):
                assert new == (key not in model)
                assert model.setdefault(key, slot) == slot
        elif kind == "remove":
            gone = sorted({model.pop(k) for k in keys if k in model})
            index.remove(np.array(gone, np.int64))
        elif kind == "freeze":
            frozen.append((index.freeze(), dict(model), columns, keys))
        assert index.find(columns).tolist() == [model.get(k, -1) for k in keys]
        assert len(set(model.values())) == len(model) == len(index)
        for snapshot, then, old_columns, old_keys in frozen:
            assert snapshot.find(columns).tolist() == [then.get(k, -1) for k in keys]
            assert snapshot.find(old_columns).tolist() == [then.get(k, -1) for k in old_keys]
            assert sorted(snapshot.slots().tolist()) == sorted(then.values())
    held = np.array(sorted(model.values()), np.int64)
    by_slot = {slot: key for key, slot in model.items()}
    read = [c.to_pylist() for c in index.keys.read(held)]
    assert [tuple(map(canonical, row)) for row in zip(*read, strict=True)] == [by_slot[s] for s in held.tolist()]


@settings(max_examples=100)
@given(shapes_and_steps())
def test_rows_are_numbered_by_first_occurrence(given_: tuple[list[str], list[tuple[str, list[tuple[Any, ...]]]]]) -> None:
    """`factorize` numbers equal keys alike, from 0 on, as they come."""
    shape, steps = given_
    for _, rows in steps:
        seen: dict[Any, int] = {}
        expected = [seen.setdefault(tuple(map(canonical, row)), len(seen)) for row in rows]
        numbers, firsts = factorize(arrays(shape, rows))
        assert numbers.tolist() == expected
        assert firsts.tolist() == [expected.index(n) for n in range(len(seen))]


def test_many_keys_in_few_slots() -> None:
    """Keys that come and go reuse slots, and the table does not grow with them."""
    index = HashIndex(pa.schema([("k", pa.int64())]))
    for start in range(0, 200_000, 1_000):
        slots, is_new = index.insert([pa.array(np.arange(start, start + 1_000))])
        assert is_new.all()
        index.remove(slots)
    assert len(index) == 0 and index.slot_count == 1_000 and index.nbytes < 200_000


def test_a_table_grows_without_losing_a_key() -> None:
    """A million keys, in batches that double what is there and in small ones."""
    index = HashIndex(pa.schema([("k", pa.int64()), ("t", pa.string())]))
    numbers = np.arange(300_000)
    keys = [pa.array(numbers * 7919), pa.array(numbers % 1000).cast(pa.string())]
    expected = []
    for start, stop in ((0, 1), (1, 3), (3, 65_536), (65_536, 300_000)):
        slots, is_new = index.insert([k.slice(start, stop - start) for k in keys])
        assert is_new.all()
        expected.append(slots)
    assert np.array_equal(index.find(keys), np.concatenate(expected))


@given(st.lists(st.integers(0, 9), max_size=50), st.integers(1, 3))
def test_slots_are_grouped_by_first_occurrence(slots: list[int], calls: int) -> None:
    """The same scratch serves every generation."""
    scratch = np.zeros(10, np.uint64)
    for generation in range(1, calls + 1):
        numbers, distinct = kernels.group(np.array(slots, np.int64), generation, scratch)
        assert distinct.tolist() == list(dict.fromkeys(slots))
        assert distinct[numbers].tolist() == slots


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 3)), max_size=30), st.integers(1, 3))
def test_slots_are_grouped_by_last_occurrence(runs: list[tuple[int, int]], calls: int) -> None:
    """Runs of a slot, and the same scratch for `group` and for this."""
    slots = [slot for slot, count in runs for _ in range(count)]
    scratch = np.zeros(10, np.uint64)
    ends = {slot: row for row, slot in enumerate(slots)}
    expected = sorted(ends, key=ends.__getitem__)
    for generation in range(1, 2 * calls, 2):
        numbers, distinct, last = kernels.group_by_last(np.array(slots, np.int64), generation, scratch)
        assert distinct.tolist() == expected
        assert last.tolist() == [ends[slot] for slot in expected]
        assert distinct[numbers].tolist() == slots
        numbers, distinct = kernels.group(np.array(slots, np.int64), generation + 1, scratch)
        assert distinct.tolist() == list(dict.fromkeys(slots))


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(sorted(KEY_TYPES)), min_size=1, max_size=2).flatmap(
        lambda shape: st.tuples(
            st.just(shape),
            st.lists(
                st.lists(
                    st.tuples(st.tuples(*(st.none() | KEY_TYPES[name][1] for name in shape)), st.integers(1, 90)),
                    min_size=1,
                    max_size=5,
                ),
                min_size=1,
                max_size=4,
            ),
        )
    )
)
def test_runs_of_equal_keys_are_inserted_like_single_rows(
    given_: tuple[list[str], list[list[tuple[tuple[Any, ...], int]]]],
) -> None:
    """A key comes again in a later run, or in a later batch; some runs are too short to be used as such."""
    shape, batches = given_
    schema = pa.schema([(f"k{i}", KEY_TYPES[name][0]) for i, name in enumerate(shape)])
    index, one_by_one = HashIndex(schema), HashIndex(schema)
    for runs in batches:
        rows = [key for key, count in runs for _ in range(count)]
        slots, is_new = index.insert(arrays(shape, rows, pad=1))
        expected = [one_by_one.insert(arrays(shape, [row])) for row in rows]
        assert slots.tolist() == [int(own[0]) for own, _ in expected]
        assert is_new.tolist() == [bool(new[0]) for _, new in expected]


@pytest.mark.parametrize(
    "array",
    [np.zeros(3, np.int64), np.zeros(10, np.int32), np.zeros(20, np.int64)[::2], np.frombuffer(bytes(80), np.int64)],
    ids=["short", "type", "strided", "read-only"],
)
def test_a_kernel_is_not_given_what_it_cannot_take(array: Any) -> None:
    """Length, type, layout and writability are looked at before an address is handed out."""
    with pytest.raises(InternalError, match="a kernel takes 10 contiguous items"):
        address(array, np.int64, 10, write=True)


def test_keys_of_another_shape_are_refused() -> None:
    """A descriptor with fewer columns than the index's would let the kernel read past its end."""
    index = HashIndex(pa.schema([("a", pa.int64()), ("b", pa.int64())]))
    with pytest.raises(InternalError, match="do not fit"):
        index.insert([pa.array([1])])
