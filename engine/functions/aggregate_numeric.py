"""The aggregates that run as segmented scans: COUNT, SUM, SUM_LIST, AVG, MIN and MAX.

NULL arguments are skipped.  Undo is the exact inverse of adding.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ...kernels.gathering import take
from ...limits import DECIMAL_PRECISION_MAX
from ...runtime import exact_sums
from ...runtime.batch import Bools, Int64s
from ...runtime.kernel import Segments, State, StateField
from ...runtime.segmented import final_sums, final_values, running_sums, running_values
from ...runtime.state_values import chosen
from ...storage.values.canonical import canonical
from .. import types as t
from .aggregate_values import (
    Codec,
    mask_of_nulls,
    numbers_of,
    object_array,
    to_objects,
)
from .aggregator_base import AggregatorBase

Values = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_INT64: Final = np.dtype(np.int64)
_FLOAT64: Final = np.dtype(np.float64)
_FIXED_SUM_MAX: Final = 1 << 62
"""The largest sum of digits that is kept in 64 bits."""
_EXACT: Final = Context(prec=2 * DECIMAL_PRECISION_MAX)


def _count_field() -> StateField:
    return StateField("COUNT", _INT64, pa.int64(), 0)


def signs(present: Bools, undo: Bools | None) -> Int64s:
    """1 for rows to add, -1 for rows to undo, 0 where there is no value."""
    if undo is None:
        return present.astype(np.int64)
    return np.where(present, np.where(undo, -1, 1), 0)


def add_up(segments: Segments, initial: Values, values: Values, every: bool) -> tuple[Values, Values | None]:
    """Add values up: the sums after the batch and, if ``every``, after every row.  Integers wrap at 64 bits."""
    if values.dtype == _INT64:
        if every:
            running = running_sums(segments, initial, values)
            return last_of(segments, running), running
        return final_sums(segments, initial, values), None
    if every:
        running = running_values(np.add, segments, initial, values)
        return last_of(segments, running), running
    return final_values(np.add, segments, initial, values), None


def last_of(segments: Segments, running: Values) -> Values:
    """The last value of each group in a running result."""
    return running[segments.last]


class Count(AggregatorBase):
    """COUNT: of all rows without arguments (``COUNT(*)``), otherwise of the arguments that are not NULL."""

    result_type = pa.int64()
    can_undo = True
    orderless = True

    def __init__(self) -> None:
        self.fields = (_count_field(),)

    def scan(
        self, state: State, segments: Segments, arguments: Sequence[Any], undo: Bools | None, every: bool
    ) -> tuple[State, State | None]:
        length = len(segments.groups)
        if arguments:
            steps = signs(~mask_of_nulls(arguments[0]), undo)
        elif undo is not None:
            steps = np.where(undo, -1, 1)
        elif not every:
            return [state[0] + np.bincount(segments.groups, minlength=segments.count)], None
        else:
            steps = np.ones(length, np.int64)
        final, running = add_up(segments, state[0], steps, every)
        return [final], None if running is None else [running]

    def merge(self, left: State, right: State) -> State:
        return [left[0] + right[0]]

    def result(self, state: State) -> Any:
        return pa.array(state[0])


class Sum(AggregatorBase):
    """SUM of INT or BIGINT, which wraps; 0 if there are no values."""

    can_undo = True
    orderless = True

    def __init__(self, type_: t.SqlType) -> None:
        self.result_type = t.to_arrow(type_)
        self._narrow = type_ == t.INTEGER
        dtype = np.dtype(np.int32) if self._narrow else _INT64
        self.fields = (StateField("SUM", dtype, self.result_type, dtype.type(0)),)

    def _steps(self, array: Any) -> Values:
        return numbers_of(array, _INT64)

    def scan(
        self, state: State, segments: Segments, arguments: Sequence[Any], undo: Bools | None, every: bool
    ) -> tuple[State, State | None]:
        steps = self._steps(arguments[0])
        steps = steps if undo is None else np.where(undo, -steps, steps)
        final, running = add_up(segments, state[0].astype(_INT64, copy=False), steps, every)
        if self._narrow:
            final = final.astype(np.int32)  # it wraps as addition in 32 bits does
            running = None if running is None else running.astype(np.int32)
        return [final], None if running is None else [running]

    def merge(self, left: State, right: State) -> State:
        return [left[0] + right[0]]

    def result(self, state: State) -> Any:
        return pa.array(state[0])


class SumList(Sum):
    """SUM over the items of arrays of INT or BIGINT; NULL items and NULL arrays are skipped."""

    def _steps(self, array: Any) -> Values:
        rows, items = _items(array)
        sums = np.zeros(len(array), _INT64)
        np.add.at(sums, rows, items.astype(_INT64, copy=False))
        return sums


def _items(array: Any) -> tuple[Int64s, Values]:
    """The row of each item of an ARRAY column, and the items, with 0 for NULL."""
    lengths = np.asarray(array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False), np.int64)
    items = array.flatten()
    if items.null_count:
        items = items.fill_null(0)
    return np.repeat(np.arange(len(array)), lengths), np.asarray(items.to_numpy(zero_copy_only=False))


class SumDouble(AggregatorBase):
    """SUM of DOUBLE: the exact sum, rounded once (`runtime/exact_sums.py`); 0.0 if there are no values."""

    result_type = pa.float64()
    can_undo = True
    orderless = True

    def __init__(self) -> None:
        self.fields = exact_sums.fields()

    def scan(
        self, state: State, segments: Segments, arguments: Sequence[Any], undo: Bools | None, every: bool
    ) -> tuple[State, State | None]:
        final, running = exact_sums.scan(state, segments, doubles(arguments[0]), undo, every)
        return final, None if running is None else [running]

    def merge(self, left: State, right: State) -> State:
        return exact_sums.merge(left, right)

    def result(self, state: State) -> Any:
        return pa.array(state[0])


class SumListDouble(SumDouble):
    """SUM over the items of arrays of DOUBLE; NULL items and NULL arrays are skipped."""

    def scan(
        self, state: State, segments: Segments, arguments: Sequence[Any], undo: Bools | None, every: bool
    ) -> tuple[State, State | None]:
        rows, items = _items(arguments[0])
        inner = Segments(segments.groups[rows], segments.count)
        taken = None if undo is None else undo[rows]
        if not every:
            return exact_sums.scan(state, inner, items, taken, False)[0], None
        # Each row gets an additional 0.0 at its start, so that rows without items have a sum, too.
        length = len(segments.groups)
        places = np.concatenate((np.arange(length), rows))
        order = np.argsort(places, kind="stable")
        values = np.concatenate((np.zeros(length), items))[order]
        places = places[order]
        inner = Segments(segments.groups[places], segments.count)
        final, running = exact_sums.scan(state, inner, values, None if undo is None else undo[places], True)
        assert running is not None
        last = np.append(np.flatnonzero(np.diff(places)), len(places) - 1) if length else places
        return final, [running[last]]


def doubles(array: Any) -> Floats:
    """A DOUBLE column as float64[n], with 0.0 for NULL."""
    return numbers_of(array, _FLOAT64)


class SumDecimal(AggregatorBase):
    """SUM of DECIMAL, with the argument's type.

    The sum is kept exactly.  The result is NULL as long as the sum has more digits than the type.

    The state is ``SUM``, or, if the type cannot hold the sum, ``BEYOND``: the digits as a signed little-endian integer.
    """

    can_undo = True
    orderless = True

    def __init__(self, type_: t.Decimal) -> None:
        self._codec = Codec(type_)
        self._type = type_
        self.result_type = self._codec.result
        self._limit = 10**type_.precision
        self._held = _FIXED_SUM_MAX if self._codec.fixed else self._limit
        initial = 0 if self._codec.fixed else Decimal(0).scaleb(-type_.scale)
        self.fields = (
            StateField("SUM", self._codec.dtype, self._codec.arrow, initial),
            StateField("BEYOND", np.dtype(object), pa.binary(), None),
        )

    def scan(
        self, state: State, segments: Segments, arguments: Sequence[Any], undo: Bools | None, every: bool
    ) -> tuple[State, State | None]:
        array = arguments[0]
        if self._codec.fixed:
            values = np.where(mask_of_nulls(array), 0, self._codec.decode(array))
            if undo is not None:
                values = np.where(undo, -values, values)
            largest = np.abs(values.astype(np.float64)).sum() + np.abs(state[0].astype(np.float64)).max(initial=0.0)
            if largest < self._held and not any(b is not None for b in state[1]):
                sums, running_sums_ = add_up(segments, state[0], values, every)
                if running_sums_ is None:
                    return [sums, state[1]], None
                return [sums, state[1]], [running_sums_, np.full(len(values), None, object)]
        digits = self._unscaled(array)
        if undo is not None:
            digits = np.where(undo, -digits, digits)
        running = running_values(np.add, segments, self._digits(state), digits)
        return self._state(last_of(segments, running)), self._state(running) if every else None

    def _unscaled(self, array: Any) -> Values:
        """A column as integers in units of the last digit, which add up without rounding.  NULL becomes 0."""
        scale = self._type.scale
        return object_array([0 if v is None else int(v.scaleb(scale, _EXACT)) for v in to_objects(array)])

    def _digits(self, state: State) -> Values:
        """States as integers in units of the last digit."""
        sums, beyond = state[0].tolist(), state[1].tolist()
        if not self._codec.fixed:
            sums = [0 if v is None else int(v.scaleb(self._type.scale, _EXACT)) for v in sums]
        return object_array([s if b is None else int.from_bytes(b, "little", signed=True) for s, b in zip(sums, beyond)])

    def _state(self, digits: Values) -> State:
        held = [d if -self._held < d < self._held else None for d in digits.tolist()]
        beyond = [
            d.to_bytes((d.bit_length() + 8) // 8, "little", signed=True) if h is None else None
            for d, h in zip(digits.tolist(), held)
        ]
        if self._codec.fixed:
            sums: Values = np.array([0 if h is None else h for h in held], np.int64)
        else:
            sums = object_array([Decimal(h or 0).scaleb(-self._type.scale, _EXACT) for h in held])
        return [sums, object_array(beyond)]

    def merge(self, left: State, right: State) -> State:
        return self._state(self._digits(left) + self._digits(right))

    def result(self, state: State) -> Any:
        present = np.fromiter((b is None for b in state[1]), np.bool_, len(state[1]))
        if self._codec.fixed:
            present &= (state[0] < self._limit) & (state[0] > -self._limit)
        return self._codec.encode(state[0], present)


class Average(AggregatorBase):
    """AVG of INT or BIGINT: sum / count in DOUBLE; 0.0 if there are no values.  The sum has 64 bits and wraps."""

    result_type = pa.float64()
    can_undo = True
    orderless = True
    nested_state = True

    def __init__(self) -> None:
        self.fields = (StateField("SUM", _INT64, pa.int64(), 0), _count_field())

    def scan(
        self, state: State, segments: Segments, arguments: Sequence[Any], undo: Bools | None, every: bool
    ) -> tuple[State, State | None]:
        array = arguments[0]
        steps = signs(~mask_of_nulls(array), undo)
        values = numbers_of(array, _INT64) * steps
        sums, running_sum = add_up(segments, state[0], values, every)
        counts, running_count = add_up(segments, state[1], steps, every)
        if running_sum is None or running_count is None:
            return [sums, counts], None
        return [sums, counts], [running_sum, running_count]

    def merge(self, left: State, right: State) -> State:
        return [left[0] + right[0], left[1] + right[1]]

    def result(self, state: State) -> Any:
        return quotients(state[0], state[1])


class AverageDouble(AggregatorBase):
    """AVG of DOUBLE: the exact sum, rounded once, divided by the count; 0.0 if there are no values.

    The average is right even if the sum is beyond a DOUBLE.
    """

    result_type = pa.float64()
    can_undo = True
    orderless = True
    nested_state = True

    def __init__(self) -> None:
        sum_, *rest = exact_sums.fields()
        self.fields = (sum_, _count_field(), *rest)

    def scan(
        self, state: State, segments: Segments, arguments: Sequence[Any], undo: Bools | None, every: bool
    ) -> tuple[State, State | None]:
        sums, counts, *rest = state
        steps = signs(~mask_of_nulls(arguments[0]), undo)
        final, running = exact_sums.scan([sums, *rest], segments, doubles(arguments[0]), undo, every)
        counts, running_counts = add_up(segments, counts, steps, every)
        after = [final[0], counts, *final[1:]]
        if running is None or running_counts is None:
            return after, None
        if not np.isinf(running).any():
            return after, [running, running_counts]
        _, leading = exact_sums.scan_leading([sums, *rest], segments, doubles(arguments[0]), undo, True, 1, 2)
        assert leading is not None
        return after, [running, running_counts, leading[1]]

    def merge(self, left: State, right: State) -> State:
        sums, *rest = exact_sums.merge([left[0], *left[2:]], [right[0], *right[2:]])
        return [sums, left[1] + right[1], *rest]

    def result(self, state: State) -> Any:
        sums, counts, *rest = state
        averages = quotients(sums, counts)
        if not rest or not np.isinf(sums).any():
            return averages
        beyond = rest[0] if len(rest) == 1 else exact_sums.leading([sums, *rest], 2)[1]
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            corrected = np.ldexp(beyond / counts, exact_sums.BEYOND_SHIFT)
        return pa.array(np.where(np.isinf(sums) & (beyond != 0.0), corrected, averages.to_numpy()))


def quotients(sums: Values, counts: Values) -> Any:
    """Sums divided by counts, a DOUBLE column; 0.0 where the count is 0."""
    averages = np.zeros(len(sums), np.float64)
    np.divide(sums, counts, out=averages, where=counts != 0)
    return pa.array(averages)


class Extreme(AggregatorBase):
    """MIN and MAX; NULL if there are no values.  Texts and bytes are compared by their bytes, and NaN is above all
    numbers.
    """

    def __init__(self, type_: t.SqlType, *, largest: bool) -> None:
        self._codec = Codec(type_)
        self._largest = largest
        self.result_type = self._codec.result
        self.fields = (
            self._codec.field("VALUE"),
            StateField("PRESENT", np.dtype(np.bool_), pa.bool_(), False),
        )
        self._operation: np.ufunc = np.maximum if largest else np.minimum
        self._neutral: Any = None
        # 0.0 and -0.0 are equal, so their order decides which one stays.  Texts are merged one by one.
        self.orderless = self._codec.fixed and self._codec.dtype != _FLOAT64
        if self._codec.dtype == _FLOAT64:
            # NaN is the greatest value: the maximum keeps it, the minimum prefers any other value.
            self._neutral = -np.inf if largest else np.nan
            self._operation = np.maximum if largest else np.fmin
        elif self._codec.fixed:
            limits = np.iinfo(self._codec.dtype)
            self._neutral = limits.min if largest else limits.max

    def scan(
        self, state: State, segments: Segments, arguments: Sequence[Any], undo: Bools | None, every: bool
    ) -> tuple[State, State | None]:
        if undo is not None:
            raise ValueError("MIN and MAX cannot undo rows")
        if not self._codec.fixed:
            return self._scan_ranks(state, segments, arguments[0], every)
        nulls = mask_of_nulls(arguments[0])
        values = self._codec.decode(canonical(arguments[0]))
        if nulls.any():
            values = np.where(nulls, self._codec.dtype.type(self._neutral), values)
        initial = np.where(state[1], state[0], self._codec.dtype.type(self._neutral))
        return self._fold(segments, initial, values, state[1], ~nulls, every)

    def _fold(
        self, segments: Segments, initial: Values, values: Values, had: Bools, present: Bools, every: bool
    ) -> tuple[State, State | None]:
        if not every:
            final = final_values(self._operation, segments, initial, values)
            return [final, final_values(np.logical_or, segments, had, present)], None
        running = running_values(self._operation, segments, initial, values)
        seen = running_sums(segments, had.astype(np.int64), present.astype(np.int64)) > 0
        return [last_of(segments, running), last_of(segments, seen)], [running, seen]

    def _scan_ranks(self, state: State, segments: Segments, array: Any, every: bool) -> tuple[State, State | None]:
        """Scan the ranks of values instead of the values: ranks are integers, and their scan is fast."""
        known = self._codec.encode(state[0], state[1])
        values = pa.concat_arrays([known, array])
        present = ~mask_of_nulls(values)
        ranks = np.asarray(pc.rank(values, sort_keys="ascending", tiebreaker="dense").to_numpy(), np.int64)
        limits = np.iinfo(np.int64)
        ranks[~present] = limits.min if self._largest else limits.max
        by_rank = np.zeros(len(ranks) + 1, np.int64)
        rows = np.flatnonzero(present)
        by_rank[ranks[rows]] = rows
        operation: np.ufunc = np.maximum if self._largest else np.minimum
        count = segments.count
        if every:
            folded = running_values(operation, segments, ranks[:count], ranks[count:])
            seen = running_sums(segments, present[:count].astype(np.int64), present[count:].astype(np.int64)) > 0
            running: State | None = [self._ranked(values, by_rank, folded, seen), seen]
            last, last_seen = last_of(segments, folded), last_of(segments, seen)
        else:
            last = final_values(operation, segments, ranks[:count], ranks[count:])
            last_seen = final_values(np.logical_or, segments, present[:count], present[count:])
            running = None
        return [self._ranked(values, by_rank, last, last_seen), last_seen], running

    def _ranked(self, values: Any, by_rank: Int64s, ranks: Values, present: Bools) -> Any:
        return self._codec.decode(take(values, np.where(present, by_rank[np.where(present, ranks, 0)], -1)))

    def merge(self, left: State, right: State) -> State:
        if self._codec.fixed:
            neutral = self._codec.dtype.type(self._neutral)
            folded = self._operation(np.where(left[1], left[0], neutral), np.where(right[1], right[0], neutral))
            return [folded, left[1] | right[1]]
        if self._codec.columnar:
            first, second = self._codec.encode(left[0], left[1]), self._codec.encode(right[0], right[1])
            wins = (pc.greater_equal if self._largest else pc.less_equal)(first, second).fill_null(False)
            return [chosen(np.asarray(wins) | ~right[1], first, second), left[1] | right[1]]
        values = [
            (max if self._largest else min)(a, b) if p and q else (a if p else b)
            for a, p, b, q in zip(left[0].tolist(), left[1].tolist(), right[0].tolist(), right[1].tolist())
        ]
        return [object_array(values), left[1] | right[1]]

    def result(self, state: State) -> Any:
        return self._codec.encode(state[0], state[1])
