"""Numbers: rounding, roots, logarithms, trigonometry, distances.

Some functions say that DECIMAL arguments keep their type.  Trigonometric functions work in DOUBLE, and give NaN outside
their domain, as Java's ``Math`` does.  Arrow's kernels are preferred to NumPy's: they call the C library for each value, and
its last digit agrees with Java's.  NumPy's vector versions of exp, log and tan differ in the last digit.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...limits import DECIMAL_PRECISION_MAX
from ...runtime.kernel import Evaluated
from ...storage.values.arrow_calls import index_array
from ...storage.values.canonical import canonical
from .. import types as t
from ..columns.arrow import Bools, Floats, broadcast, by_setting, flat, floats, from_numpy, length_of, null_mask, row_by_row
from ..columns.kinds import Column, Datum, PythonValue
from ..java.decimals import half_towards_infinity, rescaled, truncated
from .registry import scalar

CATEGORY = "MATHEMATICAL"


def _same(types: Sequence[t.SqlType], _literals: Sequence[PythonValue]) -> t.SqlType:
    return types[0]


def _whole(types: Sequence[t.SqlType], _literals: Sequence[PythonValue]) -> t.SqlType:
    """DECIMAL(p, s) without its fraction: DECIMAL(p - s, 0) with at least one digit, as in ksqlDB."""
    decimal = types[0]
    assert isinstance(decimal, t.Decimal)
    return t.Decimal(max(1, decimal.precision - decimal.scale), 0)


def _fit(value: Decimal, precision: int, scale: int) -> Decimal:
    """``value`` with a larger scale, which only adds zeros.

    Raises:
        ValueError: it needs too many digits.
    """
    result = rescaled(value, scale, ROUND_HALF_UP)
    if len(result.as_tuple().digits) > precision:
        raise ValueError(f"{value} does not fit DECIMAL({precision}, {scale})")
    return result


def _wider(value: Column) -> Column:
    """DECIMALs with one more digit, so that rounding cannot overflow.  (Arrow would not report an overflow.)

    Raises:
        pa.ArrowInvalid: there is no such type.
    """
    if value.type.precision >= DECIMAL_PRECISION_MAX:
        raise pa.ArrowInvalid("no wider DECIMAL")
    return value.cast(t.to_arrow(t.Decimal(value.type.precision + 1, value.type.scale)))


# --- same type in and out ------------------------------------------------------------------

_ANY_NUMBER = ("(value INT) -> INT", "(value BIGINT) -> BIGINT", "(value DOUBLE) -> DOUBLE")


@scalar("ABS", "The absolute value.", *_ANY_NUMBER, style="arrow", category=CATEGORY)
@scalar("ABS", "The absolute value.", "(value DECIMAL) -> *", style="arrow", returns=_same, category=CATEGORY)
def absolute(value: Column) -> Column:
    return flat(pc.abs(value))


def _define_edge(name: str, meaning: str, kernel: Callable[[Any], Any], rounding: str) -> None:
    def numbers(value: Column) -> Column:
        return flat(kernel(value)) if pa.types.is_floating(value.type) else value

    def decimals(value: Column) -> Evaluated:
        type_ = value.type
        try:
            return Evaluated(flat(kernel(_wider(value))).cast(type_))
        except pa.ArrowInvalid:
            return row_by_row(lambda v: _fit(rescaled(v, 0, rounding), type_.precision, type_.scale), type_, value)

    scalar(name, meaning, *_ANY_NUMBER, style="arrow", category=CATEGORY)(numbers)
    scalar(name, meaning, "(value DECIMAL) -> *", style="arrow", returns=_same, category=CATEGORY)(decimals)


_define_edge("CEIL", "The smallest whole number that is not below the value.", pc.ceil, ROUND_CEILING)
_define_edge("FLOOR", "The largest whole number that is not above the value.", pc.floor, ROUND_FLOOR)


# --- ROUND and TRUNC -----------------------------------------------------------------------

_ROUND = "The value rounded to a number of decimal places (default 0); a half goes up."
_TRUNC = "The value cut off after a number of decimal places (default 0), towards zero."


def _to_bigint(whole: Floats, missing: Bools) -> Column:
    """Convert whole doubles to BIGINT as Java casts them: NaN is 0, values out of range become the nearest BIGINT."""
    whole = np.nan_to_num(whole, nan=0.0, posinf=np.inf, neginf=-np.inf)
    large, small = whole >= 2.0**63, whole <= -(2.0**63)
    result = np.where(large | small, 0.0, whole).astype(np.int64)
    result[large] = np.iinfo(np.int64).max
    result[small] = np.iinfo(np.int64).min
    return from_numpy(result, pa.int64(), missing)


@scalar("ROUND", _ROUND, "(value INT) -> BIGINT", "(value BIGINT) -> BIGINT", style="arrow", category=CATEGORY)
@scalar("TRUNC", _TRUNC, "(value INT) -> BIGINT", "(value BIGINT) -> BIGINT", style="arrow", category=CATEGORY)
def whole_as_it_is(value: Column) -> Column:
    return value.cast(pa.int64())


@scalar("ROUND", _ROUND, "(value DOUBLE) -> BIGINT", style="arrow", category=CATEGORY)
def round_double(value: Column) -> Column:
    numbers = floats(value)
    lower = np.floor(numbers)
    with np.errstate(invalid="ignore"):
        return _to_bigint(lower + (numbers - lower >= 0.5), null_mask(value))


@scalar("TRUNC", _TRUNC, "(value DOUBLE) -> BIGINT", style="arrow", category=CATEGORY)
def trunc_double(value: Column) -> Column:
    return _to_bigint(np.trunc(floats(value)), null_mask(value))


@scalar("ROUND", _ROUND, "(value DECIMAL) -> *", style="arrow", returns=_whole, category=CATEGORY)
def round_decimal(value: Column) -> Evaluated:
    return _whole_decimals(value, half_towards_infinity)


@scalar("TRUNC", _TRUNC, "(value DECIMAL) -> *", style="arrow", returns=_whole, category=CATEGORY)
def trunc_decimal(value: Column) -> Evaluated:
    return _whole_decimals(value, truncated)


_Mode = Literal["half_up", "towards_zero"]
_ARROW_MODES: dict[Callable[[Decimal, int], Decimal], _Mode] = {
    half_towards_infinity: "half_up",
    truncated: "towards_zero",
}
"""Arrow's name for each way of rounding.  Arrow's ``half_up`` goes towards positive infinity, as ours does."""


def _whole_decimals(value: Column, rounding: Callable[[Decimal, int], Decimal]) -> Evaluated:
    precision = max(1, value.type.precision - value.type.scale)
    type_ = t.to_arrow(t.Decimal(precision, 0))
    try:
        return Evaluated(flat(pc.round(_wider(value), 0, round_mode=_ARROW_MODES[rounding])).cast(type_))
    except pa.ArrowInvalid:
        return row_by_row(lambda v: _fit(rounding(v, 0), precision, 0), type_, value)


@scalar("ROUND", _ROUND, "(value DECIMAL, places INT) -> *", style="arrow", returns=_same, category=CATEGORY)
def round_decimal_places(value: Datum, places: Datum) -> Evaluated:
    return _decimals_to_places(value, places, half_towards_infinity)


@scalar("TRUNC", _TRUNC, "(value DECIMAL, places INT) -> *", style="arrow", returns=_same, category=CATEGORY)
def trunc_decimal_places(value: Datum, places: Datum) -> Evaluated:
    return _decimals_to_places(value, places, truncated)


def _decimals_to_places(value: Datum, places: Datum, rounding: Callable[[Decimal, int], Decimal]) -> Evaluated:
    type_ = value.type

    def one(number: Decimal, places: int) -> Decimal:
        return _fit(number if places >= type_.scale else rounding(number, places), type_.precision, type_.scale)

    if isinstance(places, pa.Scalar) and places.is_valid and isinstance(value, pa.Array):
        count = places.as_py()
        if count >= type_.scale:
            return Evaluated(value)
        if count > type_.scale - type_.precision:
            try:
                return Evaluated(flat(pc.round(_wider(value), count, round_mode=_ARROW_MODES[rounding])).cast(type_))
            except pa.ArrowInvalid:
                pass
    if not isinstance(places, pa.Scalar):
        return by_setting(
            lambda column, count: _decimals_to_places(column, pa.scalar(count, pa.int32()), rounding),
            one,
            type_,
            value,
            places,
        )
    return row_by_row(one, type_, value, places)


def _double_to_places(value: float, places: int, rounding: Callable[[Decimal, int], Decimal]) -> float:
    """Round a double by its decimal text and not by its exact value: 1.005 becomes 1.01, although it is slightly less."""
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be rounded to decimal places")
    number = Decimal(repr(value))
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and places >= -exponent:
        return value
    if places < -400:
        return 0.0
    return float(rounding(number, places))


@scalar("ROUND", _ROUND, "(value DOUBLE, places INT) -> DOUBLE", style="arrow", category=CATEGORY)
def round_double_places(value: Datum, places: Datum) -> Evaluated:
    return _doubles_to_places(value, places, half_towards_infinity)


@scalar("TRUNC", _TRUNC, "(value DOUBLE, places INT) -> DOUBLE", style="arrow", category=CATEGORY)
def trunc_double_places(value: Datum, places: Datum) -> Evaluated:
    return _doubles_to_places(value, places, truncated)


def _doubles_to_places(value: Datum, places: Datum, rounding: Callable[[Decimal, int], Decimal]) -> Evaluated:
    def one(number: float, count: int) -> float:
        return _double_to_places(number, count, rounding)

    def column(values: Column, count: int) -> Evaluated:
        if abs(count) > _PLACES_IN_BINARY_MAX:
            return row_by_row(one, pa.float64(), values, pa.scalar(count))
        return _doubles_in_binary(values, count, rounding)

    return by_setting(column, one, pa.float64(), value, places)


_PLACES_IN_BINARY_MAX = 15
"""Powers of ten up to this one, and integers below them, are exact as doubles."""


def _doubles_in_binary(value: Column, count: int, rounding: Callable[[Decimal, int], Decimal]) -> Evaluated:
    """Round a whole column in binary, where that gives the same result as rounding the decimal text.

    That is so away from halves (for truncation: away from integers), and for numbers that have no more places than wanted.
    The other rows are rounded one by one.
    """
    factor = 10.0 ** abs(count)
    numbers, missing = floats(value), null_mask(value)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = numbers * factor if count >= 0 else numbers / factor
        lower = np.floor(scaled)
        above = scaled - lower
        whole = lower + (above > 0.5) if rounding is half_towards_infinity else np.trunc(scaled)
        rounded = whole / factor if count >= 0 else whole * factor
        edge = np.abs(above - 0.5) if rounding is half_towards_infinity else np.minimum(above, 1 - above)
        unsure = ~(np.abs(scaled) < 2.0**50) | (edge <= np.abs(scaled) * 2.0**-48) | (whole == 0)
        nearest = np.rint(scaled)
        as_it_is = (nearest / factor == numbers) & (np.abs(nearest) < 1e15) & (nearest != 0) & (count >= 0)
        rounded = np.where(as_it_is, numbers, rounded)
        unsure &= ~as_it_is
    rows = np.flatnonzero(unsure & ~missing)
    if len(rows) == 0:
        return Evaluated(from_numpy(rounded, pa.float64(), missing))
    slow = row_by_row(lambda v: _double_to_places(v, count, rounding), pa.float64(), value.take(index_array(rows)))
    rounded[rows] = slow.values.fill_null(0).to_numpy(zero_copy_only=False)
    missing[rows] = null_mask(slow.values)
    failures = slow.failures
    if failures is not None:
        failures = type(failures)(rows[failures.rows], failures.reasons)
    return Evaluated(from_numpy(rounded, pa.float64(), missing), failures)


# --- functions of one number that give a DOUBLE --------------------------------------------


def _define_double(name: str, meaning: str, kernel: Callable[[Any], Any]) -> None:
    def function(value: Column) -> Column:
        return flat(kernel(value.cast(pa.float64())))

    signatures = ("(value INT) -> DOUBLE", "(value BIGINT) -> DOUBLE", "(value DOUBLE) -> DOUBLE")
    scalar(name, meaning, *signatures, style="arrow", category=CATEGORY)(function)


def _of_arrow(name: str) -> Callable[[Any], Any]:
    """A function of Arrow that its type stubs do not have yet."""
    return lambda value: pc.call_function(name, [value])


def _by_numpy(function: Callable[[Floats], Floats]) -> Callable[[Any], Any]:
    def kernel(value: Column) -> Column:
        with np.errstate(all="ignore"):
            return from_numpy(function(floats(value)), pa.float64(), null_mask(value))

    return kernel


def _cube_root(numbers: Floats) -> Floats:
    """The C library's root, improved by one step of Newton's method.

    The library's root may be wrong in its last digit (for 27 it is not 3).  The step needs more digits of the root's cube
    than a double has, so `_product` also gives the rounding error.
    """
    root = np.cbrt(numbers)
    square, square_rest = _product(root, root)
    cube, cube_rest = _product(square, root)
    better = root + ((numbers - cube) - (cube_rest + square_rest * root)) / (3.0 * square)
    ordinary = (np.abs(numbers) > 1e-280) & (np.abs(numbers) < np.inf)  # below, the rounding errors are no doubles
    return np.where(ordinary, better, root)


def _product(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """A product and its rounding error.  (Dekker: each factor is split in two halves, and the products of halves are
    exact.)
    """

    def halves(x: Floats) -> tuple[Floats, Floats]:
        scaled = x * (2.0**27 + 1)
        high = scaled - (scaled - x)
        return high, x - high

    product = a * b
    (a1, a2), (b1, b2) = halves(a), halves(b)
    return product, ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2


def _cotangent(value: Column) -> Column:
    tangent = pc.tan(value)
    with np.errstate(all="ignore"):
        return from_numpy(1.0 / floats(tangent), pa.float64(), null_mask(tangent))


_define_double("SQRT", "The square root; NaN for negative values.", pc.sqrt)
_define_double("CBRT", "The cube root.", _by_numpy(_cube_root))
_define_double("EXP", "The number e raised to the value.", pc.exp)
_define_double("LN", "The natural logarithm; NaN for negative values.", pc.ln)
_define_double("RADIANS", "An angle in degrees as radians.", _by_numpy(lambda x: x * (math.pi / 180)))
_define_double("DEGREES", "An angle in radians as degrees.", _by_numpy(lambda x: x * (180 / math.pi)))
_define_double("SIN", "The sine of an angle in radians.", pc.sin)
_define_double("COS", "The cosine of an angle in radians.", pc.cos)
_define_double("TAN", "The tangent of an angle in radians.", pc.tan)
_define_double("COT", "The cotangent of an angle in radians.", _cotangent)
_define_double("SINH", "The hyperbolic sine.", _of_arrow("sinh"))
_define_double("COSH", "The hyperbolic cosine.", _of_arrow("cosh"))
_define_double("TANH", "The hyperbolic tangent.", _of_arrow("tanh"))
_define_double("ASIN", "The angle in radians whose sine is the value.", pc.asin)
_define_double("ACOS", "The angle in radians whose cosine is the value.", pc.acos)
_define_double("ATAN", "The angle in radians whose tangent is the value.", pc.atan)


@scalar(
    "SIGN",
    "1, 0 or -1 for values above, at and below zero.",
    "(value INT) -> INT",
    "(value BIGINT) -> INT",
    "(value DOUBLE) -> INT",
    style="arrow",
    category=CATEGORY,
)
def sign(value: Column) -> Column:
    numbers = np.nan_to_num(floats(value), nan=0.0)
    return from_numpy(np.sign(numbers).astype(np.int32), pa.int32(), null_mask(value))


# --- functions of two numbers --------------------------------------------------------------


def _pair_signatures(first: str, second: str) -> tuple[str, ...]:
    return tuple(f"({first} {type_}, {second} {type_}) -> DOUBLE" for type_ in ("INT", "BIGINT", "DOUBLE"))


@scalar("ATAN2", "The angle in radians of the point (x, y).", *_pair_signatures("y", "x"), style="arrow", category=CATEGORY)
def atan2(y: Datum, x: Datum) -> Column:
    return flat(pc.atan2(y.cast(pa.float64()), x.cast(pa.float64())))


@scalar("POWER", "The base raised to the exponent.", *_pair_signatures("base", "exponent"), style="arrow", category=CATEGORY)
def power(base: Datum, exponent: Datum) -> Column:
    return flat(pc.power(base.cast(pa.float64()), exponent.cast(pa.float64())))


_LOG = "The logarithm to a base (default e); NaN for a base that is not positive or is 1."


@scalar(
    "LOG",
    _LOG,
    "(value INT) -> DOUBLE",
    "(value BIGINT) -> DOUBLE",
    "(value DOUBLE) -> DOUBLE",
    style="arrow",
    category=CATEGORY,
)
def log(value: Column) -> Column:
    return flat(pc.ln(value.cast(pa.float64())))


@scalar("LOG", _LOG, *_pair_signatures("base", "value"), style="arrow", category=CATEGORY)
def log_base(base: Datum, value: Datum) -> Column:
    length = length_of((base, value))
    bases = broadcast(base, length).cast(pa.float64())
    values = broadcast(value, length).cast(pa.float64())
    missing = null_mask(bases) | null_mask(values)
    numbers = floats(bases)
    with np.errstate(all="ignore"):
        result = floats(pc.ln(values)) / floats(pc.ln(bases))
    result[(numbers <= 0) | (numbers == 1)] = np.nan
    return from_numpy(result, pa.float64(), missing)


@scalar("PI", "The ratio of a circle's circumference to its diameter.", "() -> DOUBLE", category=CATEGORY)
def pi() -> float:
    return math.pi


@scalar("RANDOM", "A random number from 0 (inclusive) to 1 (exclusive).", "() -> DOUBLE", volatile=True, category=CATEGORY)
def random_number() -> float:
    return random.random()


# --- GREATEST and LEAST --------------------------------------------------------------------


def _widest(types: Sequence[t.SqlType], _literals: Sequence[PythonValue]) -> t.SqlType:
    decimals = [type_ for type_ in types if isinstance(type_, t.Decimal)]
    scale = max(d.scale for d in decimals)
    return t.Decimal(max(d.precision - d.scale for d in decimals) + scale, scale)


def _define_extreme(name: str, meaning: str, kernel: Callable[..., Any]) -> None:
    def function(*arguments: Datum) -> Column:
        kind: Any = next((a.type for a in arguments if not pa.types.is_null(a.type)), None)
        if kind is not None and pa.types.is_decimal(kind):
            kind = t.to_arrow(_widest([t.from_arrow(a.type) for a in arguments if not pa.types.is_null(a.type)], ()))
        type_: Any = kind
        values = [canonical(a.cast(type_)) if isinstance(a, pa.Array) else a.cast(type_) for a in arguments]
        result = kernel(*values)
        if kernel is pc.max_element_wise and kind is not None and pa.types.is_floating(kind):
            # Arrow skips NaN like nulls; in Java it is above all numbers.
            for value in values:
                result = pc.if_else(pc.fill_null(pc.is_nan(value), pa.scalar(False)), value, result)
        return flat(result)

    types = ("INT", "BIGINT", "DOUBLE", "STRING", "BYTES", "DATE", "TIME", "TIMESTAMP")
    signatures = [f"(first {type_}, rest {type_}...) -> {type_}" for type_ in types]
    scalar(name, meaning, *signatures, style="arrow", nulls=True, category=CATEGORY)(function)
    signature = "(first DECIMAL, rest DECIMAL...) -> *"
    scalar(name, meaning, signature, style="arrow", nulls=True, returns=_widest, category=CATEGORY)(function)


_define_extreme("GREATEST", "The largest of the arguments, nulls left out.", pc.max_element_wise)
_define_extreme("LEAST", "The smallest of the arguments, nulls left out.", pc.min_element_wise)


# --- distance ------------------------------------------------------------------------------

_EARTH_RADIUS_KM = 6371.0
_EARTH_RADIUS_MILES = 3959.0


@scalar(
    "GEO_DISTANCE",
    "The great-circle distance of two points in degrees, in kilometres ('KM', the default) or miles ('MI').",
    "(latitude1 DOUBLE, longitude1 DOUBLE, latitude2 DOUBLE, longitude2 DOUBLE) -> DOUBLE",
    "(latitude1 DOUBLE, longitude1 DOUBLE, latitude2 DOUBLE, longitude2 DOUBLE, unit STRING) -> DOUBLE",
    nulls=True,
    category=CATEGORY,
)
def geo_distance(
    latitude1: float | None,
    longitude1: float | None,
    latitude2: float | None,
    longitude2: float | None,
    unit: str | None = None,
) -> float | None:
    """The haversine formula.  A null unit means kilometres.

    Raises:
        ValueError: degrees are out of range.
    """
    if latitude1 is None or longitude1 is None or latitude2 is None or longitude2 is None:
        return None
    for latitude in (latitude1, latitude2):
        if not -90 <= latitude <= 90:
            raise ValueError(f"a latitude must be from -90 to 90 degrees, not {latitude}")
    for longitude in (longitude1, longitude2):
        if not -180 <= longitude <= 180:
            raise ValueError(f"a longitude must be from -180 to 180 degrees, not {longitude}")
    north = math.radians(latitude2 - latitude1)
    east = math.radians(longitude2 - longitude1)
    chord = math.sin(north / 2) ** 2 + math.sin(east / 2) ** 2 * math.cos(math.radians(latitude1)) * math.cos(
        math.radians(latitude2)
    )
    radius = _EARTH_RADIUS_MILES if unit is not None and unit.upper().startswith("MI") else _EARTH_RADIUS_KM
    return 2 * radius * math.asin(math.sqrt(chord))
