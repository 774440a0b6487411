"""STDDEV_SAMP, STDDEV_SAMPLE and CORRELATION, computed from exact sums of values and of products.

NULL arguments are skipped.  The state of a group depends only on its rows: not on their order, not on batches, and not on
rows that were undone.  NaN and the infinities are counted separately (`runtime/exact_sums.py`).  Integers of any size are
exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...runtime import exact_sums
from ...runtime.batch import Bools
from ...runtime.kernel import Segments, State, StateField
from .. import types as t
from . import far_products
from .aggregate_numeric import add_up, signs
from .aggregate_values import mask_of_nulls, numbers_of
from .aggregator_base import AggregatorBase
from .far_products import products_of, two_products

Floats = npt.NDArray[np.float64]
Parts = Sequence[Floats]
"""A number, or a column of numbers, as a sum of doubles, the largest first."""

_INT64: Final = np.dtype(np.int64)
_FLOAT64: Final = np.dtype(np.float64)
_PARTS: Final = 3
"""The number of doubles of a sum: 159 bits.  With fewer, the squares would lose the spread of doubles that are close
together.
"""
_EXACT_INTEGERS: Final = 1 << 53
_CANCELLED: Final = 2.0**-44
"""A difference that is a smaller share of its terms than this is computed again with all digits."""
_LARGE: Final = 2.0**450
_VERY_LARGE: Final = 2.0**900
_SHRINK: Final = 100


class Deviation(AggregatorBase):
    """STDDEV_SAMPLE, or with ``root=False`` STDDEV_SAMP, which in ksqlDB is the sample variance.  It is 0.0 below two
    values.

    A result beyond a DOUBLE is infinite.  But a result that fits is right even if the squares of the values are beyond a
    DOUBLE.

    The state has COUNT, the sums ``X_..`` of values and ``XX_..`` of squares, and ``XX_FAR``, the sum of far squares
    (`far_products`).  Only older stores use ``SUM`` and ``M2`` (of squared deviations): reading converts them to sums.
    """

    result_type = pa.float64()
    can_undo = True
    nested_state = True

    def __init__(self, type_: t.SqlType, *, root: bool) -> None:
        self._type = type_
        self._root = root
        dtype, arrow = (_FLOAT64, pa.float64()) if type_ == t.DOUBLE else (_INT64, pa.int64())
        self.fields = (
            StateField("SUM", dtype, arrow, dtype.type(0)),
            StateField("COUNT", _INT64, pa.int64(), 0),
            StateField("M2", _FLOAT64, pa.float64(), 0.0),
            *exact_sums.fields("X_"),
            *exact_sums.fields("XX_"),
            far_products.field("XX_FAR"),
        )

    def scan(
        self, state: State, segments: Segments, arguments: Sequence[Any], undo: Bools | None, every: bool
    ) -> tuple[State, State | None]:
        old, counts, squares, *sums, fars = self._as_sums(state)
        present = ~mask_of_nulls(arguments[0])
        x = _exact(arguments[0], present)
        far = far_products.far(x, x)
        counts, running_counts = add_up(segments, counts, signs(present, undo), every)
        values, running_values = _summed(sums[:3], segments, x, undo, every)
        products, running_products = _summed(sums[3:], segments, products_of(x, x, far), undo, every)
        (fars,), moments = far_products.scan([sums[:3]], [sums[3:]], [fars], segments, [x], [(x, x, far)], undo, every)
        final = [old, counts, squares, *values, *products, fars]
        if running_counts is None or running_values is None or running_products is None:
            return final, None
        nothing = np.zeros(len(running_counts))
        row_moments = _no_moments(len(running_counts)) if moments is None else moments
        return final, [nothing, running_counts, nothing, *running_values, *running_products, row_moments]

    def running(self) -> RunningDeviation:
        """The same function, computed as ksqlDB computes it."""
        return RunningDeviation(self._type, root=self._root)

    def _as_sums(self, state: State) -> State:
        """Convert a state to the form of this version, in which SUM and M2 are zero."""
        old = (state[0] != 0) | (state[2] != 0)
        if not old.any():
            return list(state)
        groups = np.flatnonzero(old)
        n = np.maximum(state[1][groups], 1)
        with np.errstate(over="ignore", invalid="ignore"):
            totals = state[0][groups].astype(np.float64)
            squares = state[2][groups] + totals * (totals / n)
        converted = [s.copy() for s in state]
        segments = Segments(np.arange(len(groups)), len(groups))
        for first, values in ((3, totals), (6, squares)):
            sums = [s[groups] for s in state[first : first + 3]]
            for column, added in zip(converted[first : first + 3], exact_sums.scan(sums, segments, values, None, False)[0]):
                column[groups] = added
        converted[0][groups] = 0
        converted[2][groups] = 0.0
        return converted

    def merge(self, left: State, right: State) -> State:
        left, right = self._as_sums(left), self._as_sums(right)
        sums = [*exact_sums.merge(left[3:6], right[3:6]), *exact_sums.merge(left[6:9], right[6:9])]
        return [left[0], left[1] + right[1], left[2], *sums, far_products.merge(left[9], right[9])]

    def result(self, state: State) -> Any:
        _, counts, _, *sums, fars = self._as_sums(state)
        x, xx = _leading(sums[:3]), _leading(sums[3:])
        variance = np.zeros(len(counts), np.float64)
        groups = np.flatnonzero(counts > 1)
        if len(groups):
            n = counts[groups].astype(np.float64)
            gap, exponents = _differences(n, _rows(xx, groups), _rows(x, groups), _rows(x, groups))
            with np.errstate(over="ignore"):
                quotients = np.maximum(gap, 0.0) / (n * (n - 1))
                variance[groups] = (
                    np.ldexp(np.sqrt(quotients), exponents // 2) if self._root else np.ldexp(quotients, exponents)
                )
            infinite = np.isinf(xx[0][groups]) & np.isfinite(x[0][groups])
            variance[groups[infinite]] = np.inf
        for group, moments in _moments([sums[:3]], [sums[3:]], [fars]).items():
            if counts[group] > 1 and (moments.finite or not np.isfinite(x[0][group])):
                variance[group] = far_products.variance(int(counts[group]), moments, root=self._root)
        return pa.array(variance)


class RunningDeviation(AggregatorBase):
    """`Deviation` as in ksqlDB (``penstock.deviation`` = ``running``): it is rounded at every row, in the order of rows.

    Each value updates the squared deviations (Youngs and Cramer): M2 += (n v - sum)^2 / (n (n - 1)).  Undoing a row leaves a
    rounding error, and NaN stays for ever.
    """

    result_type = pa.float64()
    can_undo = True
    nested_state = True

    def __init__(self, type_: t.SqlType, *, root: bool) -> None:
        self._root = root
        self._dtype = _FLOAT64 if type_ == t.DOUBLE else _INT64
        arrow = pa.float64() if type_ == t.DOUBLE else pa.int64()
        self.fields = (
            StateField("SUM", self._dtype, arrow, self._dtype.type(0)),
            StateField("COUNT", _INT64, pa.int64(), 0),
            StateField("M2", _FLOAT64, pa.float64(), 0.0),
        )

    @np.errstate(over="ignore", invalid="ignore")
    def scan(
        self, state: State, segments: Segments, arguments: Sequence[Any], undo: Bools | None, every: bool
    ) -> tuple[State, State | None]:
        array = arguments[0]
        steps = signs(~mask_of_nulls(array), undo)
        values = numbers_of(array, self._dtype)
        signed = values if undo is None else np.where(undo, -values, values)
        sums, running_sum = add_up(segments, state[0], signed, True)
        counts, running_count = add_up(segments, state[1], steps, True)
        assert running_sum is not None and running_count is not None
        # Here n and ``total`` include the value: an added value is in them already, an undone value still.
        n, total = running_count, running_sum
        if undo is not None:
            taken = steps < 0
            n = np.where(taken, n + 1, n)
            total = np.where(taken, total + values, total)
        increments = np.zeros(len(values), np.float64)
        deviation = (n * values - total).astype(np.float64)
        np.divide(deviation * deviation, n * (n - 1), out=increments, where=(steps != 0) & (n > 1))
        increments *= steps
        squares, running_squares = add_up(segments, state[2], increments, every)
        if running_squares is None:
            return [sums, counts, squares], None
        return [sums, counts, squares], [running_sum, running_count, running_squares]

    @np.errstate(divide="ignore", over="ignore", invalid="ignore")
    def merge(self, left: State, right: State) -> State:
        n, m = left[1].astype(np.float64), right[1].astype(np.float64)
        gap = left[0] / n - right[0] / m
        between = np.where((n > 0) & (m > 0), gap * gap * n * m / (n + m), 0.0)
        return [left[0] + right[0], left[1] + right[1], left[2] + right[2] + between]

    def result(self, state: State) -> Any:
        variance = np.zeros(len(state[2]), np.float64)
        np.divide(state[2], state[1] - 1, out=variance, where=state[1] > 1)
        # Undoing rows may leave a rounding error below zero.
        return pa.array(np.sqrt(np.maximum(variance, 0.0)) if self._root else variance)


class Correlation(AggregatorBase):
    """CORRELATION: Pearson's coefficient of the rows in which neither argument is NULL; NaN where it is undefined.

    The state has COUNT, the sums of x, y, x x, y y and x y, and the sums of far x x, y y and x y (`far_products`).
    """

    result_type = pa.float64()
    can_undo = True
    nested_state = True

    def __init__(self) -> None:
        sums = [exact_sums.fields(prefix) for prefix in ("X_", "Y_", "XX_", "YY_", "XY_")]
        # Older stores have only the rounded sums and COUNT, so newer fields come after these.
        names = ("SUM_X", "SUM_Y", "SUM_XX", "SUM_YY", "SUM_XY")
        self.fields = (
            *(StateField(n, _FLOAT64, pa.float64(), 0.0) for n in names),
            StateField("COUNT", _INT64, pa.int64(), 0),
            *(field for _, *rest in sums for field in rest),
            *(far_products.field(name) for name in ("XX_FAR", "YY_FAR", "XY_FAR")),
        )

    @staticmethod
    def _sums(state: State) -> list[State]:
        """The three columns of each sum: SUM, REST and MORE."""
        return [[state[k], state[6 + 2 * k], state[7 + 2 * k]] for k in range(5)]

    @staticmethod
    def _state(sums: Sequence[State], counts: Any, fars: State) -> State:
        return [*(s[0] for s in sums), counts, *(column for s in sums for column in s[1:]), *fars]

    def scan(
        self, state: State, segments: Segments, arguments: Sequence[Any], undo: Bools | None, every: bool
    ) -> tuple[State, State | None]:
        present = ~(mask_of_nulls(arguments[0]) | mask_of_nulls(arguments[1]))
        x, y = (_exact(a, present) for a in arguments)
        counts, running_counts = add_up(segments, state[5], signs(present, undo), every)
        pairs = [(a, b, far_products.far(a, b)) for a, b in ((x, x), (y, y), (x, y))]
        added = (x, y, *(products_of(*pair) for pair in pairs))
        before = self._sums(state)
        sums = [_summed(s, segments, v, undo, every) for s, v in zip(before, added)]
        fars, moments = far_products.scan(before[:2], before[2:], state[16:], segments, [x, y], pairs, undo, every)
        final = self._state([f for f, _ in sums], counts, fars)
        if running_counts is None:
            return final, None
        row_moments = _no_moments(len(running_counts)) if moments is None else moments
        return final, self._state([r for _, r in sums if r is not None], running_counts, [row_moments])

    def merge(self, left: State, right: State) -> State:
        sums = [exact_sums.merge(a, b) for a, b in zip(self._sums(left), self._sums(right))]
        fars = [far_products.merge(a, b) for a, b in zip(left[16:], right[16:])]
        return self._state(sums, left[5] + right[5], fars)

    def result(self, state: State) -> Any:
        n = state[5].astype(np.float64)
        x, y, xx, yy, xy = (_leading(s) for s in self._sums(state))
        shared, shared_exponents = _differences(n, xy, x, y)
        spreads = [_differences(n, xx, x, x), _differences(n, yy, y, y)]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            (first, a), (second, b) = ((m, e + k) for (m, e), k in ((np.frexp(np.maximum(v, 0.0)), k) for v, k in spreads))
            exponents = a + b
            odd = exponents & 1
            below = np.sqrt(np.ldexp(first * second, odd))
            mantissas, c = np.frexp(shared)
            ratio = np.ldexp(mantissas / below, c + shared_exponents - (exponents - odd) // 2)
        ratio[below == 0.0] = np.nan  # all values of one side are equal, whatever `shared` is
        ratio = np.clip(ratio, -1.0, 1.0)
        sums = self._sums(state)
        for group, moments in _moments(sums[:2], sums[2:], state[16:]).items():
            ratio[group] = far_products.correlation(int(state[5][group]), moments)
        return pa.array(ratio)


def _summed(state: State, segments: Segments, parts: Parts, undo: Bools | None, every: bool) -> tuple[State, State | None]:
    """A sum after the batch, and its leading parts after every row.  (`_leading` returns these unchanged.)"""
    values = np.concatenate(parts) if len(parts) > 1 else parts[0]
    final, running = exact_sums.scan_leading(state, segments, values, undo, every, len(parts), _PARTS)
    return final, running


def _leading(state: State) -> Parts:
    """The leading parts of a stored sum.  Parts that `_summed` made for rows stay as they are."""
    return exact_sums.leading(state, _PARTS) if state[2].dtype.hasobject else state


def _rows(parts: Parts, rows: Any) -> Parts:
    return [p[rows] for p in parts]


def _exact(array: Any, present: Bools) -> Parts:
    """A column of numbers as sums of doubles, with 0.0 for NULL.  A large integer needs two doubles."""
    if array.null_count:
        array = array.fill_null(0)
    values = np.where(present, np.asarray(array.to_numpy(zero_copy_only=False)), 0)
    if values.dtype == _FLOAT64:
        return [values]
    values = values.astype(np.int64)
    if not len(values) or (values.max() <= _EXACT_INTEGERS and values.min() >= -_EXACT_INTEGERS):
        return [values.astype(np.float64)]
    high = values >> 32
    return [high.astype(np.float64) * 2.0**32, (values - (high << 32)).astype(np.float64)]


def _moments(sums: Sequence[State], products: Sequence[State], fars: State) -> dict[int, far_products.Moments]:
    """The `Moments` of the groups that have far products, by group or by row.

    The arguments are stored states, or the states of rows, for which `far_products.scan` made the moments.
    """
    if products[0][2].dtype.hasobject:
        return far_products.moments(sums, products, fars)
    return {row: m for row, m in enumerate(fars[0].tolist()) if m is not None} if fars[0].dtype.hasobject else {}


def _no_moments(count: int) -> Bools:
    return np.zeros(count, np.bool_)


def _differences(n: Floats, squares: Parts, x: Parts, y: Parts) -> tuple[Floats, Any]:
    """n times ``squares`` minus x times y: numbers, and the even powers of two to multiply them by.

    Each result is as precise as one rounding.  It is NaN where a sum is not finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(squares[0]) & np.isfinite(x[0]) & np.isfinite(y[0])
        large = np.maximum(np.abs(x[0]), np.abs(y[0])) > _LARGE
        shrunk = np.where(finite & (large | (np.abs(squares[0]) > _VERY_LARGE)), _SHRINK, 0)
        if shrunk.any():
            x, y = ([np.ldexp(p, -shrunk) for p in parts] for parts in (x, y))
            squares = [np.ldexp(p, -2 * shrunk) for p in squares]
        first, first_error = two_products(n, squares[0])
        second, second_error = two_products(x[0], y[0])
        first_error = first_error + n * squares[1]
        second_error = second_error + (x[0] * y[1] + x[1] * y[0])
        total = first - second
        back = total - first
        lost = (first - (total - back)) - (second + back)
        found = total + (lost + (first_error - second_error))
        again = finite & ~(np.abs(found) > _CANCELLED * (np.abs(first) + np.abs(second)))
    found = np.where(finite, found, np.nan)
    rows = np.flatnonzero(again & (n > 1))
    if len(rows):
        found[rows] = _exact_differences(n[rows], *(_rows(parts, rows) for parts in (squares, x, y)))
    return found, 2 * shrunk


def _exact_differences(n: Floats, squares: Parts, x: Parts, y: Parts) -> Floats:
    columns: list[Floats] = []
    for s in squares:
        columns += two_products(n, s)
    for a in x:
        for b in y:
            columns += (-p for p in two_products(a, b))
    return exact_sums.rounded_totals([c for c in columns if c.any()] or columns[:1])
