"""Implicit casts: which types go together without a CAST.

Numbers widen from INTEGER to BIGINT to DECIMAL to DOUBLE.  A STRING becomes a DATE, TIME, TIMESTAMP or BYTES (base64) where
one of these is expected.  Arrays, maps and structs are converted element by element.  The common type of two structs has the
fields of both.

Literals in ARRAY[], MAP(), IN and INSERT VALUES are converted more freely: a string literal may stand for a number or a
boolean, and a number or a boolean for a string.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation, localcontext
from typing import Any

from ...errors import Span, StatementError
from ...limits import DECIMAL_PRECISION_MAX
from ...storage.values.java_doubles import format_double
from .. import types as t
from ..expressions import nodes as n
from ..expressions.arithmetic import as_decimal
from ..expressions.temporal_text import parse_date, parse_time, parse_timestamp

TEMPORAL = (t.DATE, t.TIME, t.TIMESTAMP)
_RANK = {t.INTEGER: 0, t.BIGINT: 1, t.DOUBLE: 3}
_NUMBER = re.compile(r"'[+-]?\d+(?:\.\d+)?'")


def cast_hint(left: n.TypedExpression, right: n.TypedExpression) -> str:
    """The suggestion for two operands of different types: the CAST to write."""
    for side, other in ((left, right), (right, left)):
        if isinstance(side.type, t.Array) and side.type.item == other.type:
            return f"ARRAY_CONTAINS({n.written(side)}, {n.written(other)}) looks into an array."
        if t.is_numeric(other.type) and _NUMBER.fullmatch(n.written(side)):
            return f"Write {n.written(side)[1:-1]} without quotes."
        if side.type == t.STRING and t.is_numeric(other.type) and n.written(other).isdecimal():
            return f"Write '{n.written(other)}', or CAST({n.written(side)} AS {other.type})."
    simple = [e for e in (right, left) if not isinstance(e.type, t.Array | t.Map | t.Struct)]
    if len(simple) < 2:
        return "A part of an array, map or struct is named as a[1], m['key'] or s->field."
    return f"Write CAST({n.written(right)} AS {left.type}), or CAST({n.written(left)} AS {right.type})."


def common_type(left: t.SqlType, right: t.SqlType) -> t.SqlType | None:
    """The narrowest type that holds the values of both types; None if there is none."""
    if left == right:
        return left
    match left, right:
        case t.Array(a), t.Array(b):
            item = common_type(a, b)
            return None if item is None else t.Array(item)
        case t.Map(k1, v1), t.Map(k2, v2):
            key, value = common_type(k1, k2), common_type(v1, v2)
            return None if key is None or value is None else t.Map(key, value)
        case t.Struct(), t.Struct():
            fields: dict[str, t.SqlType] = dict(left.fields)
            for name, type_ in right.fields:
                merged = common_type(fields[name], type_) if name in fields else type_
                if merged is None:
                    return None
                fields[name] = merged
            return t.Struct(tuple(fields.items()))
    if not (t.is_numeric(left) and t.is_numeric(right)):
        return None
    if t.DOUBLE in (left, right):
        return t.DOUBLE
    if isinstance(left, t.Decimal) or isinstance(right, t.Decimal):
        a, b = as_decimal(left), as_decimal(right)
        scale = max(a.scale, b.scale)
        return t.Decimal(max(a.precision - a.scale, b.precision - b.scale) + scale, scale)
    return t.BIGINT


def can_coerce(source: t.SqlType, target: t.SqlType) -> bool:
    """Whether a value of ``source`` may stand where ``target`` is expected, without a CAST."""
    if source == target:
        return True
    match source, target:
        case t.Array(a), t.Array(b):
            return can_coerce(a, b)
        case t.Map(k1, v1), t.Map(k2, v2):
            return can_coerce(k1, k2) and can_coerce(v1, v2)
        case t.Struct(), t.Struct():
            wanted = dict(target.fields)
            return all(name in wanted and can_coerce(type_, wanted[name]) for name, type_ in source.fields)
        case t.Decimal(), t.Decimal():
            whole = target.precision - target.scale
            return target.scale >= source.scale and whole >= source.precision - source.scale
        case _, t.Decimal():
            if source not in (t.INTEGER, t.BIGINT):
                return False
            return target.precision - target.scale >= as_decimal(source).precision
        case t.Decimal(), _:
            return target == t.DOUBLE
    if source in _RANK and target in _RANK:
        return _RANK[source] <= _RANK[target]
    return source == t.STRING and (target in TEMPORAL or target == t.BYTES)


def coerce(
    expression: n.TypedExpression, target: t.SqlType, *, lax: bool = False, fits_structs: bool = False
) -> n.TypedExpression:
    """Convert an expression to type ``target``, by an implicit cast if needed.  Literals are converted at once.

    Args:
        lax: literals may change between strings, numbers and booleans (INSERT VALUES, items of lists).
        fits_structs: drop the fields of a STRUCT(..) that the target lacks (INSERT VALUES).

    Raises:
        StatementError: the expression's type does not fit, or a literal's text or size does not.
    """
    if n.is_untyped_null(expression):
        return n.null(target, expression.span)
    if expression.type == target:
        return expression
    if isinstance(expression, n.Literal) and not isinstance(target, t.Array | t.Map | t.Struct):
        literal = convert_literal(expression, target, lax=lax)
        if literal is not None:
            return literal
    match expression, target:
        case n.ArrayMake(items=items), t.Array(item):
            return replace(
                expression, items=tuple(coerce(i, item, lax=lax, fits_structs=fits_structs) for i in items), type=target
            )
        case n.MapMake(entries=entries), t.Map(key, value):
            pairs = tuple(
                (coerce(k, key, lax=lax), coerce(v, value, lax=lax, fits_structs=fits_structs)) for k, v in entries
            )
            return replace(expression, entries=pairs, type=target)
        case n.StructMake(fields=members), t.Struct() if fits_structs or {name for name, _ in members} <= {
            f for f, _ in target.fields
        }:
            given = dict(members)
            renewed = tuple(
                (
                    name,
                    coerce(given[name], type_, lax=lax, fits_structs=fits_structs) if name in given else n.null(type_),
                )
                for name, type_ in target.fields
            )
            return replace(expression, fields=renewed, type=target)
    if can_coerce(expression.type, target):
        return n.Cast(expression, implicit=True, type=target, span=expression.span)
    raise StatementError(
        f"{n.written(expression)} is {expression.type}, where {target} is needed",
        span=expression.span,
        suggestion=f"Write CAST({n.written(expression)} AS {target}) if that is what you mean.",
    )


# --- literals ------------------------------------------------------------------------------


def _bad(text: str, type_: t.SqlType, span: Span, reason: str = "") -> StatementError:
    example = _EXAMPLES.get(str(type_).partition("(")[0])
    hint = None if example is None else f"{type_} is written as {example}."
    return StatementError(f"'{text}' is not a valid {type_}" + (f": {reason}" if reason else ""), span=span, suggestion=hint)


_EXAMPLES = {
    "BOOLEAN": "TRUE",
    "INTEGER": "12",
    "BIGINT": "12",
    "DOUBLE": "1.5",
    "DECIMAL": "1.50",
    "DATE": "'2025-12-31'",
    "TIME": "'23:59:59'",
    "TIMESTAMP": "'2025-12-31T23:59:59'",
}


def boolean_of(text: str) -> bool | None:
    """Parse ``true``, ``yes``, ``false`` or ``no``, or the beginning of one of them; None for other text."""
    word = text.strip().lower()
    if not word:
        return None
    if "true".startswith(word) or "yes".startswith(word):
        return True
    return False if "false".startswith(word) or "no".startswith(word) else None


def number_of(text: str) -> n.Literal | None:
    """Parse a string literal as an INTEGER, BIGINT or DECIMAL.

    Returns:
        None if the text is not a number, or is NaN, infinite or too large.
    """
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        return None
    if not value.is_finite() or abs(value.adjusted()) > DECIMAL_PRECISION_MAX or "_" in text:
        return None
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    if exponent >= 0 and not text.strip().lstrip("+-").isdigit():
        # As in ksqlDB, a number written with a point or an exponent is a DECIMAL, even if it is whole.
        whole = int(value)
        return n.Literal(Decimal(whole), type=t.Decimal(len(str(abs(whole))), 0))
    if exponent >= 0:
        whole = int(value)
        if -(2**31) <= whole < 2**31:
            return n.Literal(whole, type=t.INTEGER)
        if -(2**63) <= whole < 2**63:
            return n.Literal(whole, type=t.BIGINT)
        return n.Literal(Decimal(whole), type=t.Decimal(len(str(abs(whole))), 0))
    scale = -exponent
    if scale > DECIMAL_PRECISION_MAX:
        return None
    return n.Literal(value, type=t.Decimal(max(len(digits), scale), scale))


def literal_as_text(value: Any) -> str:
    """The string that a number or boolean literal stands for."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    return format_double(value) if isinstance(value, float) else str(value)


def convert_literal(literal: n.Literal, target: t.SqlType, *, lax: bool = False) -> n.Literal | None:
    """Convert a literal to another type; None if the types cannot be converted.

    Raises:
        StatementError: the literal's text or size does not fit the type.
    """
    value, source = literal.value, literal.type
    if value is None:
        return n.null(target, literal.span) if can_coerce(source, target) or lax else None
    if source == t.STRING:
        return _convert_string(literal, target, lax)
    if t.is_numeric(source) and t.is_numeric(target):
        exact = isinstance(target, t.Decimal) and source != t.DOUBLE
        if not (lax or exact or can_coerce(source, target)):
            return None
        return _convert_number(literal, target, lax)
    if lax and target == t.STRING and (t.is_numeric(source) or source == t.BOOLEAN):
        return replace(literal, value=literal_as_text(value), type=t.STRING)
    return None


def _convert_string(literal: n.Literal, target: t.SqlType, lax: bool) -> n.Literal | None:
    text: str = literal.value
    value: Any
    try:
        if target == t.DATE:
            value = parse_date(text)
        elif target == t.TIME:
            value = parse_time(text)
        elif target == t.TIMESTAMP:
            value = parse_timestamp(text)
        elif target == t.BYTES:
            value = base64.b64decode(text, validate=True)
        elif not lax:
            return None
        elif target == t.BOOLEAN:
            value = boolean_of(text)
            if value is None:
                raise _bad(text, target, literal.span)
        elif t.is_numeric(target):
            number = number_of(text)
            if number is None:
                raise _bad(text, target, literal.span)
            return _convert_number(replace(number, span=literal.span), target, lax)
        else:
            return None
    except (ValueError, binascii.Error) as error:
        raise _bad(text, target, literal.span, str(error)) from None
    return replace(literal, value=value, type=target)


def _convert_number(literal: n.Literal, target: t.SqlType, lax: bool) -> n.Literal:
    value = literal.value
    if target == t.DOUBLE:
        return replace(literal, value=float(value), type=target)
    if isinstance(target, t.Decimal):
        with localcontext() as context:
            context.prec = 2 * DECIMAL_PRECISION_MAX
            exact = Decimal(format_double(value)) if isinstance(value, float) else Decimal(value)
            scaled = exact.quantize(Decimal(1).scaleb(-target.scale))
            fits = scaled == exact and len(scaled.as_tuple().digits) <= target.precision
        if not fits:
            raise _bad(n.literal_text(value, literal.type), target, literal.span, "it has too many digits")
        return replace(literal, value=scaled, type=target)
    bits = 32 if target == t.INTEGER else 64
    if value != int(value) or not -(2 ** (bits - 1)) <= int(value) < 2 ** (bits - 1):
        raise _bad(n.literal_text(value, literal.type), target, literal.span, "it does not fit")
    return replace(literal, value=int(value), type=target)


# --- lists ---------------------------------------------------------------------------------


def list_type(items: Sequence[n.TypedExpression]) -> t.SqlType | None:
    """The common type of a list's items: the type of the first one, widened by each of the others in turn.

    Returns:
        None if all items are NULL.

    Raises:
        StatementError: an item has no common type with those before it.
    """
    found: t.SqlType | None = None
    for item in items:
        if n.is_untyped_null(item):
            continue
        found = item.type if found is None else _widen(found, item)
    return found


def _widen(type_: t.SqlType, item: n.TypedExpression) -> t.SqlType:
    match type_, item:
        case t.Array(inner), n.ArrayMake(items=items):
            for part in items:
                inner = inner if n.is_untyped_null(part) else _widen(inner, part)
            return t.Array(inner)
        case t.Map(key, value), n.MapMake(entries=entries):
            for k, v in entries:
                key = key if n.is_untyped_null(k) else _widen(key, k)
                value = value if n.is_untyped_null(v) else _widen(value, v)
            return t.Map(key, value)
        case t.Struct(fields), n.StructMake(fields=members):
            merged = dict(fields)
            for name, part in members:
                if name in merged:
                    merged[name] = merged[name] if n.is_untyped_null(part) else _widen(merged[name], part)
                else:
                    merged[name] = part.type
            return t.Struct(tuple(merged.items()))
    widened = common_type(type_, item.type)
    if widened is not None:
        return widened
    if isinstance(item, n.Literal):
        if item.value is None:
            return type_
        if item.type == t.STRING and t.is_numeric(type_):
            number = number_of(item.value)
            if number is None:
                raise _bad(item.value, type_, item.span)
            widened = common_type(type_, number.type)
            assert widened is not None
            return widened
        if item.type == t.STRING and (type_ == t.BOOLEAN or type_ in TEMPORAL):
            convert_literal(item, type_, lax=True)
            return type_
        if type_ == t.STRING and (t.is_numeric(item.type) or item.type == t.BOOLEAN):
            return type_
    raise StatementError(
        f"{n.written(item)} is {item.type}, which does not go with {type_}",
        span=item.span,
        suggestion=f"All of them have one type: write CAST({n.written(item)} AS {type_}).",
    )
