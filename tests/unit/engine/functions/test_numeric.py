"""Numbers: rounding, domains, DECIMAL, nulls."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_FLOOR, Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.engine import types as t
from penstock.engine.functions.numeric import round_decimal_places, round_double_places, trunc_decimal_places

One = Callable[..., Any]
INT_MIN = -(2**31)


@pytest.mark.parametrize(
    "name", ["ABS", "CEIL", "FLOOR", "ROUND", "TRUNC", "SIGN", "SQRT", "EXP", "LN", "SIN", "COT", "LOG"]
)
@pytest.mark.parametrize("type_", ["INT", "BIGINT", "DOUBLE"])
def test_null_gives_null(call: One, name: str, type_: str) -> None:
    """A function of one number gives null for null, beside rows that are not."""
    outcome = call(name, [type_], (None,), (1,))
    assert outcome.values[0] is None and outcome.values[1] is not None and not outcome.failures


def test_abs_wraps_like_java(one: One) -> None:
    """The smallest INT has no positive twin and stays what it is."""
    assert one("ABS", "INT", INT_MIN) == INT_MIN
    assert one("ABS", "DECIMAL(2,1)", Decimal("-3.2")) == Decimal("3.2")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("CEIL", "1.1", "2.0"), ("CEIL", "-1.7", "-1.0"), ("FLOOR", "1.7", "1.0"), ("FLOOR", "-1.1", "-2.0")],
)
def test_ceil_and_floor_keep_their_type(call: One, name: str, value: str, expected: str) -> None:
    """DECIMAL keeps its scale, DOUBLE stays a DOUBLE."""
    assert call(name, ["DECIMAL(2,1)"], (Decimal(value),)).values == [Decimal(expected)]
    assert call(name, ["DOUBLE"], (float(value),)).values == [float(expected)]


def test_ceil_out_of_its_digits_fails(fails: One) -> None:
    """9.5 goes up to 10.0, which DECIMAL(2,1) does not hold."""
    assert "DECIMAL(2, 1)" in fails("CEIL", "DECIMAL(2,1)", Decimal("9.5"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (-1.5, -1),
        (1.5, 2),
        (2.5, 3),
        (-2.5, -2),
        (0.49999999999999994, 0),
        (math.nan, 0),
        (math.inf, 2**63 - 1),
        (-math.inf, -(2**63)),
        (1e300, 2**63 - 1),
        (4503599627370497.0, 4503599627370497),
    ],
)
def test_round_to_a_bigint(one: One, value: float, expected: int) -> None:
    """A half goes up, NaN is 0, and what is too large is the largest."""
    assert one("ROUND", "DOUBLE", value) == expected


@pytest.mark.parametrize(
    ("value", "places", "expected"),
    [
        (1.005, 2, 1.01),
        (-1.005, 2, -1.0),
        (-1.5, 0, -1.0),
        (12345.678, -2, 12300.0),
        (12350.0, -2, 12400.0),
        (1.234567, 10, 1.234567),
        (0.1, 400, 0.1),
        (5.0, -500, 0.0),
    ],
)
def test_round_to_places(one: One, value: float, places: int, expected: float) -> None:
    """Rounding goes by the digits that the number shows, not by its binary value."""
    assert one("ROUND", "DOUBLE;INT", value, places) == expected


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.one_of(st.floats(-1e9, 1e9), st.decimals(-1000, 1000, places=3).map(float)), min_size=1),
    st.integers(-3, 6),
)
def test_round_to_places_is_decimal_rounding(values: list[float], places: int) -> None:
    """The quick way agrees with rounding each number's text as a decimal."""
    result = round_double_places(pa.array(values), pa.scalar(places)).values.to_pylist()
    unit = Decimal(1).scaleb(-places)
    for value, rounded in zip(values, result):
        exact = ((Decimal(repr(value)) / unit + Decimal("0.5")).to_integral_value(ROUND_FLOOR)) * unit
        assert rounded == float(exact)


def test_round_to_places_of_no_number_fails(fails: One) -> None:
    """NaN and the infinities have no decimal places."""
    assert "nan" in fails("ROUND", "DOUBLE;INT", math.nan, 2)


def test_round_decimals(call: One) -> None:
    """Without places the fraction leaves the type; with them the type stays."""
    outcome = call("ROUND", ["DECIMAL(4,2)"], (Decimal("10.50"),), (Decimal("-10.50"),), (None,))
    assert outcome.values == [Decimal(11), Decimal(-10), None]
    assert outcome.type == t.Decimal(2, 0)
    outcome = call("ROUND", ["DECIMAL(12,7)", "INT"], (Decimal("12345.6780000"), -2), (Decimal("1.2345678"), 3))
    assert list(map(str, outcome.values)) == ["12300.0000000", "1.2350000"]


def test_trunc(one: One, call: One) -> None:
    """Digits are cut off towards zero."""
    assert call("TRUNC", ["DOUBLE"], (1.7,), (-1.7,)).values == [1, -1]
    assert call("TRUNC", ["DOUBLE", "INT"], (-12345.678, -1), (1.239, 2)).values == [-12340.0, 1.23]
    assert one("TRUNC", "DECIMAL(5,2);INT", Decimal("-1.99"), 1) == Decimal("-1.90")
    assert one("TRUNC", "BIGINT", 2**40) == 2**40


def test_out_of_the_domain_is_nan(one: One) -> None:
    """Roots, logarithms and inverse functions give NaN outside their domains, and -Infinity for LN(0)."""
    for name, value in [("SQRT", -1), ("LN", -1), ("ASIN", 2), ("ACOS", -6), ("LOG", -3)]:
        assert math.isnan(one(name, "INT", value)), name
    assert one("LN", "BIGINT", 0) == -math.inf
    assert one("COT", "DOUBLE", 0.0) == math.inf


@pytest.mark.parametrize("base", [0.0, -2.0, 1.0])
def test_log_of_a_bad_base_is_nan(one: One, base: float) -> None:
    """A base must be positive and not 1."""
    assert math.isnan(one("LOG", "DOUBLE;DOUBLE", base, 10.0))


def test_two_argument_functions(one: One, call: One) -> None:
    """LOG takes the base first, ATAN2 the y, POWER gives a DOUBLE for integers."""
    assert one("LOG", "INT;INT", 2, 8) == pytest.approx(3)
    assert one("ATAN2", "DOUBLE;DOUBLE", 0.0, -3.0) == math.pi
    assert call("POWER", ["INT", "INT"], (15, -1), (0, 0), (None, 1)).values == [1 / 15, 1.0, None]
    assert one("DEGREES", "DOUBLE", math.pi) == pytest.approx(180)
    assert one("PI", "") == math.pi
    assert 0 <= one("RANDOM", "") < 1


def test_cube_roots_are_right_to_the_last_digit(call: One) -> None:
    """Whole roots are whole; the C library is off by a digit in half of all numbers."""
    cubes = [(float(n**3),) for n in range(-40, 40)]
    assert call("CBRT", ["DOUBLE"], *cubes).values == [float(n) for n in range(-40, 40)]
    odd = [(0.001,), (9e-301,), (1e300,), (math.inf,), (None,), (-0.0,)]
    assert call("CBRT", ["DOUBLE"], *odd).values[:5] == [0.1, pytest.approx(9.654893846056297e-101), 1e100, math.inf, None]
    assert call("CBRT", ["INT"], (-27,), (2,)).values == [-3.0, 1.2599210498948732]


def test_greatest_and_least_leave_nulls_out(call: One) -> None:
    """Only rows that are all null are null; NaN is above all numbers, as in Java; DECIMALs widen to a common type."""
    assert call("GREATEST", ["INT", "INT"], (1, None), (None, None), (-1, 3)).values == [1, None, 3]
    assert call("LEAST", ["STRING"] * 3, ("b", None, "a")).values == ["a"]
    assert call("GREATEST", ["DATE", "DATE"], (None, 5)).values == [5]
    mixed, nan = [(1.0, math.nan), (math.nan, None), (None, None), (math.inf, 2.0)], pytest.approx(math.nan, nan_ok=True)
    assert call("LEAST", ["DOUBLE", "DOUBLE"], *mixed).values == [1.0, nan, None, 2.0]
    assert call("GREATEST", ["DOUBLE", "DOUBLE"], *mixed).values == [nan, nan, None, math.inf]
    assert call("LEAST", ["BYTES", "BYTES"], (b"b", b"a")).values == [b"a"]
    outcome = call("GREATEST", ["DECIMAL(9,2)", "DECIMAL(7,6)"], (Decimal("1.50"), Decimal("0.123456")))
    assert outcome.values == [Decimal("1.500000")]
    assert outcome.type == t.Decimal(13, 6)


def test_geo_distance(one: One, fails: One) -> None:
    """Kilometres by default and for a null unit, miles for MI; degrees out of range fail."""
    points = (37.4439, -122.1663, 51.5257, -0.1122)
    four = "DOUBLE;DOUBLE;DOUBLE;DOUBLE"
    assert one("GEO_DISTANCE", four, *points) == pytest.approx(8634.6598, abs=1e-3)
    assert one("GEO_DISTANCE", four + ";STRING", *points, None) == one("GEO_DISTANCE", four, *points)
    assert one("GEO_DISTANCE", four + ";STRING", *points, "miles") == pytest.approx(5365.6597, abs=1e-3)
    assert one("GEO_DISTANCE", four, None, *points[1:]) is None
    assert "latitude" in fails("GEO_DISTANCE", four, 91.0, 0.0, 0.0, 0.0)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.decimals(-999, 999, places=3), min_size=1), st.integers(-4, 4), st.sampled_from(["ROUND", "TRUNC"]))
def test_decimals_to_places(values: list[Decimal], places: int, name: str) -> None:
    """DECIMAL(7,3) rounded, or cut, by whole columns equals exact arithmetic on each."""
    function = round_decimal_places if name == "ROUND" else trunc_decimal_places
    column = pa.array(values, pa.decimal128(7, 3))
    quick, slow = function(column, pa.scalar(places)), function(column, pa.array([places] * len(values)))
    assert quick == slow
    unit = Decimal(1).scaleb(-places)
    if name == "ROUND":
        expected = [((v / unit + Decimal("0.5")).to_integral_value(ROUND_FLOOR)) * unit for v in values]
    else:
        expected = [Decimal(int(v / unit)) * unit for v in values]
    assert quick.values.to_pylist() == (values if places >= 3 else expected)
    assert quick.failures is None


def test_rounding_beyond_the_digits_fails_alone(call: One) -> None:
    """A row whose rounded value needs a digit more fails; its neighbours do not."""
    outcome = call("ROUND", ["DECIMAL(2,1)"], (Decimal("9.9"),), (Decimal("1.2"),))
    assert outcome.values == [None, Decimal(1)] and list(outcome.failures) == [0]
    large = Decimal("12345678987654321.2345678987654321")
    assert call("ROUND", ["DECIMAL(33,16)"], (large,)).values == [Decimal(12345678987654321)]
    assert call("ROUND", ["DECIMAL(33,16)", "INT"], (large, -2)).values == [Decimal("12345678987654300.0000000000000000")]
    assert call("ROUND", ["DECIMAL(76,1)", "INT"], (Decimal("1.5"), 0)).values == [Decimal("2.0")]
