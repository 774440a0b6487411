"""DECIMALs rounded as Java's ``BigDecimal`` rounds them.

There are two ways to round a half:

* CAST, and every value that gets the scale of a type, rounds a half away from zero (``RoundingMode.HALF_UP``): -2.5 is -3.
* ROUND rounds a half towards positive infinity, as Java's ``Math.round`` does: -2.5 is -2.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_DOWN, ROUND_HALF_UP, Decimal, InvalidOperation, localcontext

from ...limits import DECIMAL_PRECISION_MAX
from .. import types as t


def rounded_to_type(value: Decimal, type_: t.Decimal) -> Decimal:
    """The value at the type's scale.  A half is rounded away from zero.

    Raises:
        ValueError: it has too many digits.
    """
    try:
        scaled = rescaled(value, type_.scale, ROUND_HALF_UP)
    except InvalidOperation:
        raise ValueError(f"{value} does not fit {type_}") from None
    if len(scaled.as_tuple().digits) > type_.precision and scaled:
        raise ValueError(f"{value} does not fit {type_}")
    return scaled


def rescaled(value: Decimal, places: int, rounding: str) -> Decimal:
    """The value with this number of decimal places (negative: whole tens, hundreds, ..), rounded by a mode of `decimal`.

    Raises:
        InvalidOperation: the result has more digits than any DECIMAL.
    """
    with localcontext() as context:
        context.prec = 2 * DECIMAL_PRECISION_MAX + max(0, places)
        return value.quantize(Decimal(1).scaleb(-places), rounding=rounding)


def half_towards_infinity(value: Decimal, places: int) -> Decimal:
    """The value with this number of decimal places.  A half is rounded towards positive infinity."""
    return rescaled(value, places, ROUND_HALF_UP if value > 0 else ROUND_HALF_DOWN)


def truncated(value: Decimal, places: int) -> Decimal:
    """The value with this number of decimal places.  Further digits are dropped."""
    return rescaled(value, places, ROUND_DOWN)
