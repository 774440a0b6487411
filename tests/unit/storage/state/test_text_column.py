"""A column of texts by slot, against a dict."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.storage.state import text_column
from penstock.storage.state.text_column import TextColumn

SLOTS = 600
"""More than a block of the columns below it."""

STEP = st.one_of(
    st.tuples(st.just("put"), st.dictionaries(st.integers(0, SLOTS - 1), st.none() | st.text(max_size=30), max_size=40)),
    st.tuples(st.just("reset"), st.sets(st.integers(0, SLOTS - 1), max_size=40)),
    st.tuples(st.just("freeze"), st.just(0)),
)


@settings(max_examples=100)
@given(st.lists(STEP, max_size=20), st.booleans(), st.integers(0, 2))
def test_a_column_of_texts_is_a_dict(steps: list[tuple[str, Any]], binary: bool, pad: int) -> None:
    """What was put last is there, snapshots see what was there then, and garbage is left behind."""
    type_ = pa.binary() if binary else pa.string()
    column, model = TextColumn(type_), {}
    column.reserve(SLOTS)
    frozen: list[tuple[Any, dict[int, Any]]] = []
    everything = np.arange(SLOTS)

    def values(held: dict[int, Any]) -> list[Any]:
        found = [held.get(slot) for slot in range(SLOTS)]
        return [None if v is None else v.encode() for v in found] if binary else found

    for kind, what in steps:
        if kind == "put":
            texts = pa.array([*["pad"] * pad, *what.values()], pa.string()).cast(type_).slice(pad)
            column.put(np.array(list(what), np.int64), texts)
            model.update(what)
        elif kind == "reset":
            column.reset(np.array(sorted(what), np.int64))
            for slot in what:
                model.pop(slot, None)
        else:
            frozen.append((column.freeze(), dict(model)))
    for held, then in [(column, model), *frozen]:
        taken = held.take(everything)
        taken.validate(full=True)
        assert taken.type == type_ and taken.to_pylist() == values(then)


def test_overwriting_does_not_grow_the_heap(monkeypatch: Any) -> None:
    """A few slots that change for ever take as much memory as they hold, more or less, in blocks of any size."""
    monkeypatch.setattr(text_column, "_BLOCK_BYTES_MAX", 1 << 14)
    column = TextColumn(pa.string())
    column.reserve(100)
    slots = np.arange(100)
    for number in range(400):
        column.put(slots, pa.array([f"{number} {i} " + "x" * 100 for i in range(100)]))
    assert column.take(slots).to_pylist() == [f"399 {i} " + "x" * 100 for i in range(100)]
    assert column.nbytes < 250_000
