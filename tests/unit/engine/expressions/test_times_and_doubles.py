"""The end of a day as a time, and decimals as the nearest doubles."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.engine import types as t
from penstock.engine.expressions.casts import cast_array
from penstock.engine.expressions.temporal_text import parse_time, parse_timestamp
from penstock.storage.values.time_units import DAY_MS


@pytest.mark.parametrize("text", ["1970-01-01T24", "1970-01-01T24:00", "1970-01-01T24:00:00.000", "1970-01-02"])
def test_24_hours_are_the_start_of_the_next_day(text: str) -> None:
    """ISO 8601 lets a day end at 24:00."""
    assert parse_timestamp(text) == DAY_MS


@pytest.mark.parametrize("text", ["1970-01-01T24:01", "1970-01-01T25", "1970-01-01T23:60"])
def test_no_time_lies_beyond_the_day(text: str) -> None:
    """Only 24:00 itself is a time with the hour 24."""
    with pytest.raises(ValueError, match="not a time"):
        parse_timestamp(text)


def test_a_time_without_a_date_ends_before_24() -> None:
    """There is no next day to belong to."""
    with pytest.raises(ValueError, match="not a time"):
        parse_time("24:00")


@given(st.integers(1, 38).flatmap(lambda p: st.tuples(st.just(p), st.integers(0, p))), st.data())
def test_decimals_become_the_nearest_double(shape: tuple[int, int], data: st.DataObject) -> None:
    """A DECIMAL cast to DOUBLE is what reading its digits as a double gives."""
    precision, scale = shape
    digits = st.integers(-(10**precision) + 1, 10**precision - 1)
    values = data.draw(st.lists(st.none() | digits.map(lambda d: Decimal(f"{d}E-{scale}")), max_size=5))
    array = pa.array([None, *values], pa.decimal128(precision, scale))[1:]
    result = cast_array(array, t.Decimal(precision, scale), t.DOUBLE).values
    assert result.to_pylist() == [None if v is None else float(v) for v in array.to_pylist()]
