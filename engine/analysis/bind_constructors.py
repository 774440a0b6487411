"""Binds ARRAY[], MAP() and STRUCT().

The types of their items come from the items, or from the type that is expected where the value goes.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import StatementError
from ...grammar import ast
from .. import types as t
from ..expressions import nodes as n
from .binding import Binder
from .coercion import coerce, list_type

TypedExpression = n.TypedExpression
CONSTRUCTORS = (ast.ArrayConstructor, ast.MapConstructor, ast.StructConstructor)


def bind_for(e: ast.Expression, target: t.SqlType, binder: Binder) -> TypedExpression:
    """Bind a value whose type is known.

    ARRAY[], MAP() and STRUCT() may then be empty or contain bare NULLs: these get the expected type.
    """
    match e, target:
        case ast.NullLiteral(), _:
            return n.null(target, e.span)
        case ast.ArrayConstructor(items=()), t.Array():
            return n.ArrayMake((), type=target, span=e.span)
        case ast.ArrayConstructor(items=items), t.Array(item):
            return array(e, [binder.bind_for(i, item) for i in items])
        case ast.MapConstructor(entries=()), t.Map():
            return n.MapMake((), type=target, span=e.span)
        case ast.MapConstructor(entries=entries), t.Map(value=value):
            return map_(e, [binder.bind(k) for k, _ in entries], [binder.bind_for(v, value) for _, v in entries])
        case ast.StructConstructor(fields=fields), t.Struct(fields=wanted):
            known = dict(wanted)
            return struct(e, [binder.bind_for(v, known[f]) if f in known else binder.bind(v) for f, v in fields], binder)
    return binder.bind(e)


def array(e: ast.ArrayConstructor, items: Sequence[TypedExpression]) -> TypedExpression:
    """Bind an ARRAY of these items.

    Raises:
        StatementError: the items have no common type, or all are NULL.
    """
    type_ = list_type(items)
    if type_ is None:
        raise StatementError(
            "an ARRAY needs an item that is not a bare NULL, to know its type",
            span=e.span,
            suggestion="Write CAST(NULL AS ..) for one of its items.",
        )
    return n.ArrayMake(tuple(coerce(i, type_, lax=True) for i in items), type=t.Array(type_), span=e.span)


def map_(e: ast.MapConstructor, keys: Sequence[TypedExpression], values: Sequence[TypedExpression]) -> TypedExpression:
    """Bind a MAP of these keys and values.

    Raises:
        StatementError: the keys or the values have no common type, or all are NULL.
    """
    key, value = list_type(keys), list_type(values)
    if key is None or value is None:
        raise StatementError(
            "a MAP needs a key and a value that are not bare NULLs, to know its types",
            span=e.span,
            suggestion="Write CAST(NULL AS ..) for one of them.",
        )
    entries = tuple((coerce(k, key, lax=True), coerce(v, value, lax=True)) for k, v in zip(keys, values, strict=True))
    return n.MapMake(entries, type=t.Map(key, value), span=e.span)


def struct(e: ast.StructConstructor, values: Sequence[TypedExpression], binder: Binder) -> TypedExpression:
    """Bind a STRUCT of these values.

    Raises:
        StatementError: two fields have the same name, or the type of a value is not known.
    """
    binder.has_dicts |= e.of_dict
    members: list[tuple[str, TypedExpression]] = []
    for (name, _), bound in zip(e.fields, values, strict=True):
        if any(name == known for known, _ in members):
            raise StatementError(
                f"the STRUCT has two fields named {name}", span=e.span, suggestion="Give one of them another name."
            )
        if n.is_untyped_null(bound):
            raise StatementError(
                f"the field {name} has no type",
                span=bound.span,
                suggestion="Write CAST(NULL AS STRING), or another type.",
            )
        members.append((name, bound))
    type_ = t.Struct(tuple((name, value.type) for name, value in members))
    return n.StructMake(tuple(members), type=type_, span=e.span)
