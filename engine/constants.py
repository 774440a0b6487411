"""Converts Python values to constant expressions.  A value has the type of the same constant in a text of SQL."""

from __future__ import annotations

import datetime
import math
import uuid
from decimal import Decimal
from typing import Any

import numpy as np

from ..errors import Span, StatementError
from ..grammar import ast
from ..limits import NESTING_DEPTH_MAX
from ..storage.values.time_units import DAY_MS
from .expressions.temporal_text import format_date, format_timestamp
from .intake.values import Unfit, plain, stored
from .types import DATE, TIME, TIMESTAMP, SqlType


def constant(value: Any, span: Span, depth: int = 0) -> ast.Expression:
    """Convert a Python value to a constant expression.

    Raises:
        StatementError: the value has no SQL type, or its type cannot hold it.
    """
    if depth > NESTING_DEPTH_MAX:
        raise StatementError(f"the value of a parameter is nested more than {NESTING_DEPTH_MAX} levels deep", span=span)
    value = plain(value)
    if isinstance(value, uuid.UUID):
        value = str(value)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    match value:
        case None:
            return ast.NullLiteral(span=span)
        case bool():
            return ast.BooleanLiteral(value, span=span)
        case int() if -(2**63) <= value < 2**63:
            return ast.IntegerLiteral(value, span=span)
        case int():
            return ast.DecimalLiteral(str(value), span=span)
        case float() if math.isfinite(value):
            return ast.DoubleLiteral(value, span=span)
        case float() if math.isnan(value):
            return ast.FunctionCall("SQRT", (ast.DoubleLiteral(-1.0, span=span),), span=span)
        case float():
            huge = ast.DoubleLiteral(math.copysign(1e308, value), span=span)
            return ast.Arithmetic("*", huge, ast.DoubleLiteral(1e308, span=span), span=span)
        case Decimal() if value.is_finite():
            return ast.DecimalLiteral(format(value, "f"), span=span)
        case str():
            return ast.StringLiteral(text_within(value, span), span=span)
        case bytes() | bytearray() | memoryview():
            arguments = (ast.StringLiteral(bytes(value).hex(), span=span), ast.StringLiteral("hex", span=span))
            return ast.FunctionCall("TO_BYTES", arguments, span=span)
        case np.datetime64():
            return _time(value, DATE if np.datetime_data(value.dtype)[0] in ("Y", "M", "W", "D") else TIMESTAMP, span)
        case datetime.datetime():
            return _time(value, TIMESTAMP, span)
        case datetime.date():
            return _time(value, DATE, span)
        case datetime.time():
            return _time(value, TIME, span)
        case list() | tuple():
            return ast.ArrayConstructor(tuple(constant(v, span, depth + 1) for v in value), span=span)
        case dict() if all(isinstance(k, str) for k in value):
            members = tuple((text_within(k, span), constant(v, span, depth + 1)) for k, v in value.items())
            return ast.StructConstructor(members, of_dict=True, span=span)
        case dict():
            entries = tuple((constant(k, span, depth + 1), constant(v, span, depth + 1)) for k, v in value.items())
            return ast.MapConstructor(entries, span=span)
    raise StatementError(
        f"a value of the Python type {type(value).__name__} cannot be a parameter: {value!r:.100}", span=span
    )


def time_constant(value: int, type_: SqlType, span: Span) -> ast.Expression:
    """Make a constant of the type DATE, TIME or TIMESTAMP.

    Args:
        value: days since 1970-01-01, milliseconds of the day, or milliseconds since 1970-01-01.
    """
    if type_ == TIME:
        of_day = (datetime.datetime.min + datetime.timedelta(milliseconds=value)).time()
        return _cast(of_day.isoformat(timespec="milliseconds"), type_, span)
    days = value if type_ == DATE else value // DAY_MS
    if _YEARS[0] <= days + _EPOCH_DAY <= _YEARS[1]:
        return _cast(format_date(value) if type_ == DATE else format_timestamp(value), type_, span)
    function = "FROM_DAYS" if type_ == DATE else "FROM_UNIXTIME"  # the year needs more than four digits
    return ast.FunctionCall(function, (ast.IntegerLiteral(value, span=span),), span=span)


_YEARS = (datetime.date.min.toordinal(), datetime.date.max.toordinal())
_EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()


def _time(value: object, type_: SqlType, span: Span) -> ast.Expression:
    try:
        return time_constant(stored(value, type_), type_, span)
    except Unfit as error:
        raise StatementError(
            f"the value of a parameter does not fit {type_}: {value!r:.100}: {error}", span=span, suggestion=error.hint
        ) from error


def _cast(text: str, type_: SqlType, span: Span) -> ast.Cast:
    return ast.Cast(ast.StringLiteral(text, span=span), ast.TypeName(str(type_), span=span), span=span)


def text_within(value: str, span: Span) -> str:
    """Check that a text can stand in a statement, and return it.

    Raises:
        StatementError: it has an unpaired surrogate.
    """
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise StatementError("a text holds half of a surrogate pair, which is not a character", span=span) from error
    return value
