"""STDDEV_SAMP, STDDEV_SAMPLE and CORRELATION against fractions: whatever comes, goes, and in which batches."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock import connect
from penstock.engine import types as t
from penstock.engine.functions.aggregate_deviation import Correlation, Deviation
from penstock.runtime import exact_sums, state_values
from penstock.runtime.kernel import Segments

FINITE = (
    st.sampled_from([0.1, 1e20, -1e20, 1.0, 2.0, 0.0, -0.0, 1e15, 1e15 + 1, 1e150, 1e-5, 1e9 + 0.1])
    | st.floats(-1e12, 1e12).map(lambda v: round(v, 2))
    | st.integers(-5, 5).map(float)
)
_FAR = [1e308, -1e308, 1.7976931348623157e308, 1e155, -1e200, 1e-200, 5e-324, 3e-160, 2.0**480, 2.0**-480]
FAR = FINITE | st.sampled_from(_FAR)
FAR |= st.floats(allow_nan=False, allow_infinity=False)
DOUBLES = FAR | st.sampled_from([math.nan, math.inf, -math.inf])
BIGINTS = st.integers(-(2**63), 2**63 - 1) | st.integers(2**63 - 4, 2**63 - 1) | st.integers(-4, 4)
INTS = st.integers(-(2**31), 2**31 - 1) | st.integers(-3, 3)
OFTEN = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
CASES: dict[str, tuple[Callable[[], Any], Any, st.SearchStrategy[Any]]] = {
    "variance of DOUBLE": (lambda: Deviation(t.DOUBLE, root=False), pa.float64(), DOUBLES),
    "deviation of DOUBLE": (lambda: Deviation(t.DOUBLE, root=True), pa.float64(), DOUBLES),
    "deviation of far values": (lambda: Deviation(t.DOUBLE, root=True), pa.float64(), FAR),
    "correlation of far values": (Correlation, pa.float64(), FAR),
    "deviation of BIGINT": (lambda: Deviation(t.BIGINT, root=True), pa.int64(), BIGINTS),
    "variance of INT": (lambda: Deviation(t.INTEGER, root=False), pa.int32(), INTS),
    "correlation of DOUBLE": (Correlation, pa.float64(), DOUBLES),
    "correlation of BIGINT": (Correlation, pa.int64(), BIGINTS),
}


@pytest.fixture(params=["few rows", "columns"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of adding up, whatever the number of rows."""
    monkeypatch.setattr(exact_sums, "_FEW_ROWS", 1 << 20 if request.param == "few rows" else -1)


def gap(xs: list[Any], ys: list[Any]) -> Fraction:
    """n times the sum of products less the product of sums."""
    x, y = [Fraction(v) for v in xs], [Fraction(v) for v in ys]
    return len(x) * sum((a * b for a, b in zip(x, y)), Fraction(0)) - sum(x) * sum(y)


def root(value: Fraction) -> Fraction:
    """The square root, with some 700 digits of the numerator's and of the denominator's."""
    shift = 2 * (value.denominator.bit_length() + 400)
    return Fraction(math.isqrt((value.numerator << shift) // value.denominator), 1 << (shift // 2))


def double(value: Fraction) -> float:
    """The double next to a number; infinite beyond their range."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def expected(aggregator: Any, rows: list[Any]) -> float:
    """The result for the rows of a group that count."""
    n = len(rows)
    if isinstance(aggregator, Deviation):
        if n < 2:
            return 0.0
        if any(not math.isfinite(v) for v in rows):
            return math.nan
        variance = gap(rows, rows) / (n * (n - 1))
        return double(root(variance) if aggregator._root else variance)
    if any(not math.isfinite(v) for row in rows for v in row):
        return math.nan
    xs, ys = [x for x, _ in rows], [y for _, y in rows]
    spread = root(gap(xs, xs) * gap(ys, ys))
    return double(gap(xs, ys) / spread) if n and spread else math.nan


class Group:
    """The states of two groups, as a store keeps them."""

    def __init__(self, aggregator: Any) -> None:
        self.aggregator = aggregator
        self.state = [state_values.initial(field, 2) for field in aggregator.fields]

    def feed(self, type_: Any, rows: list[tuple[int, Any, bool]], every: bool = True) -> list[float]:
        distinct, dense = np.unique(np.array([g for g, _, _ in rows], np.int64), return_inverse=True)
        values = [v for _, v, _ in rows]
        if isinstance(self.aggregator, Correlation):
            pairs = [(None, None) if v is None else v for v in values]
            arguments = [pa.array([p[k] for p in pairs], type_, from_pandas=False) for k in (0, 1)]
        else:
            arguments = [pa.array(values, type_, from_pandas=False)]
        undo = np.array([u for _, _, u in rows], np.bool_)
        segments = Segments(dense.astype(np.int64), len(distinct))
        final, running = self.aggregator.scan(
            [s[distinct] for s in self.state], segments, arguments, undo if undo.any() else None, every
        )
        for column, new in zip(self.state, final, strict=True):
            assert column.dtype == new.dtype
            column[distinct] = new
        return [] if running is None else self.aggregator.result(running).to_pylist()

    def results(self) -> list[float]:
        return self.aggregator.result(self.state).to_pylist()


def texts(values: list[Any]) -> list[str]:
    return [repr(v.tolist() if isinstance(v, np.ndarray) else v) for v in values]


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("name", CASES)
@OFTEN
@given(st.data())
def test_the_rows_that_count_decide(name: str, data: st.DataObject) -> None:
    """After every row the result is that of the rows that are there, in whatever batches, without a warning."""
    make, type_, values = CASES[name]
    value = st.tuples(values, values) if name.startswith("correlation") else values
    plan = data.draw(st.lists(st.tuples(st.integers(0, 1), st.none() | value, st.booleans(), st.booleans()), max_size=12))
    held: list[list[Any]] = [[], []]
    wanted, rows, batches, batch = [], [], [], []
    whole, cut = Group(make()), Group(make())
    for group, given_, back, end in plan:
        if taken := back and bool(held[group]):
            given_ = held[group].pop(data.draw(st.integers(0, len(held[group]) - 1)))
        elif given_ is not None:
            held[group].append(given_)
        row = (group, given_, taken)
        rows.append(row)
        batch.append(row)
        wanted.append(expected(whole.aggregator, held[group]))
        if end:
            batches.append(batch)
            batch = []
    batches.append(batch)
    with warnings.catch_warnings(action="error"):
        got = whole.feed(type_, rows) if rows else []
        for part in batches:
            if part:
                cut.feed(type_, part, every=data.draw(st.booleans()))
        assert texts(whole.state) == texts(cut.state)
        assert got == pytest.approx(wanted, rel=1e-14, abs=1e-323, nan_ok=True)
        assert texts(whole.results()) == texts(cut.results())
    for group in (0, 1):
        last = [g for (k, _, _), g in zip(rows, got) if k == group]
        assert repr(whole.results()[group]) == repr(last[-1] if last else whole.results()[group])


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=30, deadline=None)
@given(st.data())
def test_merging_is_adding(name: str, data: st.DataObject) -> None:
    """Sessions that merge have the state of all their rows."""
    make, type_, values = CASES[name]
    value = st.tuples(values, values) if name.startswith("correlation") else values
    left, right = (data.draw(st.lists(value, max_size=5)) for _ in range(2))
    groups = [Group(make()) for _ in range(3)]
    for group, rows in zip(groups, (left, right, left + right)):
        if rows:
            group.feed(type_, [(0, v, False) for v in rows], every=False)
    merged = groups[0].aggregator.merge(groups[0].state, groups[1].state)
    assert texts(merged) == texts(groups[2].state)


def test_a_state_of_before_goes_on() -> None:
    """SUM, COUNT and M2, or the rounded sums of a correlation, are taken over; what was not kept is 0 and None."""
    deviation = Group(Deviation(t.DOUBLE, root=False))
    deviation.state[0][:] = [6.0, 0.0]
    deviation.state[1][:] = [3, 2]
    deviation.state[2][:] = [2.0, 8.0]
    assert deviation.results() == [1.0, 8.0]
    deviation.feed(pa.float64(), [(0, 6.0, False), (1, 3.0, False)], every=False)
    assert deviation.results() == pytest.approx([14 / 3, 7.0])
    assert deviation.state[0].tolist() == deviation.state[2].tolist() == [0.0, 0.0]
    correlation = Group(Correlation())
    for k, value in enumerate((6.0, 12.0, 14.0, 56.0, 28.0, 3)):
        correlation.state[k][0] = value
    assert correlation.results()[0] == 1.0
    correlation.feed(pa.float64(), [(0, (1.0, 2.0), True)], every=False)
    assert correlation.results()[0] == 1.0


def test_ksqldbs_way_is_a_property() -> None:
    """Its rounding at every row; the values are those of one of its published cases."""
    found = {}
    for way in ("exact", "running"):
        with connect(None, threads=0) as db:
            db.execute(
                f"SET 'penstock.deviation' = '{way}';"
                "CREATE STREAM s (k INT KEY, v DOUBLE) WITH (PARTITIONS=1, VALUE_FORMAT='JSON');"
                "CREATE TABLE t AS SELECT k, STDDEV_SAMP(v) AS d FROM s GROUP BY k;"
            )
            db.insert("s", [{"k": 1, "v": v} for v in (1.0, 3.0, 4.0)])
            db.drain()
            ((found[way],),) = db.sql("SELECT d FROM t;").fetchall()
    exact = float(gap([1.0, 3.0, 4.0], [1.0, 3.0, 4.0]) / 6)
    assert found["exact"] == exact
    assert found["running"] == pytest.approx(exact) and found["running"] != exact


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("rows", [[(0.1, 3.0), (1e150, 3.0)], [(3.0, 1e150), (3.0, -1e150), (3.0, 1e-150)]])
def test_values_that_are_all_equal_correlate_with_nothing(rows: list[tuple[float, float]]) -> None:
    """However far apart the other side's values are: it was 1.0."""
    group = Group(Correlation())
    assert math.isnan(group.feed(pa.float64(), [(0, row, False) for row in rows])[-1])
    assert math.isnan(group.results()[0])
