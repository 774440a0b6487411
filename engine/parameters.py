"""Values for ``?`` and ``$name``: each becomes the constant that the text would have had in its place.

A value is never read as SQL.  Its type is the one that the same constant has in a text: 5 is an INTEGER, 1.5 (a float) a
DOUBLE, ``Decimal("1.5")`` a DECIMAL(2, 1).
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar, cast

from ..errors import Span, StatementError
from ..grammar import ast
from ..grammar.selects import nodes_of, rebuilt
from ..limits import NESTING_DEPTH_MAX

Tree = TypeVar("Tree", bound=ast.Node)
Parameters = Sequence[Any] | Mapping[str, Any] | None

_EPOCH = datetime.datetime(1970, 1, 1)


def with_values(statement: Tree, parameters: Parameters) -> Tree:
    """The statement with its parameters replaced by constants.

    Args:
        parameters: a list or tuple for ``?`` in order, a dict for ``$name``; names are compared as they are written, or
            else without regard to case.

    Raises:
        StatementError: a parameter has no value, a value no parameter, or no type of SQL has such a value.
    """
    if parameters is not None and (isinstance(parameters, str | bytes) or not isinstance(parameters, Sequence | Mapping)):
        raise StatementError(f"parameters are a list or a dict, not {type(parameters).__name__}")
    places = [node for node in nodes_of(statement) if isinstance(node, ast.Parameter)]
    if not places and parameters is None:
        return statement
    given = _by_name(parameters)
    used: set[str] = set()

    def find(place: ast.Parameter) -> Any:
        name = place.name if place.name in given else place.name.upper()
        if name not in given:
            raise StatementError(
                f"the parameter {'?' if place.name.isdigit() else '$' + place.name} has no value",
                span=place.span,
                suggestion="Give values beside the text: a list for ?, a dict for $name.",
            )
        used.update((name, name.upper()))
        return given[name]

    def change(node: Any) -> Any:
        if isinstance(node, ast.Parameter):
            return constant(find(node), node.span)
        updates = {}
        for name in ("limit", "offset", "rows"):
            place = getattr(node, name, None)
            if isinstance(place, ast.Parameter):
                updates[name] = _count(find(place), place.span)
        return _replaced(node, updates, change) if updates else None

    bound = rebuilt(statement, change)
    for name in given:
        if name not in used:
            raise StatementError(f"there is a value for the parameter {name}, which the text has not")
    return cast("Tree", bound)


def _replaced(node: Any, updates: dict[str, Any], change: Any) -> Any:
    from dataclasses import replace

    return rebuilt(replace(node, **updates), lambda n: change(n))


def _by_name(parameters: Parameters) -> dict[str, Any]:
    if parameters is None:
        return {}
    if not isinstance(parameters, Mapping):
        return {str(number): value for number, value in enumerate(parameters, 1)}
    named: dict[str, Any] = {}
    for name, value in parameters.items():
        if not isinstance(name, str):
            raise StatementError(f"the name of a parameter is text, not {type(name).__name__}")
        named[name.removeprefix("$")] = value
    for name in list(named):
        named.setdefault(name.upper(), named[name]) if name.upper() == name else None
    return named


def _count(value: Any, span: Span) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise StatementError(f"a number of rows is wanted here, not {value!r}", span=span)
    return value


def constant(value: Any, span: Span, depth: int = 0) -> ast.Expression:
    """A Python value as an expression without names.

    Raises:
        StatementError: no type of SQL has such a value.
    """
    if depth > NESTING_DEPTH_MAX:
        raise StatementError(f"the value of a parameter is nested more than {NESTING_DEPTH_MAX} levels deep", span=span)
    value = _plain(value)
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
        case float():
            word = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
            return _cast(word, "DOUBLE", span)
        case Decimal() if value.is_finite():
            return ast.DecimalLiteral(format(value, "f"), span=span)
        case str():
            return ast.StringLiteral(_text(value, span), span=span)
        case bytes() | bytearray() | memoryview():
            arguments = (ast.StringLiteral(bytes(value).hex(), span=span), ast.StringLiteral("hex", span=span))
            return ast.FunctionCall("TO_BYTES", arguments, span=span)
        case datetime.datetime():
            moment = value.astimezone(datetime.UTC).replace(tzinfo=None) if value.tzinfo is not None else value
            return _cast(moment.isoformat(timespec="milliseconds"), "TIMESTAMP", span)
        case datetime.date():
            return _cast(value.isoformat(), "DATE", span)
        case datetime.time():
            return _cast(value.isoformat(timespec="milliseconds"), "TIME", span)
        case list() | tuple():
            return ast.ArrayConstructor(tuple(constant(v, span, depth + 1) for v in value), span=span)
        case dict() if all(isinstance(k, str) for k in value):
            members = tuple((_text(k, span), constant(v, span, depth + 1)) for k, v in value.items())
            return ast.StructConstructor(members, span=span)
        case dict():
            entries = tuple((constant(k, span, depth + 1), constant(v, span, depth + 1)) for k, v in value.items())
            return ast.MapConstructor(entries, span=span)
    raise StatementError(f"a parameter cannot be {type(value).__name__}: {value!r:.100}", span=span)


def _plain(value: Any) -> Any:
    """Scalars of NumPy and Arrow as Python's own; UUIDs and enums as their text and value."""
    import enum
    import uuid

    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if isinstance(value, uuid.UUID):
        return str(value)
    module = type(value).__module__.partition(".")[0]
    if module == "pyarrow" and hasattr(value, "as_py"):
        return value.as_py()
    if module == "numpy" and hasattr(value, "item"):
        return value.item() if getattr(value, "ndim", 0) == 0 else value.tolist()
    return value


def _text(value: str, span: Span) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise StatementError("a text holds half of a surrogate pair, which is no character", span=span) from error
    return value


def _cast(text: str, type_: str, span: Span) -> ast.Cast:
    return ast.Cast(ast.StringLiteral(text, span=span), ast.TypeName(type_, span=span), span=span)
