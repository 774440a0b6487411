"""Hopping windows by panes against the same windows row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.engine import types as t
from penstock.engine.functions.aggregate_numeric import Average, AverageDouble, Count, Extreme, Sum, SumDouble
from penstock.engine.functions.aggregate_offsets import OneByOffset
from penstock.runtime.batch import Batch
from penstock.runtime.operators import panes
from penstock.runtime.operators.base import OperatorContext
from penstock.runtime.operators.group_states import BoundAggregator
from penstock.runtime.operators.window_aggregate import WindowAggregate
from penstock.runtime.windows import TimeWindows

INPUT = pa.schema([("K", pa.string()), ("V", pa.int64()), ("D", pa.float64())])
BOUNDS = [("WINDOWSTART", pa.int64()), ("WINDOWEND", pa.int64())]
CALLS = [
    BoundAggregator(Count()),
    BoundAggregator(Count(), (1,)),
    BoundAggregator(Sum(t.BIGINT), (1,)),
    BoundAggregator(Average(), (1,)),
    BoundAggregator(Extreme(t.BIGINT, largest=True), (1,)),
    BoundAggregator(Extreme(t.BIGINT, largest=False), (1,)),
    BoundAggregator(SumDouble(), (2,)),
    BoundAggregator(AverageDouble(), (2,)),
]
ROWS = st.lists(
    st.tuples(
        st.sampled_from("ab"), st.none() | st.integers(-(2**63), 2**63 - 1), st.none() | st.floats(), st.integers(0, 60)
    ),
    max_size=30,
)


def windows_of(calls: list[BoundAggregator], *, final: bool, before: bool, grace_ms: int) -> WindowAggregate:
    """Windows of 20 that advance by 5, the last update of each step put out."""
    results = [(f"R{i}", call.aggregator.result_type) for i, call in enumerate(calls)]
    return WindowAggregate(
        OperatorContext("w", every_update=False),
        pa.schema([("K", pa.string()), *results, *BOUNDS]),
        1,
        calls,
        TimeWindows(20, 5, grace_ms),
        retention_ms=200,
        final=final,
        before=before,
        extras=("WINDOWSTART", "WINDOWEND"),
    )


def shown(batch: Batch) -> list[Any]:
    """Everything of the rows, NaN as a text."""
    columns = [c.to_pylist() for c in (*batch.columns, *(batch.before or ()))]
    absent = [] if batch.before_absent is None else batch.before_absent.tolist()
    times = (batch.positions.tolist(), batch.timestamps.tolist())
    assert batch.window_starts is not None
    return [repr(c) for c in columns] + [absent, *times, batch.window_starts.tolist()]


def step_of(rows: list[tuple[str, int | None, float | None, int]], position: int) -> Batch:
    columns = [pa.array([r[i] for r in rows], INPUT.field(i).type) for i in range(3)]
    times = np.array([r[3] for r in rows], np.int64)
    return Batch(INPUT, 1, tuple(columns), times, np.arange(position, position + len(rows), dtype=np.int64))


@given(st.lists(ROWS, min_size=1, max_size=4), st.booleans(), st.booleans(), st.sampled_from([0, 15, 100]))
def test_panes_give_what_rows_give(
    steps: list[list[tuple[str, int | None, float | None, int]]], final: bool, before: bool, grace_ms: int
) -> None:
    """The same rows in the same order, with the same results, times and states, late rows or not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(panes, "_ROWS_PER_PANE_MIN", 0)
        by_panes = windows_of(CALLS, final=final, before=before, grace_ms=grace_ms)
        by_rows = windows_of(CALLS, final=final, before=before, grace_ms=grace_ms)
        by_rows._panes._possible = False
        for number, rows in enumerate(steps):
            step = step_of(rows, 100 * number)
            assert shown(by_panes.process([step])) == shown(by_rows.process([step]))
            assert by_panes.context.counters == by_rows.context.counters
    stored = [
        repr(w.stores[0].checkpoint().sort_by([("K", "ascending"), ("WINDOWSTART", "ascending")]).to_pylist())
        for w in (by_panes, by_rows)
    ]
    assert stored[0] == stored[1]


def test_they_are_used_where_they_can_be() -> None:
    """Only for aggregates that do not ask for the order of rows, only if no row is late, and not where rows are few."""
    many = step_of([("a", 1, None, 30)] * 8, 0)
    plain = windows_of(CALLS, final=False, before=False, grace_ms=100)
    assert plain._panes.fits(many.timestamps, 30)
    assert not plain._panes.fits(many.timestamps, 200)
    assert plain._panes.update(many.keys, many.columns, many.timestamps, before=False, emit=True) is not None
    few = step_of([("a", 1, None, 30), ("b", 1, None, 50)], 0)
    assert plain._panes.update(few.keys, few.columns, few.timestamps, before=False, emit=True) is None
    ordered = windows_of(
        [BoundAggregator(OneByOffset(t.BIGINT, latest=True, ignore_nulls=True), (1,))],
        final=False,
        before=False,
        grace_ms=100,
    )
    assert not ordered._panes.fits(many.timestamps, 30)


@pytest.mark.parametrize("far", [0, 1 << 61])
def test_windows_go_out_by_row_and_then_by_start(far: int) -> None:
    """However far apart they are."""
    pairs = [(5, 0), (5, far + 5), (2, 10), (0, far + 10), (2, 5)]
    order = panes._by_row(np.array([p[0] for p in pairs], np.int64), np.array([p[1] for p in pairs], np.int64))
    assert [pairs[i] for i in order] == sorted(pairs)
