"""Resolves the types that statements write to SQL types.  A custom type is replaced by the type that it stands for."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from ...errors import StatementError, UnsupportedError
from ...grammar import ast
from .. import types as t

_PRIMITIVES: dict[str, t.SqlType] = {
    "BOOLEAN": t.BOOLEAN,
    "INT": t.INTEGER,
    "INTEGER": t.INTEGER,
    "BIGINT": t.BIGINT,
    "DOUBLE": t.DOUBLE,
    "VARCHAR": t.STRING,
    "STRING": t.STRING,
    "BYTES": t.BYTES,
    "DATE": t.DATE,
    "TIME": t.TIME,
    "TIMESTAMP": t.TIMESTAMP,
}
_ELSEWHERE = {
    "FLOAT": "DOUBLE",
    "REAL": "DOUBLE",
    "NUMERIC": "DECIMAL",
    "TEXT": "STRING",
    "CHAR": "STRING",
    "BOOL": "BOOLEAN",
    "LONG": "BIGINT",
    "SMALLINT": "INTEGER",
    "TINYINT": "INTEGER",
    "BLOB": "BYTES",
    "VARBINARY": "BYTES",
    "BINARY": "BYTES",
    "DATETIME": "TIMESTAMP",
}
_NOT_HERE = {
    "INTERVAL": "Use BIGINT, for milliseconds.",
    "JSON": "Use STRING, and read it with EXTRACTJSONFIELD; or STRUCT, ARRAY and MAP with VALUE_FORMAT = 'JSON'.",
    "UUID": "Use STRING, or BYTES.",
}


def resolve_type(type_: ast.Type, custom: Mapping[str, t.SqlType]) -> t.SqlType:
    """Resolve a written type.

    Args:
        custom: custom types by name, from the catalog.

    Raises:
        StatementError: the type is unknown, has wrong parameters, or is a struct with two fields of one name.
    """
    match type_:
        case ast.ArrayType(item=item):
            return t.Array(resolve_type(item, custom))
        case ast.MapType(key=key, value=value):
            return t.Map(resolve_type(key, custom), resolve_type(value, custom))
        case ast.StructType(fields=fields):
            seen: set[str] = set()
            for name, _ in fields:
                if name in seen:
                    raise StatementError(
                        f"the struct has two fields named {name}",
                        span=type_.span,
                        suggestion="Give one of them another name.",
                    )
                seen.add(name)
            return t.Struct(tuple((name, resolve_type(field, custom)) for name, field in fields))
        case ast.TypeName():
            return _named(type_, custom)


def _named(type_: ast.TypeName, custom: Mapping[str, t.SqlType]) -> t.SqlType:
    name, parameters = type_.name.upper(), type_.parameters
    if name in ("DECIMAL", "DEC"):
        if len(parameters) != 2:
            raise StatementError(
                "DECIMAL needs a precision and a scale", span=type_.span, suggestion="Write it as DECIMAL(10, 2)."
            )
        try:
            return t.Decimal(*parameters)
        except StatementError as error:
            error.span = type_.span
            raise
    if name in _PRIMITIVES:
        if parameters and name not in ("VARCHAR", "STRING"):
            raise StatementError(f"{name} takes no parameters", span=type_.span, suggestion=f"Write {name}.")
        return _PRIMITIVES[name]
    found = custom.get(type_.name, custom.get(name))
    if found is not None:
        if parameters:
            raise StatementError(
                f"the custom type {type_.name} takes no parameters", span=type_.span, suggestion=f"Write {type_.name}."
            )
        return found
    if name in ("ARRAY", "MAP", "STRUCT"):
        raise StatementError(
            f"{name} needs the types of what it holds in angle brackets",
            span=type_.span,
            suggestion="For example: ARRAY<STRING>, MAP<STRING, INTEGER>, STRUCT<a INTEGER>.",
        )
    if name in _NOT_HERE:
        raise UnsupportedError(f"the dialect has no type {name}", span=type_.span, suggestion=_NOT_HERE[name])
    near = difflib.get_close_matches(name, [*_PRIMITIVES, "DECIMAL", *custom], 1)
    hint = _ELSEWHERE.get(name) or (near[0] if near else None)
    raise StatementError(
        f"there is no type named {type_.name}", span=type_.span, suggestion=f"Did you mean {hint}?" if hint else None
    )
