"""Aggregators against one row at a time in plain Python, however the rows are cut into batches."""

from __future__ import annotations

import hashlib
import itertools
import math
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock import connect
from penstock.engine import types as t
from penstock.engine.functions import aggregate
from penstock.engine.functions.aggregate_distinct import EXACT_MAX, CountDistinct, hashes_of
from penstock.engine.functions.aggregate_values import decimals
from penstock.engine.functions.registry import BUILT_INS
from penstock.engine.query_options import QueryOptions
from penstock.errors import StatementError
from penstock.runtime import exact_sums, state_values
from penstock.runtime.kernel import Segments


def make(name: str, *types: t.SqlType, literals: Sequence[Any] = ()) -> Any:
    """The aggregator of a call with these argument types; trailing literals."""
    function = BUILT_INS.find(name)
    assert function is not None
    return function.overloads[0].make(types, [*[None] * (len(types) - len(literals)), *literals])


class Groups:
    """Drives an aggregator over batches, keeping states as a store would."""

    def __init__(self, aggregator: Any, count: int) -> None:
        self.aggregator = aggregator
        self.seen = 0
        self.state = [state_values.initial(field, count) for field in aggregator.fields]

    def feed(
        self, groups: Sequence[int], arguments: Sequence[Any], undo: Sequence[bool] | None = None, every: bool = True
    ) -> list[Any]:
        """Take a batch in; the result after each row, or of all groups in the end."""
        numbers = np.array(groups, np.int64)
        distinct, dense = np.unique(numbers, return_inverse=True)
        segments = Segments(dense.astype(np.int64), len(distinct), self.seen)
        self.seen += len(numbers)
        before = [state_values.picked(s, distinct).tolist() for s in self.state]
        taken = None if undo is None or not any(undo) else np.array(undo, np.bool_)
        final, running = self.aggregator.scan(
            [state_values.picked(s, distinct) for s in self.state], segments, arguments, taken, every
        )
        assert [state_values.picked(s, distinct).tolist() for s in self.state] == before or "nan" in str(before)
        for i, (field, new) in enumerate(zip(self.aggregator.fields, final)):
            assert new.type == field.arrow if field.columnar else new.dtype == field.dtype
            self.state[i] = state_values.replaced(self.state[i], distinct, new)
        if running is None:
            return []
        result = self.aggregator.result(running)
        assert result.type == self.aggregator.result_type
        return result.to_pylist()

    def results(self) -> list[Any]:
        return self.aggregator.result(self.state).to_pylist()


@dataclass(frozen=True)
class Case:
    """``fold`` gives the result for all values of a group so far; ``undo``: rows may be taken back."""

    name: str
    make: Callable[[], Any]
    types: tuple[pa.DataType, ...]
    values: st.SearchStrategy[Any]
    fold: Callable[[list[Any]], Any]
    undo: bool = False

    def __str__(self) -> str:
        return self.name


def some(values: list[Any]) -> list[Any]:
    return [v for v in values if v is not None]


def wrap(value: int, bits: int) -> int:
    return (value + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def exact_sum(values: list[float]) -> float:
    """Rounded once."""
    return math.fsum(values) + 0.0


def latest(values: list[Any]) -> Any:
    return values[-1] if values else None


def distinct(values: list[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def attr(values: list[Any]) -> Any:
    return values[0] if len(set(values)) == 1 else None


def counted(values: list[Any]) -> list[tuple[Any, int]]:
    return [(v, values.count(v)) for v in distinct(values)]


def close(value: float) -> Any:
    return pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True)


INTS = st.none() | st.integers(-5, 5) | st.sampled_from([2**31 - 1, -(2**31)])
LONGS = st.none() | st.integers(-5, 5) | st.sampled_from([2**63 - 1, -(2**63), 2**53 + 1])
SMALL = st.none() | st.integers(-9, 9)
DOUBLES = st.none() | st.floats(-1e6, 1e6) | st.sampled_from([0.1, 0.2, 1e300, -1e-300])
TEXT = st.none() | st.text("abcé\U0001f600", max_size=3)
DAYS = st.none() | st.integers(-(10**6), 10**7)
MONEY = st.none() | st.decimals(-100, 100, places=2)

CASES = [
    Case("COUNT(*)", lambda: make("COUNT"), (), st.none(), len, undo=True),
    Case("COUNT", lambda: make("COUNT", t.STRING), (pa.string(),), TEXT, lambda v: len(some(v)), undo=True),
    Case("SUM INT", lambda: make("SUM", t.INTEGER), (pa.int32(),), INTS, lambda v: wrap(sum(some(v)), 32), undo=True),
    Case("SUM BIGINT", lambda: make("SUM", t.BIGINT), (pa.int64(),), LONGS, lambda v: wrap(sum(some(v)), 64), undo=True),
    Case("SUM DOUBLE", lambda: make("SUM", t.DOUBLE), (pa.float64(),), DOUBLES, lambda v: exact_sum(some(v)), undo=True),
    Case(
        "SUM DECIMAL(9, 2)",
        lambda: make("SUM", t.Decimal(9, 2)),
        (pa.decimal128(9, 2),),
        MONEY,
        lambda v: sum(some(v), Decimal("0.00")),
        undo=True,
    ),
    Case(
        "SUM DECIMAL(40, 2)",
        lambda: make("SUM", t.Decimal(40, 2)),
        (pa.decimal256(40, 2),),
        MONEY,
        lambda v: sum(some(v), Decimal("0.00")),
        undo=True,
    ),
    Case(
        "SUM_LIST",
        lambda: make("SUM_LIST", t.Array(t.INTEGER)),
        (pa.list_(pa.int32()),),
        st.none() | st.lists(INTS, max_size=3),
        lambda v: wrap(sum(x for items in some(v) for x in some(items)), 32),
        undo=True,
    ),
    Case(
        "SUM_LIST DOUBLE",
        lambda: make("SUM_LIST", t.Array(t.DOUBLE)),
        (pa.list_(pa.float64()),),
        st.none() | st.lists(DOUBLES, max_size=3),
        lambda v: exact_sum([x for items in some(v) for x in some(items)]),
        undo=True,
    ),
    Case(
        "AVG DOUBLE",
        lambda: make("AVG", t.DOUBLE),
        (pa.float64(),),
        DOUBLES,
        lambda v: exact_sum(some(v)) / len(some(v)) if some(v) else 0.0,
        undo=True,
    ),
    Case(
        "AVG",
        lambda: make("AVG", t.INTEGER),
        (pa.int32(),),
        INTS,
        lambda v: sum(some(v)) / len(some(v)) if some(v) else 0.0,
        undo=True,
    ),
    Case("MIN INT", lambda: make("MIN", t.INTEGER), (pa.int32(),), INTS, lambda v: min(some(v), default=None)),
    Case("MAX BIGINT", lambda: make("MAX", t.BIGINT), (pa.int64(),), LONGS, lambda v: max(some(v), default=None)),
    Case("MIN DOUBLE", lambda: make("MIN", t.DOUBLE), (pa.float64(),), DOUBLES, lambda v: min(some(v), default=None)),
    Case("MAX DOUBLE", lambda: make("MAX", t.DOUBLE), (pa.float64(),), DOUBLES, lambda v: max(some(v), default=None)),
    Case("MAX STRING", lambda: make("MAX", t.STRING), (pa.string(),), TEXT, lambda v: max(some(v), default=None)),
    Case(
        "MIN DECIMAL(9, 2)",
        lambda: make("MIN", t.Decimal(9, 2)),
        (pa.decimal128(9, 2),),
        MONEY,
        lambda v: min(some(v), default=None),
    ),
    Case(
        "MAX DECIMAL(40, 2)",
        lambda: make("MAX", t.Decimal(40, 2)),
        (pa.decimal256(40, 2),),
        MONEY,
        lambda v: max(some(v), default=None),
    ),
    Case("COLLECT_LIST", lambda: make("COLLECT_LIST", t.STRING), (pa.string(),), TEXT, list),
    Case("COLLECT_SET", lambda: make("COLLECT_SET", t.STRING), (pa.string(),), TEXT, distinct),
    Case(
        "COUNT_DISTINCT STRING",
        lambda: make("COUNT_DISTINCT", t.STRING),
        (pa.string(),),
        TEXT,
        lambda v: len(set(some(v))),
    ),
    Case(
        "COUNT_DISTINCT BIGINT",
        lambda: make("COUNT_DISTINCT", t.BIGINT),
        (pa.int64(),),
        LONGS,
        lambda v: len(set(some(v))),
    ),
    Case(
        "LATEST_BY_OFFSET",
        lambda: make("LATEST_BY_OFFSET", t.STRING),
        (pa.string(),),
        TEXT,
        lambda v: latest(some(v)),
    ),
    Case(
        "LATEST_BY_OFFSET with nulls",
        lambda: make("LATEST_BY_OFFSET", t.INTEGER, t.BOOLEAN, literals=[False]),
        (pa.int32(),),
        INTS,
        latest,
    ),
    Case(
        "EARLIEST_BY_OFFSET",
        lambda: make("EARLIEST_BY_OFFSET", t.DOUBLE),
        (pa.float64(),),
        DOUBLES,
        lambda v: next(iter(some(v)), None),
    ),
    Case(
        "EARLIEST_BY_OFFSET with nulls",
        lambda: make("EARLIEST_BY_OFFSET", t.STRING, t.BOOLEAN, literals=[False]),
        (pa.string(),),
        TEXT,
        lambda v: v[0] if v else None,
    ),
    Case(
        "LATEST_BY_OFFSET 2",
        lambda: make("LATEST_BY_OFFSET", t.STRING, t.INTEGER, literals=[2]),
        (pa.string(),),
        TEXT,
        lambda v: some(v)[-2:],
    ),
    Case(
        "EARLIEST_BY_OFFSET 2 with nulls",
        lambda: make("EARLIEST_BY_OFFSET", t.INTEGER, t.INTEGER, t.BOOLEAN, literals=[2, False]),
        (pa.int32(),),
        INTS,
        lambda v: v[:2],
    ),
    Case(
        "TOPK",
        lambda: make("TOPK", t.INTEGER, t.INTEGER, literals=[3]),
        (pa.int32(),),
        INTS,
        lambda v: sorted(some(v), reverse=True)[:3],
    ),
    Case(
        "TOPKDISTINCT",
        lambda: make("TOPKDISTINCT", t.STRING, t.INTEGER, literals=[3]),
        (pa.string(),),
        TEXT,
        lambda v: sorted(set(some(v)), reverse=True)[:3],
    ),
    Case(
        "TOPKDISTINCT BIGINT",
        lambda: make("TOPKDISTINCT", t.BIGINT, t.INTEGER, literals=[2]),
        (pa.int64(),),
        LONGS,
        lambda v: sorted(set(some(v)), reverse=True)[:2],
    ),
    Case(
        "COLLECT_SET DECIMAL",
        lambda: make("COLLECT_SET", t.Decimal(9, 2)),
        (pa.decimal128(9, 2),),
        MONEY,
        distinct,
    ),
    Case("ATTR DECIMAL", lambda: make("ATTR", t.Decimal(9, 2)), (pa.decimal128(9, 2),), MONEY, attr, undo=True),
    Case("ATTR DOUBLE", lambda: make("ATTR", t.DOUBLE), (pa.float64(),), DOUBLES, attr, undo=True),
    Case("COLLECT_LIST DECIMAL", lambda: make("COLLECT_LIST", t.Decimal(9, 2)), (pa.decimal128(9, 2),), MONEY, list),
    Case(
        "COLLECT_LIST DECIMAL(40, 2)", lambda: make("COLLECT_LIST", t.Decimal(40, 2)), (pa.decimal256(40, 2),), MONEY, list
    ),
    Case(
        "LATEST_BY_OFFSET 2 of DECIMAL with nulls",
        lambda: make("LATEST_BY_OFFSET", t.Decimal(9, 2), t.INTEGER, t.BOOLEAN, literals=[2, False]),
        (pa.decimal128(9, 2),),
        MONEY,
        lambda v: v[-2:],
    ),
    Case("HISTOGRAM", lambda: make("HISTOGRAM", t.STRING), (pa.string(),), TEXT, lambda v: counted(some(v))),
    Case("ATTR", lambda: make("ATTR", t.STRING), (pa.string(),), TEXT, attr, undo=True),
    Case(
        "STDDEV_SAMP",
        lambda: make("STDDEV_SAMP", t.INTEGER),
        (pa.int32(),),
        SMALL,
        lambda v: close(statistics.variance(some(v)) if len(some(v)) > 1 else 0.0),
        undo=True,
    ),
    Case(
        "STDDEV_SAMPLE",
        lambda: make("STDDEV_SAMPLE", t.DOUBLE),
        (pa.float64(),),
        SMALL,
        lambda v: close(statistics.stdev(map(float, some(v))) if len(some(v)) > 1 else 0.0),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_running_results_are_those_of_one_row_at_a_time(case: Case, data: st.DataObject) -> None:
    """After every row, the result is that of the group's rows so far, for any cut into batches."""
    rows = data.draw(st.lists(st.tuples(st.integers(0, 2), case.values, st.booleans()), max_size=12))
    cuts = data.draw(st.sets(st.integers(0, len(rows))))
    kept: dict[int, list[Any]] = {0: [], 1: [], 2: []}
    expected, groups, values, undo = [], [], [], []
    for group, value, back in rows:
        taken = case.undo and back and bool(kept[group])
        if taken:
            value = kept[group].pop()
        else:
            kept[group].append(value)
        expected.append(case.fold(kept[group]))
        groups.append(group)
        values.append(value)
        undo.append(taken)
    bounds = [0, *sorted(cuts), len(rows)]
    running, final = Groups(case.make(), 3), Groups(case.make(), 3)
    got: list[Any] = []
    for start, stop in itertools.pairwise(bounds):
        if start == stop:
            continue
        arguments = [pa.array(values[start:stop], type_) for type_ in case.types]
        got += running.feed(groups[start:stop], arguments, undo[start:stop])
        final.feed(groups[start:stop], arguments, undo[start:stop], every=False)
    assert got == expected
    last = [case.fold(kept[g]) for g in range(3)]
    assert running.results() == last
    assert final.results() == last


@pytest.mark.parametrize("case", [c for c in CASES if "OFFSET" not in c.name], ids=str)
@settings(max_examples=10, deadline=None)
@given(st.data())
def test_merging_two_states_is_seeing_the_rows_of_both(case: Case, data: st.DataObject) -> None:
    """The earlier session's rows come first; an untouched state changes nothing."""
    left = data.draw(st.lists(case.values, max_size=6))
    right = data.draw(st.lists(case.values, max_size=6))
    aggregator = case.make()
    states = Groups(aggregator, 3)
    for group, values in ((0, left), (1, right)):
        if values:
            states.feed([group] * len(values), [pa.array(values, type_) for type_ in case.types])
    first, second, empty = ([s[i : i + 1] for s in states.state] for i in range(3))
    both = case.fold([*left, *right])
    if isinstance(both, float):
        both = close(both)
    assert aggregator.result(aggregator.merge(first, second)).to_pylist() == [both]
    alone = aggregator.result(first).to_pylist()
    assert aggregator.result(aggregator.merge(empty, first)).to_pylist() == alone


@pytest.mark.parametrize("n", [None, 2])
def test_merged_sessions_go_by_processing_order(n: int | None) -> None:
    """EARLIEST and LATEST look at when a row was processed, not at which session is earlier."""
    types = (t.INTEGER,) if n is None else (t.INTEGER, t.INTEGER)
    literals = [] if n is None else [n]
    for name, expected in (("EARLIEST_BY_OFFSET", [30, 10]), ("LATEST_BY_OFFSET", [10, 31])):
        states = Groups(make(name, *types, literals=literals), 2)
        states.feed([1, 0, 1], [pa.array([30, 10, 31], pa.int32())])
        merged = states.aggregator.merge([s[:1] for s in states.state], [s[1:] for s in states.state])
        got = states.aggregator.result(merged).to_pylist()[0]
        assert got == (expected if n else expected[0 if name.startswith("E") else 1])


def test_double_sums_are_exact_and_rounded_once() -> None:
    """Whatever the order of the rows and the size of a group."""
    generator = np.random.default_rng(7)
    values = generator.normal(size=5000) * 10.0 ** generator.integers(-8, 8, 5000)
    groups = generator.choice([0, 0, 0, 1, 2, 3, 4], 5000)
    groups[-20:] = range(5, 25)
    for name, divisor in (("SUM", lambda n: 1), ("AVG", len)):
        states = Groups(make(name, t.DOUBLE), 25)
        got = states.feed(groups.tolist(), [pa.array(values)])
        rows: list[list[float]] = [[] for _ in range(25)]
        expected = []
        for at, (group, value) in enumerate(zip(groups.tolist(), values.tolist())):
            rows[group].append(value)
            expected.append(math.fsum(rows[group]) / divisor(rows[group]) if at % 50 == 0 else None)
        assert got[::50] == expected[::50]
        other = Groups(make(name, t.DOUBLE), 25)
        other.feed(groups[::-1].tolist(), [pa.array(values[::-1].copy())], every=False)
        assert other.results() == states.results() == [math.fsum(r) / divisor(r) if r else 0.0 for r in rows]


@pytest.mark.parametrize("few", [True, False])
def test_an_average_whose_sum_is_beyond_a_double_is_one(few: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exact sum is divided, not the infinite one; NaN and the infinities among the values stay what they are."""
    monkeypatch.setattr(exact_sums, "_FEW_ROWS", 1 << 20 if few else -1)
    greatest = 1.7976931348623157e308
    rows = [1e308, 1e308, -greatest, greatest, greatest, greatest, -math.inf, math.nan, -greatest]
    for every in (True, False):
        states, running = Groups(make("AVG", t.DOUBLE), 1), []
        for size in (3, 6):
            got = states.feed([0] * size, [pa.array(rows[len(running) : len(running) + size])], None, every)
            running += got if every else [None] * size
        means = [float(sum(map(Fraction, rows[:n])) / n) for n in range(1, 7)]
        wanted = [*means, -math.inf, math.nan, math.nan]
        assert not every or running == pytest.approx(wanted, rel=1e-15, nan_ok=True)
        assert states.results() == pytest.approx(wanted[-1:], nan_ok=True)
        states.feed([0, 0], [pa.array([-math.inf, math.nan])], [True, True], every)
        states.feed([0], [pa.array([greatest])], None, every)
        assert states.results() == pytest.approx([float(sum(map(Fraction, rows[:6])) / 8)], rel=1e-15)


def test_a_decimal_sum_beyond_its_type_is_null_for_as_long_as_it_is() -> None:
    """It is kept exactly: a row that makes up for it, or is taken back, brings it into range again."""
    for type_, arrow in (
        (t.Decimal(3, 1), pa.decimal128(3, 1)),
        (t.Decimal(18, 0), pa.decimal128(18, 0)),
        (t.Decimal(40, 0), pa.decimal256(40, 0)),
    ):
        nines = Decimal((0, (9,) * type_.precision, -type_.scale))
        values = [nines] * 12 + [nines.copy_negate()] * 5 + [nines] * 6
        undo = [False] * 17 + [True] * 6
        expected: list[Any] = [nines, *[None] * 21, nines]
        for every in (True, False):
            for size in (1, 4, 23):
                states, running = Groups(make("SUM", type_), 1), []
                for at in range(0, 23, size):
                    part = slice(at, at + size)
                    running += states.feed([0] * len(values[part]), [pa.array(values[part], arrow)], undo[part], every)
                    if at + size < 23 and at:
                        assert states.results() == [None]
                assert states.results() == [nines]
                assert not every or running == expected
        merged = make("SUM", type_).merge(*[[s[:1] for s in states.state]] * 2)
        assert make("SUM", type_).result(merged).to_pylist() == [None]


def test_nan_is_above_all_numbers() -> None:
    """MAX and TOPK take NaN first, MIN takes it only if there is nothing else."""
    nan = math.nan
    column = [pa.array([nan, 1.0, -math.inf])]
    assert str(Groups(make("MAX", t.DOUBLE), 1).feed([0, 0, 0], column)) == "[nan, nan, nan]"
    assert str(Groups(make("MIN", t.DOUBLE), 1).feed([0, 0, 0], column)) == "[nan, 1.0, -inf]"
    top = Groups(make("TOPK", t.DOUBLE, t.INTEGER, literals=[2]), 1).feed([0, 0, 0], [pa.array([1.0, nan, 2.0])])
    assert str(top[-1]) == "[nan, 2.0]"


@pytest.mark.parametrize("name", ["TOPK", "TOPKDISTINCT"])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize(
    ("type_", "arrow", "values"),
    [
        (t.DOUBLE, pa.float64(), st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 1e-300, -1e-300, 2.5])),
        (t.BIGINT, pa.int64(), LONGS),
        (t.STRING, pa.string(), TEXT),
        (t.BYTES, pa.binary(), st.binary(max_size=2)),
        (t.Decimal(9, 2), pa.decimal128(9, 2), MONEY),
        (t.Decimal(38, 2), pa.decimal128(38, 2), MONEY),
        (t.DATE, pa.date32(), st.integers(-1000, 1000)),
    ],
    ids=str,
)
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_topk_of_a_step_is_that_of_its_rows(
    name: str, k: int, type_: t.SqlType, arrow: Any, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    """What is left out before rows become values would not have got in: the state is that of row after row."""
    rows = data.draw(st.lists(st.tuples(st.integers(0, 1), st.none() | values), min_size=1, max_size=20))
    whole = Groups(make(name, type_, t.INTEGER, literals=[k]), 2)
    single = Groups(make(name, type_, t.INTEGER, literals=[k]), 2)
    for some_rows in (rows[:8], rows[8:]):
        column = pa.array([v for _, v in some_rows], pa.int32() if arrow == pa.date32() else arrow)
        column = column.view(arrow) if arrow == pa.date32() else column
        if some_rows:
            whole.feed([g for g, _ in some_rows], [column], every=False)
            single.feed([g for g, _ in some_rows], [column], every=True)
    assert repr(whole.state[0].to_pylist()) == repr(single.state[0].to_pylist())


@given(st.lists(st.none() | st.decimals(-(10**8), 10**8, places=9), max_size=6), st.sampled_from([0, 3, 9, 20]))
def test_decimals_as_python_has_them(values: list[Decimal | None], scale: int) -> None:
    """`decimals` is `to_pylist`; the hash of a DECIMAL, kept in states, is that of how Python writes it."""
    array = pa.array(values, pa.decimal128(38, 9)).cast(pa.decimal128(38, scale), safe=False)
    assert list(map(repr, decimals(array))) == list(map(repr, array.to_pylist()))
    for value, found in zip(array.to_pylist(), hashes_of(array).tolist()):
        if value is not None:
            digest = hashlib.blake2b(repr(value).encode(), digest_size=8).digest()
            assert found == int.from_bytes(digest, sys.byteorder)


def test_topk_with_columns_gives_structs() -> None:
    """Ties keep their order of arrival; a NULL sort value is skipped, a NULL in another column is kept."""
    states = Groups(make("TOPK", t.DOUBLE, t.STRING, t.DATE, t.INTEGER, literals=[2]), 1)
    states.feed(
        [0] * 4,
        [
            pa.array([1.0, 2.0, None, 2.0]),
            pa.array(["a", "b", "c", None]),
            pa.array([1, 2, 3, None], pa.int32()).cast(pa.date32()),
        ],
    )
    assert [tuple(x.values())[:2] for x in states.results()[0]] == [(2.0, "b"), (2.0, None)]


def test_instants_beyond_pythons_calendar_survive() -> None:
    """TIMESTAMPs and DATEs are numbers inside states, also nested ones."""
    instants = pa.array([10**15, None, 5], pa.int64()).cast(pa.timestamp("ms"))
    for name, expected in (("MAX", [10**15] * 3), ("LATEST_BY_OFFSET", [10**15, 10**15, 5])):
        states = Groups(make(name, t.TIMESTAMP), 1)
        aggregator = states.aggregator
        segments = Segments(np.zeros(3, np.int64), 1)
        _, running = aggregator.scan(states.state, segments, [instants], None, True)
        assert aggregator.result(running).cast(pa.int64()).to_pylist() == expected
    states = Groups(make("COLLECT_LIST", t.TIMESTAMP), 1)
    final, _ = states.aggregator.scan(states.state, Segments(np.zeros(3, np.int64), 1), [instants], None, False)
    assert states.aggregator.result(final).cast(pa.list_(pa.int64())).to_pylist() == [[10**15, None, 5]]


def test_collect_list_takes_back_the_last_equal_item() -> None:
    """Also where the items are arrays; what is not there is no error."""
    states = Groups(make("COLLECT_LIST", t.Array(t.INTEGER)), 1)
    column = pa.array([[1], [2], [1], [1], [3]], pa.list_(pa.int32()))
    got = states.feed([0] * 5, [column], [False, False, False, True, True])
    assert got[-2:] == [[[1], [2]], [[1], [2]]]


def test_count_distinct_estimates_within_its_error_when_there_are_many() -> None:
    """Exact up to the limit, then within 4 % and never far from monotonic; a merge is the union."""
    aggregator = CountDistinct()
    states = Groups(aggregator, 2)
    states.feed([0] * EXACT_MAX, [pa.array(range(EXACT_MAX))], every=False)
    assert states.results()[0] == EXACT_MAX
    states.feed([0] * 20_000, [pa.array(range(20_000))], every=False)
    assert states.results()[0] == pytest.approx(20_000, rel=0.04)
    states.feed([1] * 20_000, [pa.array(range(10_000, 30_000))], every=False)
    merged = aggregator.merge([s[:1] for s in states.state], [s[1:] for s in states.state])
    assert aggregator.result(merged).to_pylist()[0] == pytest.approx(30_000, rel=0.04)


def test_correlation_is_duckdbs() -> None:
    """Pearson's coefficient of the rows without NULL; undefined is NaN."""
    x = [1.5, -1.0, -4.5, None, 3.0, 2.5]
    y = [8.0, -2.0, -1.0, 3.0, None, 7.5]
    states = Groups(make("CORRELATION", t.DOUBLE, t.DOUBLE), 1)
    got = states.feed([0] * 6, [pa.array(x), pa.array(y)])
    table = pa.table({"x": x, "y": y})
    assert table.num_rows == 6
    expected = duckdb.sql('SELECT corr(x, y) FROM "table"').fetchall()[0]
    assert got[-1] == pytest.approx(expected[0])
    assert math.isnan(got[0])
    assert got[1] == 1.0


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), SMALL), min_size=1, max_size=30))
def test_final_values_are_duckdbs(rows: list[tuple[int, int | None]]) -> None:
    """COUNT, SUM, AVG, MIN, MAX and COUNT_DISTINCT over a finished input equal GROUP BY in DuckDB."""
    data = pa.table({"g": [g for g, _ in rows], "v": pa.array([v for _, v in rows], pa.int64())})
    oracle = duckdb.sql(
        "SELECT g, count(v), coalesce(sum(v), 0)::BIGINT, coalesce(avg(v), 0), min(v), max(v), count(DISTINCT v)"
        " FROM data GROUP BY g ORDER BY g"
    ).fetchall()
    names = ("COUNT", "SUM", "AVG", "MIN", "MAX", "COUNT_DISTINCT")
    columns = []
    for name in names:
        states = Groups(make(name, t.BIGINT), 4)
        states.feed([g for g, _ in rows], [data["v"].combine_chunks()], every=False)
        columns.append(states.results())
    for g, *expected in oracle:
        assert [c[g] for c in columns] == expected


@pytest.mark.parametrize("name", ["COLLECT_LIST", "COLLECT_SET"])
def test_collections_stop_growing_at_their_limit(name: str) -> None:
    """``ksql.functions.<name>.limit``; without it there is none to speak of."""
    key = f"ksql.functions.{name.lower()}.limit"
    for properties, size in (({key: "2"}, 2), ({key: "0"}, 0), ({}, 3)):
        aggregator = aggregate.configured(name, make(name, t.INTEGER), QueryOptions.of(properties), merges=True)
        states = Groups(aggregator, 1)
        states.feed([0, 0, 0], [pa.array([1, 2, 3], pa.int32())])
        assert states.results() == [[1, 2, 3][:size]]
    with connect() as db, pytest.raises(StatementError, match="must be a whole number"):
        db.execute(f"SET '{key}' = 'many';")


def test_maps_with_the_same_pairs_are_the_same_value() -> None:
    """COLLECT_SET, COUNT_DISTINCT and ATTR compare maps without regard to the order of their pairs."""
    type_ = t.Map(t.STRING, t.INTEGER)
    maps = pa.array([[("a", 1), ("b", 2)], [("b", 2), ("a", 1)], [("a", 1)]], pa.map_(pa.string(), pa.int32()))
    for name, expected in (("COLLECT_SET", [1, 1, 2]), ("COUNT_DISTINCT", [1, 1, 2])):
        got = Groups(make(name, type_), 1).feed([0, 0, 0], [maps])
        assert [len(v) if name == "COLLECT_SET" else v for v in got] == expected
    assert Groups(make("ATTR", type_), 1).feed([0, 0, 0], [maps])[1:] == [[("a", 1), ("b", 2)], None]


def test_literal_arguments_must_make_sense() -> None:
    """k and n are whole numbers above 0."""
    with pytest.raises(StatementError, match="k must be"):
        make("TOPK", t.INTEGER, t.INTEGER, literals=[0])
    with pytest.raises(StatementError, match="the number of values"):
        make("LATEST_BY_OFFSET", t.INTEGER, t.INTEGER, literals=[None])


def test_all_eighteen_aggregates_are_registered() -> None:
    """Reference section 7, by name."""
    names = [
        "COUNT",
        "SUM",
        "SUM_LIST",
        "AVG",
        "MIN",
        "MAX",
        "COLLECT_LIST",
        "COLLECT_SET",
        "COUNT_DISTINCT",
        "EARLIEST_BY_OFFSET",
        "LATEST_BY_OFFSET",
        "TOPK",
        "TOPKDISTINCT",
        "HISTOGRAM",
        "CORRELATION",
        "STDDEV_SAMP",
        "STDDEV_SAMPLE",
        "ATTR",
    ]
    assert len(names) == 18
    for name in names:
        function = BUILT_INS.find(name)
        assert function is not None
        assert function.kind == "AGGREGATE"
