"""A column of texts by slot, against a dict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.storage.state import text_column
from penstock.storage.state.text_column import TextColumn

SLOTS = 600
"""More than a block of the columns below it."""

STEP = st.one_of(
    st.tuples(st.just("put"), st.dictionaries(st.integers(0, SLOTS - 1), st.none() | st.text(max_size=30), max_size=40)),
    st.tuples(st.just("reset"), st.sets(st.integers(0, SLOTS - 1), max_size=40)),
    st.tuples(st.just("freeze"), st.just(0)),
    st.tuples(st.just("lend"), st.just(0)),
)


@pytest.fixture(params=[1 << 16, 1], ids=["appended", "as they came"])
def whole_from(request: pytest.FixtureRequest) -> Iterator[int]:
    """From how many bytes on arrays stay as they came."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_column, "_WHOLE_BYTES_MIN", request.param)
        patch.setattr(text_column, "_GARBAGE_MIN", 40)
        yield request.param


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEP, max_size=20), st.booleans(), st.integers(0, 2))
def test_a_column_of_texts_is_a_dict(whole_from: int, steps: list[tuple[str, Any]], binary: bool, pad: int) -> None:
    """What was put last is there, snapshots see what was there then, and garbage is left behind; an array that stays as it
    came gives way to an equal one that lies elsewhere."""
    type_ = pa.binary() if binary else pa.string()
    column, model = TextColumn(type_), {}
    column.reserve(SLOTS)
    frozen: list[tuple[Any, dict[int, Any]]] = []
    placed: list[tuple[Any, Any]] = []
    everything = np.arange(SLOTS)

    def values(held: dict[int, Any]) -> list[Any]:
        found = [held.get(slot) for slot in range(SLOTS)]
        return [None if v is None else v.encode() for v in found] if binary else found

    for kind, what in steps:
        if kind == "put":
            texts = pa.array([*["pad"] * pad, *what.values()], pa.string()).cast(type_).slice(pad)
            where = column.put(np.array(list(what), np.int64), texts)
            if where is not None:
                assert column.whole(where).equals(texts)
                placed.append((where, texts))
            model.update(what)
        elif kind == "reset":
            column.reset(np.array(sorted(what), np.int64))
            for slot in what:
                model.pop(slot, None)
        elif kind == "lend":
            for where, texts in placed:
                there = column.whole(where)
                assert there is None or there.equals(texts)
                column.lend(where, pa.concat_arrays([pa.array(["other"], pa.string()).cast(type_), texts]).slice(1))
        else:
            frozen.append((column.freeze(), dict(model)))
    for held, then in [(column, model), *frozen]:
        taken = held.take(everything)
        taken.validate(full=True)
        assert taken.type == type_ and taken.to_pylist() == values(then)


@pytest.mark.parametrize("length", [100, 10_000])
def test_overwriting_does_not_grow_the_heap(length: int, monkeypatch: Any) -> None:
    """A few slots that change for ever take as much memory as they hold, more or less, in arrays of any size."""
    monkeypatch.setattr(text_column, "_HEAP_BYTES_MAX", 1 << 14)
    column = TextColumn(pa.string())
    column.reserve(100)
    slots = np.arange(100)
    for number in range(400):
        column.put(slots, pa.array([f"{number} {i} " + "x" * length for i in range(100)]))
    assert column.take(slots).to_pylist() == [f"399 {i} " + "x" * length for i in range(100)]
    assert column.nbytes < 25 * (length + 10) * 100


@pytest.mark.parametrize("rows", [10, 2_000])
def test_one_long_text_among_short_ones_is_not_lost_sight_of(rows: int) -> None:
    """A long text that is overwritten together with some short ones that stay is garbage by its length, not by its share."""
    column = TextColumn(pa.string())
    column.reserve(100 * rows)
    for number in range(100):
        slots = np.arange(number * rows, (number + 1) * rows)
        slots[0] = 0
        column.put(slots, pa.array(["x" * 200_000, *["short"] * (rows - 1)]))
    assert column.take(np.array([0]))[0].as_py() == "x" * 200_000
    assert column.nbytes < 1_500_000 + 30 * 100 * rows


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.tuples(
                st.just("put"),
                st.dictionaries(
                    st.integers(0, SLOTS - 1),
                    st.none() | st.lists(st.tuples(st.integers(0, 9), st.none() | st.text(max_size=3)), max_size=3),
                    max_size=9,
                ),
            ),
            st.tuples(st.just("reset"), st.sets(st.integers(0, SLOTS - 1), max_size=9)),
            st.tuples(st.just("freeze"), st.just(0)),
        ),
        max_size=20,
    )
)
def test_a_column_of_lists_is_a_dict(monkeypatch: pytest.MonkeyPatch, steps: list[tuple[str, Any]]) -> None:
    """Small arrays are written together now and then, and garbage is left behind; snapshots see what was there then."""
    monkeypatch.setattr(text_column, "_GARBAGE_MIN", 100)
    monkeypatch.setattr(text_column, "_SMALL_MAX", 3)
    type_ = pa.list_(pa.struct([("n", pa.int64()), ("t", pa.string())]))
    column, model = TextColumn(type_), {}
    column.reserve(SLOTS)
    frozen: list[tuple[Any, dict[int, Any]]] = []
    for kind, what in steps:
        if kind == "put":
            lists = [None if v is None else [{"n": n, "t": t} for n, t in v] for v in what.values()]
            column.put(np.array(list(what), np.int64), pa.array(lists, type_))
            model.update(zip(what, lists, strict=True))
        elif kind == "reset":
            column.reset(np.array(sorted(what), np.int64))
            for slot in what:
                model.pop(slot, None)
        else:
            frozen.append((column.freeze(), dict(model)))
    for held, then in [(column, model), *frozen]:
        taken = held.take(np.arange(SLOTS))
        taken.validate(full=True)
        assert taken.type == type_ and taken.to_pylist() == [then.get(slot) for slot in range(SLOTS)]


def test_lists_that_change_one_by_one_are_few_arrays() -> None:
    """A thousand small writes leave as many arrays as are looked through quickly."""
    column = TextColumn(pa.list_(pa.int64()))
    column.reserve(1000)
    for number in range(2000):
        column.put(np.array([number % 1000]), pa.array([[number, number]]))
    assert column.take(np.arange(1000)).to_pylist() == [[n + 1000] * 2 for n in range(1000)]
    assert sum(array is not None for array in column.freeze()._pieces.arrays) < 200
