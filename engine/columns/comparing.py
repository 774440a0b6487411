"""Compares columns, with the equality of `storage/values/canonical.py`.

NaN equals NaN and is above all other numbers, and -0.0 equals 0.0.  Nested values are equal if their parts are; inside of
them NULL equals NULL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from .arrow import broadcast, flat
from .items import identities

_CALLS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "=": pc.equal,
    "<>": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}


def compare(operator: str, x: Any, y: Any) -> Any:
    """Compare by one of ``= <> < <= > >=``.

    Args:
        x, y: arrays of one length or scalars, of one type or of types that Arrow compares.  Nested values must have the same
            type, and can only be compared for equality.

    Returns:
        a BOOLEAN array or scalar, null where an operand is null.
    """
    if pa.types.is_nested(x.type):
        return _compare_nested(operator, x, y)
    plain = _CALLS[operator](x, y)
    if not (pa.types.is_floating(x.type) and pa.types.is_floating(y.type)):
        return plain
    # With NaN, IEEE's comparisons are false, and ``<>`` is true.  Only that is corrected here.
    x_nan, y_nan = pc.is_nan(x), pc.is_nan(y)
    match operator:
        case "=":
            return pc.or_(plain, pc.and_(x_nan, y_nan))
        case "<>":
            return pc.and_not(plain, pc.and_(x_nan, y_nan))
        case "<":
            return pc.or_(plain, pc.and_not(y_nan, x_nan))
        case "<=":
            return pc.or_(plain, y_nan)
        case ">":
            return pc.or_(plain, pc.and_not(x_nan, y_nan))
    return pc.or_(plain, x_nan)


def equal(x: Any, y: Any) -> Any:
    """``x = y``, see `compare`."""
    return compare("=", x, y)


def _compare_nested(operator: str, x: Any, y: Any) -> Any:
    if operator not in ("=", "<>"):
        raise ValueError(f"{x.type} has no order")
    length = next((len(a) for a in (x, y) if not isinstance(a, pa.Scalar)), 1)
    left, right = flat(broadcast(x, length)), flat(broadcast(y, length))
    ids = identities(pa.concat_arrays([left, right]))
    same = ids[:length] == ids[length:]
    missing = pc.or_(left.is_null(), right.is_null())
    return pc.if_else(missing, pa.scalar(None, pa.bool_()), pa.array(same if operator == "=" else ~same))
