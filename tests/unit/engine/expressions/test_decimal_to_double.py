"""DECIMAL -> DOUBLE gives the nearest DOUBLE, as Java does."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.engine import types as t
from penstock.engine.expressions.casts import cast_array
from penstock.engine.expressions.temporal_text import parse_timestamp


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 38).flatmap(lambda p: st.tuples(st.just(p), st.integers(0, p), st.integers(-(10**p) + 1, 10**p - 1))))
def test_decimals_become_the_nearest_double(case: tuple[int, int, int]) -> None:
    """For every precision and scale, the same as Python's float()."""
    precision, scale, digits = case
    value = Decimal((digits < 0, tuple(map(int, str(abs(digits)))), -scale))
    array = pa.array([value, None], pa.decimal128(precision, scale))
    assert cast_array(array, t.Decimal(precision, scale), t.DOUBLE).values.to_pylist() == [float(value), None]


@pytest.mark.parametrize("text", ["2020-02-24T24", "2020-02-24T24:00", "2020-02-24T24:00:00.000Z", "2020-02-25"])
def test_the_end_of_a_day_is_the_start_of_the_next(text: str) -> None:
    """Hour 24 stands for midnight at its end."""
    assert parse_timestamp(text) == 1582588800000


def test_after_the_end_of_a_day_is_no_time() -> None:
    """24:01 is refused."""
    with pytest.raises(ValueError, match="not a time"):
        parse_timestamp("2020-02-24T24:01")
