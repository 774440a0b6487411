"""Sums of DOUBLEs against fractions: exact, rounded once, whatever the order, the batches, and what is taken back."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from penstock.runtime import exact_sums
from penstock.runtime.kernel import Segments

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
DOUBLES = (
    st.floats()
    | st.sampled_from([1e17, 1.0, 0.0, -0.0, 1e20, -1e20, 1e308, -1e308, 5e-324, 1e-16, math.inf, -math.inf, math.nan])
    | st.integers(-(10**6), 10**6).map(lambda cents: cents / 100)
)
Row = tuple[int, float]


def expected(values: list[float]) -> float:
    """The sum of values, rounded once."""
    plus, minus = values.count(math.inf), values.count(-math.inf)
    if any(v != v for v in values) or (plus and minus):
        return math.nan
    if plus or minus:
        return math.inf if plus else -math.inf
    total = sum((Fraction(v) for v in values), Fraction(0))
    try:
        return total.numerator / total.denominator
    except OverflowError:
        return math.inf if total > 0 else -math.inf


def start(count: int) -> list[Any]:
    return [np.full(count, f.initial, f.dtype) for f in exact_sums.fields()]


def feed(state: list[Any], groups: list[int], values: list[float], undo: list[bool], every: bool) -> Any:
    """One batch; the state is changed, the running sums are given back."""
    distinct, dense = np.unique(np.array(groups, np.int64), return_inverse=True)
    segments = Segments(dense.astype(np.int64), len(distinct))
    taken = np.array(undo, np.bool_) if any(undo) else None
    final, running = exact_sums.scan([s[distinct] for s in state], segments, np.array(values, np.float64), taken, every)
    for column, new in zip(state, final, strict=True):
        assert column.dtype == new.dtype
        column[distinct] = new
    return running


def texts(state: list[Any]) -> list[str]:
    return [repr(column.tolist()) for column in state]


@pytest.fixture(params=["few rows", "columns"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of adding up, whatever the number of rows."""
    monkeypatch.setattr(exact_sums, "_FEW_ROWS", 1 << 20 if request.param == "few rows" else -1)


TWO_WAYS = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.usefixtures("_way")
@TWO_WAYS
@given(st.lists(st.tuples(st.integers(0, 2), DOUBLES), max_size=12), st.data())
@example([(0, 1e17), (0, 1.0), (0, 0.0)], None)
def test_a_sum_is_that_of_the_rows_that_count(rows: list[Row], data: Any) -> None:
    """Added in any batches and partly taken back again, every sum is the exact one, and so is the state, to the bit."""
    steps = [(group, value, False) for group, value in rows]
    if data is not None:
        back = data.draw(st.lists(st.sampled_from(range(len(rows))), unique=True)) if rows else []
        steps += [(*rows[i], True) for i in back]
    present: dict[int, list[float]] = {g: [] for g in range(3)}
    running_expected = []
    for group, value, undo in steps:
        if undo:
            texts_of = [repr(v) for v in present[group]]
            del present[group][texts_of.index(repr(value))]
        else:
            present[group].append(value)
        running_expected.append(expected(present[group]))
    states = []
    for every in (True, False):
        state, running, at = start(3), [], 0
        while at < len(steps):
            size = len(steps) if data is None else data.draw(st.integers(1, len(steps)))
            groups, values, undo = map(list, zip(*steps[at : at + size], strict=True))
            found = feed(state, groups, values, undo, every)
            running += [] if found is None else found.tolist()
            at += size
        assert repr(state[0].tolist()) == repr([expected(present[g]) + 0.0 for g in range(3)])
        if every:
            assert repr(running) == repr([v + 0.0 for v in running_expected])
        states.append(texts(state))
    fresh = start(3)
    for group, values in present.items():
        for value in reversed(values):
            feed(fresh, [group], [value], [False], False)
    assert states == [texts(fresh)] * 2


@settings(max_examples=200, deadline=None)
@given(st.lists(DOUBLES, max_size=6), st.lists(DOUBLES, max_size=6))
def test_merged_sums(left: list[float], right: list[float]) -> None:
    """Merging is adding the rows of both."""
    states = []
    for values in (left, right, left + right):
        state = start(1)
        for value in values:
            feed(state, [0], [value], [False], False)
        states.append(state)
    assert texts(exact_sums.merge(states[0], states[1])) == texts(states[2])


@pytest.mark.usefixtures("_way")
@TWO_WAYS
@given(st.lists(NUMBERS, min_size=1, max_size=50))
def test_many_numbers_at_once(values: list[float]) -> None:
    """As `math.fsum`, which rounds once, too."""
    state = start(1)
    feed(state, [0] * len(values), values, [False] * len(values), False)
    assert state[0][0] == expected(values)


@pytest.mark.usefixtures("_way")
def test_halves_are_rounded_to_even() -> None:
    """Ties, and what breaks them far below."""
    one_half = 2.0**-53
    for values in (
        [1.0, one_half],
        [1.0, one_half, 2.0**-300],
        [1.0, 3 * one_half],
        [1.0, -one_half / 2],
        [2.0**53, 1.0, 2.0**-1074],
    ):
        for signed in (values, [-v for v in values]):
            state = start(1)
            feed(state, [0] * len(values), signed, [False] * len(values), False)
            assert state[0][0] == expected(signed), signed


@pytest.mark.usefixtures("_way")
def test_states_of_before() -> None:
    """A state that has its sum only goes on; one that was NaN stays so."""
    state = [np.array([1.5, math.nan]), np.full(2, math.nan), np.array([None, None])]
    feed(state, [0, 1], [0.25, 1.0], [False, False], False)
    assert repr(state[0].tolist()) == "[1.75, nan]"


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("every", [False, True])
def test_several_values_for_a_row(every: bool) -> None:
    """With ``repeats`` a row adds several values, and takes all of them back."""
    groups = Segments(np.array([0, 1, 0], np.int64), 2)
    values = np.array([1.0, 2.0, 3.0, 0.1, math.inf, 0.3])
    undo = np.array([False, False, True])
    final, running = exact_sums.scan(start(2), groups, values, undo, every, repeats=2)
    assert final[0].tolist() == [expected([1.0, 0.1, -3.0, -0.3]), math.inf]
    if every:
        assert running is not None
        assert running.tolist() == [1.1, math.inf, expected([1.0, 0.1, -3.0, -0.3])]
