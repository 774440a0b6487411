"""TRANSFORM, FILTER and REDUCE over arrays and maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.engine.functions.lambdas import reduce

Call = Callable[..., Any]


def test_transform_array(call: Call, as_lambda: Call) -> None:
    """Each item is changed; a null array stays null, an item that fails makes its whole row fail."""
    add = as_lambda(lambda x: x + 5, "BIGINT")
    outcome = call("TRANSFORM", ["ARRAY<INT>", add], ([3, 6],), (None,), ([],), ([5, None],), ([1],))
    assert outcome.values == [[8, 11], None, [], None, [6]]
    assert list(outcome.failures) == [3]


def test_transform_map(call: Call, as_lambda: Call) -> None:
    """Keys and values are changed; equal keys, null keys and null values make the row fail."""
    key = as_lambda(lambda k, v: k.upper() or None, "STRING")
    value = as_lambda(lambda k, v: None if v == 0 else v * 2, "INT")
    rows = [({"a": 1, "b": 2},), (None,), ({},), ({"x": 1, "X": 3},), ({"": 1},), ({"z": 0},), ({"q": 4},)]
    outcome = call("TRANSFORM", ["MAP<STRING, INT>", key, value], *rows)
    assert outcome.values == [{"A": 2, "B": 4}, None, {}, None, None, None, {"Q": 8}]
    assert list(outcome.failures) == [3, 4, 5]


def test_filter_array(call: Call, as_lambda: Call) -> None:
    """Items that meet the condition stay; a NULL condition is not met."""
    condition = as_lambda(lambda x: None if x is None else x > 2, "BOOLEAN")
    outcome = call("FILTER", ["ARRAY<INT>", condition], ([1, 3, 5],), (None,), ([1],), ([3, None],), ([9],))
    assert outcome.values == [[3, 5], None, [], [3], [9]]
    assert not outcome.failures


def test_filter_map(call: Call, as_lambda: Call) -> None:
    """Entries that meet the condition stay."""
    condition = as_lambda(lambda k, v: v % 2 == 0, "BOOLEAN")
    outcome = call("FILTER", ["MAP<STRING, INT>", condition], ({"a": 1, "b": 2},), (None,), ({"c": 3},), ({"c": 4},))
    assert outcome.values == [{"b": 2}, None, {}, {"c": 4}]


def test_filter_keeps_entries_without_a_value(call: Call, as_lambda: Call) -> None:
    """An entry stays or goes by its condition alone: no new map is made of values that may not be NULL."""
    missing = as_lambda(lambda k, v: v is None, "BOOLEAN")
    outcome = call("FILTER", ["MAP<STRING, INT>", missing], ({"a": 1, "b": None},), (None,), ({"c": 3},), ({"d": None},))
    assert outcome.values == [{"b": None}, None, {}, {"d": None}]
    assert not outcome.failures


def test_reduce_array(call: Call, as_lambda: Call) -> None:
    """Items are taken in order; a null state is null, a null array leaves the state, an error fails the row."""
    join = as_lambda(lambda s, x: s + x, "STRING")
    rows = [(["a", "b"], "-"), ([], "-"), (None, "-"), (["a"], None), (["a", None, "b"], "-"), (["c"] * 4, "")]
    outcome = call("REDUCE", ["ARRAY<STRING>", "STRING", join], *rows)
    assert outcome.values == ["-ab", "-", "-", None, None, "cccc"]
    assert list(outcome.failures) == [4]


def test_reduce_may_pass_through_null(call: Call, as_lambda: Call) -> None:
    """A state that becomes null on the way is handed to the lambda."""
    last = as_lambda(lambda s, x: x if s is None else None, "INT")
    assert call("REDUCE", ["ARRAY<INT>", "INT", last], ([1, 2], 0), ([1], 0)).values == [2, None]


def test_reduce_map(call: Call, as_lambda: Call) -> None:
    """Entries are taken in the order of ksqlDB's hash maps."""
    join = as_lambda(lambda s, k, v: f"{s}{k}{v}", "STRING")
    rows = [({"b": 1, "a": 2}, ""), (None, "x"), ({"yes, thanks": 1, "nope": 2, "sure, yeah": 3}, "")]
    outcome = call("REDUCE", ["MAP<STRING, INT>", "STRING", join], *rows)
    assert outcome.values == ["a2b1", "x", "yes, thanks1sure, yeah3nope2"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.one_of(st.none(), st.lists(st.integers(-5, 5), max_size=4)), st.one_of(st.none(), st.integers(-5, 5))),
        min_size=1,
    )
)
def test_reduce_is_a_fold(rows: list[tuple[list[int] | None, int | None]]) -> None:
    """All rows at once give what folding each row gives, failures included."""
    import numpy as np
    import pyarrow as pa

    from penstock.runtime.kernel import Evaluated, Failures

    def step(s: int, x: int) -> int:
        if x == 0:
            raise ValueError("zero")
        return (s * 3 + x) % 1000

    def kernel(parameters: Any, _rows: Any) -> Evaluated:
        states, items = (p.to_pylist() for p in parameters)
        failed = np.flatnonzero(np.array([x == 0 for x in items], bool))
        results = [None if x == 0 else step(s, x) for s, x in zip(states, items)]
        return Evaluated(pa.array(results, pa.int64()), Failures(failed, ("zero",) * len(failed)) if len(failed) else None)

    expected: list[int | None] = []
    failed = set()
    for row, (items, state) in enumerate(rows):
        result = state
        if state is not None:
            for item in items or ():
                if item == 0:
                    result = None
                    failed.add(row)
                    break
                assert result is not None
                result = step(result, item)
        expected.append(result)
    collections = pa.array([items for items, _ in rows], pa.list_(pa.int64()))
    outcome = reduce(collections, pa.array([s for _, s in rows], pa.int64()), kernel)
    assert outcome.values.to_pylist() == expected
    assert (set() if outcome.failures is None else set(outcome.failures.rows.tolist())) == failed
