"""Arithmetic, a column at a time, with Java's results.

* Integers wrap around.  Their division truncates towards zero, and the remainder has the sign of the dividend.  Division by
  zero fails.
* DOUBLE follows IEEE 754: 1/0 is infinite.
* DECIMAL is exact: a quotient with more digits than its type fails.
* The result is NULL if an operand is NULL.  Only strings differ: ``+`` reads NULL as the text ``null``, as Java does, and
  ``||`` as the empty text.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...limits import DECIMAL_PRECISION_MAX
from ...runtime.batch import Int64s
from ...runtime.kernel import Failures, failures_at, failures_of
from .. import types as t
from ..columns.sizes import check_column, size_of
from ..functions.aggregate_values import from_unscaled, unscaled
from . import nodes as n
from .casts import cast_array
from .frames import Evaluator, RowFrame, Value, strict
from .values import from_numpy, null_mask, to_numpy

_T = TypeVar("_T")
_ARROW_CALLS = {"+": pc.add, "-": pc.subtract, "*": pc.multiply}


def _unchanged(data: _T) -> _T:
    return data


def widening(source: t.SqlType, target: t.SqlType) -> Callable[[Any], Any]:
    """Make a function that converts an operand, an array or a scalar, to a wider numeric type.

    The function converts a scalar only once if every batch has the same one, as for a constant.
    """
    if source == target:
        return _unchanged
    last: tuple[object, object] = (None, None)

    def widen(data: Any) -> Any:
        nonlocal last
        if not isinstance(data, pa.Scalar):
            return cast_array(data, source, target).values
        before, after = last
        if before is not data:
            after = cast_array(pa.array([data.as_py()], data.type), source, target).values[0]
            last = data, after
        return after

    return widen


def compile_arithmetic(e: n.Arithmetic, left: Evaluator, right: Evaluator) -> Evaluator:
    """Compile ``left operator right``."""
    if e.type == t.STRING:
        return _compile_concatenation(left, right, "null" if e.operator == "+" else "")
    work = _operand_types(e)
    wide = isinstance(e.type, t.Decimal) and e.type.precision > 38
    widen_left, widen_right = widening(e.left.type, work[0]), widening(e.right.type, work[1])

    def evaluate(frame: RowFrame) -> Value:
        a, b = left(frame), right(frame)
        parts = (a, b)
        if e.operator == "*" and (short := _short_product(e, a, b)) is not None:
            return short
        x, y = widen_left(a.data), widen_right(b.data)
        if a.is_scalar and b.is_scalar:
            x = frame.array(x)
        if e.operator in _ARROW_CALLS:
            if wide:
                x, y = _widened(x, work[0]), _widened(y, work[1])
            result = _ARROW_CALLS[e.operator](x, y)
            if result.type != t.to_arrow(e.type):
                result = pc.cast(result, t.to_arrow(e.type))
            return strict(result, parts)
        x = frame.array(x)
        if e.type in (t.INTEGER, t.BIGINT) and isinstance(y, pa.Scalar) and y.is_valid and y.as_py():
            return strict(_divide_by_constant(e, x, y.as_py()), parts)
        y = frame.array(y)
        if isinstance(e.type, t.Decimal):
            result, own = _divide_decimals(e, x, y)
        elif e.type == t.DOUBLE:
            result, own = _divide_doubles(e.operator, x, y), None
        else:
            result, own = _divide_integers(e, x, y)
        return strict(result, parts, own)

    return evaluate


def as_decimal(type_: t.SqlType) -> t.Decimal:
    """The DECIMAL type that holds an exact number: DECIMAL(10, 0) for INTEGER, DECIMAL(19, 0) for BIGINT."""
    if isinstance(type_, t.Decimal):
        return type_
    return t.Decimal(10 if type_ == t.INTEGER else 19, 0)


def _operand_types(e: n.Arithmetic) -> tuple[t.SqlType, t.SqlType]:
    if not isinstance(e.type, t.Decimal):
        return e.type, e.type
    return as_decimal(e.left.type), as_decimal(e.right.type)


def _short_product(e: n.Arithmetic, a: Value, b: Value) -> Value | None:
    """Multiply exact numbers, one of them a DECIMAL, in 64-bit integers.

    Arrow converts to 128 bits and multiplies there, which takes several times as long.  None if the digits may not fit into
    64 bits, or an operand is not a column.
    """
    type_ = e.type
    if not isinstance(type_, t.Decimal) or type_.precision > 38:
        return None
    if type_.scale != as_decimal(e.left.type).scale + as_decimal(e.right.type).scale:
        return None
    columns = [value.data for value in (a, b) if not value.is_scalar]
    left, right = _digits(a, e.left.type), _digits(b, e.right.type)
    if left is None or right is None or not columns or not len(columns[0]):
        return None
    largest = max(-int(left.min()), int(left.max())) * max(-int(right.min()), int(right.max()))
    if largest >= 1 << 63 or largest >= 10**type_.precision:
        return None
    nulls = [null_mask(c) for c in columns if c.null_count]
    mask = None if not nulls else nulls[0] if len(nulls) == 1 else nulls[0] | nulls[1]
    return strict(from_unscaled(left * right, t.to_arrow(type_), mask), (a, b))


def _digits(value: Value, source: t.SqlType) -> Int64s | None:
    """The digits of exact numbers as int64[n], or int64[1] of a constant.  None if they may not fit, or the constant is
    NULL.
    """
    data = value.data
    if isinstance(source, t.Decimal) and source.precision > 18:
        return None
    if value.is_scalar:
        if not data.is_valid:
            return None
        data = pa.array([data.as_py()], data.type)
    return unscaled(data) if isinstance(source, t.Decimal) else to_numpy(data, np.int64)


def _widened(data: Any, type_: t.SqlType) -> Any:
    """The same decimals in 256 bits.  Arrow computes results of more than 38 digits only from such operands."""
    assert isinstance(type_, t.Decimal)
    wide = pa.decimal256(type_.precision, type_.scale)
    return data if data.type == wide else data.cast(wide)


def _divide_by_constant(e: n.Arithmetic, x: Any, divisor: int) -> Any:
    """Like `_divide_integers`, for a divisor that is the same in all rows and not zero."""
    dtype = np.int32 if e.type == t.INTEGER else np.int64
    a = to_numpy(x, dtype)
    with np.errstate(all="ignore"):
        if divisor > 0 and len(a) and a.min() >= 0:  # rounding down truncates here, and NumPy needs no division
            result = a // dtype(divisor)
            if e.operator == "%":
                np.subtract(a, result * dtype(divisor), out=result)
        else:
            remainder = np.fmod(a, dtype(divisor))
            result = remainder if e.operator == "%" else (a - remainder) // dtype(divisor)
    return from_numpy(result.astype(dtype, copy=False), null_mask(x) if x.null_count else None, t.to_arrow(e.type))


def _divide_integers(e: n.Arithmetic, x: Any, y: Any) -> tuple[Any, Failures | None]:
    arrow = t.to_arrow(e.type)
    dtype = np.int32 if e.type == t.INTEGER else np.int64
    a, b = to_numpy(x, dtype), to_numpy(y, dtype)
    nulls = null_mask(x) | null_mask(y)
    zero = b == 0
    divisor = np.where(zero, dtype(1), b)
    with np.errstate(all="ignore"):
        remainder = np.fmod(a, divisor)
        result = remainder if e.operator == "%" else (a - remainder) // divisor
    own = failures_at(np.flatnonzero(zero & ~nulls), f"{n.text(e)}: division by zero")
    return from_numpy(result.astype(dtype, copy=False), nulls | zero, arrow), own


def _divide_doubles(operator: str, x: Any, y: Any) -> Any:
    a, b = to_numpy(x, np.float64), to_numpy(y, np.float64)
    with np.errstate(all="ignore"):
        result = a / b if operator == "/" else np.fmod(a, b)
    return from_numpy(result, null_mask(x) | null_mask(y), pa.float64())


def _divide_decimals(e: n.Arithmetic, x: Any, y: Any) -> tuple[Any, Failures | None]:
    assert isinstance(e.type, t.Decimal)
    if e.operator == "/" and e.type.precision <= 38 and max(x.type.precision, y.type.precision) <= 18:
        return _divide_short_decimals(e, x, y, e.type)
    failed: dict[int, str] = {}
    values: list[Decimal | None] = []
    work = divide_decimal if e.operator == "/" else remainder_decimal
    for row, (a, b) in enumerate(zip(x.to_pylist(), y.to_pylist(), strict=True)):
        result = None
        if a is not None and b is not None:
            try:
                result = work(a, b, e.type)
            except ArithmeticError as error:
                failed[row] = f"{n.text(e)}: {error}"
        values.append(result)
    return pa.array(values, t.to_arrow(e.type)), failures_of(failed)


def _divide_short_decimals(e: n.Arithmetic, x: Any, y: Any, type_: t.Decimal) -> tuple[Any, Failures | None]:
    """Divide decimals whose digits fit into 64-bit integers.  This is several times faster than `divide_decimal`."""
    factor = 10 ** (type_.scale + y.type.scale - x.type.scale)
    nulls = null_mask(x) | null_mask(y)
    quotients = [0] * len(x)
    failed: dict[int, str] = {}
    for row, (a, b, missing) in enumerate(zip(unscaled(x).tolist(), unscaled(y).tolist(), nulls.tolist(), strict=True)):
        if missing:
            continue
        if not b:
            failed[row] = f"{n.text(e)}: division by zero"
            continue
        quotient, rest = divmod(a * factor, b)
        if rest:
            failed[row] = f"{n.text(e)}: {x[row].as_py()} / {y[row].as_py()} is not exact in {type_}"
        else:
            quotients[row] = quotient
    if failed:
        nulls[list(failed)] = True
    words = b"".join([q.to_bytes(16, "little", signed=True) for q in quotients])
    validity = pa.array(~nulls).buffers()[1] if nulls.any() else None
    arrow = t.to_arrow(type_)
    return pa.Array.from_buffers(arrow, len(x), [validity, pa.py_buffer(words)]), failures_of(failed)


def _unscaled(value: Decimal) -> tuple[int, int]:
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    number = int("".join(map(str, digits)))
    return (-number if sign else number), -exponent


def divide_decimal(a: Decimal, b: Decimal, type_: t.Decimal) -> Decimal:
    """The exact quotient of two decimals.

    Raises:
        ArithmeticError: division by zero, or the quotient needs more digits than the type has.
    """
    if not b:
        raise ArithmeticError("division by zero")
    x, s1 = _unscaled(a)
    y, s2 = _unscaled(b)
    shift = type_.scale + s2 - s1
    quotient, rest = divmod(x * 10**shift, y) if shift >= 0 else divmod(x, y * 10**-shift)
    if rest:
        raise ArithmeticError(f"{a} / {b} is not exact in {type_}")
    with localcontext() as context:
        context.prec = 2 * DECIMAL_PRECISION_MAX
        result = Decimal(quotient).scaleb(-type_.scale)
    if len(result.as_tuple().digits) > type_.precision:
        raise ArithmeticError(f"{a} / {b} does not fit {type_}")
    return result


def remainder_decimal(a: Decimal, b: Decimal, type_: t.Decimal) -> Decimal:
    """The exact remainder of two decimals, with the sign of ``a``.

    Raises:
        ArithmeticError: division by zero, or the integer quotient has more digits than the type.
    """
    if not b:
        raise ArithmeticError("division by zero")
    x, s1 = _unscaled(a)
    y, s2 = _unscaled(b)
    scale = max(s1, s2)
    x, y = x * 10 ** (scale - s1), y * 10 ** (scale - s2)
    quotient, rest = divmod(abs(x), abs(y))
    if len(str(quotient)) > type_.precision:
        raise ArithmeticError(f"{a} % {b}: the quotient does not fit {type_.precision} digits")
    with localcontext() as context:
        context.prec = 2 * DECIMAL_PRECISION_MAX
        return Decimal(-rest if x < 0 else rest).scaleb(-scale).quantize(Decimal(1).scaleb(-type_.scale))


def _compile_concatenation(left: Evaluator, right: Evaluator, for_null: str) -> Evaluator:
    def evaluate(frame: RowFrame) -> Value:
        a, b = left(frame), right(frame)
        x = frame.array(a.data) if a.is_scalar and b.is_scalar else a.data
        check_column(size_of(x, frame.length) + size_of(b.data, frame.length))
        joined = pc.binary_join_element_wise(x, b.data, "", null_handling="replace", null_replacement=for_null)
        return strict(joined, (a, b))

    return evaluate


def compile_negation(operand: Evaluator) -> Evaluator:
    """Compile ``-operand``."""

    def evaluate(frame: RowFrame) -> Value:
        value = operand(frame)
        return strict(pc.negate(frame.array(value.data)), (value,))

    return evaluate
