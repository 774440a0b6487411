"""Parameters that are the whole value of a column: in VALUES of INSERT and ASSERT, and for the keys of DELETE.

The column of such a value is known.  So the value becomes what `Database.insert` stores for it (`intake/values.py`), written
as a constant of exactly the column's type.  A dict is a MAP or a STRUCT, whose fields are found by name as columns are.  An
empty list has a type, and nothing is lost.  A parameter in any other place becomes a constant by its Python type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..errors import Span, StatementError
from ..grammar import ast
from ..grammar.parse import parse_type
from .catalog import DataSource
from .constants import constant, time_constant
from .intake.values import Unfit, fields_of, plain, shown, stored
from .types import BIGINT, BOOLEAN, BYTES, DATE, DOUBLE, INTEGER, STRING, TIME, TIMESTAMP, Array, Map, SqlType, Struct

RowStatement = ast.InsertValues | ast.Delete | ast.AssertValues


def in_rows(statement: RowStatement, given: Mapping[str, object], source: DataSource) -> RowStatement:
    """Replace the parameters that are whole values of columns.

    Args:
        given: values by the names of their parameters in upper case.  A parameter without a value stays.

    Raises:
        StatementError: a value does not fit its column.
    """
    types = {column.name: column.type for column in source.schema if column.role in ("KEY", "VALUE")}

    def fitted(value: ast.Expression, name: str, row: int) -> ast.Expression:
        if not isinstance(value, ast.Parameter) or value.name.upper() not in given:
            return value
        own = given[value.name.upper()]
        try:
            if name == "ROWTIME":
                moment = stored(own, TIMESTAMP)
                return ast.NullLiteral(span=value.span) if moment is None else ast.IntegerLiteral(moment, span=value.span)
            return _written(stored(own, types[name]), own, types[name], value.span) if name in types else value
        except (Unfit, RecursionError) as error:
            type_ = types.get(name, TIMESTAMP)
            reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise StatementError(
                f"row {row}, column {name} of {source.name}: {shown(own)} does not fit {type_}: {reason}",
                span=value.span,
                suggestion=getattr(error, "hint", None),
            ) from error

    if isinstance(statement, ast.Delete):
        return statement if statement.where is None else replace(statement, where=_keys(statement.where, fitted))
    if isinstance(statement, ast.AssertValues):
        roles = ("KEY",) if statement.tombstone else ("KEY", "VALUE")
        names = statement.columns or tuple(column.name for column in source.schema if column.role in roles)
        if len(names) != len(statement.values):
            return statement
        values = tuple(fitted(value, name, 1) for value, name in zip(statement.values, names, strict=True))
        return replace(statement, values=values)
    names = statement.columns or tuple(column.name for column in source.schema)
    rows = tuple(
        tuple(fitted(value, name, number) for value, name in zip(row, names, strict=True)) if len(row) == len(names) else row
        for number, row in enumerate(statement.rows, 1)
    )
    return replace(statement, rows=rows)


def of_column(value: object, type_: SqlType, span: Span) -> ast.Expression:
    """A value as a constant of exactly a column's type, for any place in a query.

    Raises:
        Unfit: it does not fit the type.
    """
    return _written(stored(value, type_), value, type_, span, typed=True)


def _keys(where: ast.Expression, fitted: Callable[[ast.Expression, str, int], ast.Expression]) -> ast.Expression:
    match where:
        case ast.Logical(operator="AND", left=left, right=right):
            return replace(where, left=_keys(left, fitted), right=_keys(right, fitted))
        case ast.Comparison(operator="=", left=ast.NameRef(name=name), right=value):
            return replace(where, right=fitted(value, name, 1))
        case ast.Comparison(operator="=", left=value, right=ast.NameRef(name=name)):
            return replace(where, left=fitted(value, name, 1))
        case ast.InList(operand=ast.NameRef(name=name), items=items, negated=False):
            return replace(where, items=tuple(fitted(item, name, number) for number, item in enumerate(items, 1)))
    return where


def _written(value: Any, given: Any, type_: SqlType, span: Span, *, typed: bool = False) -> ast.Expression:
    """The value that a column stores, as a constant expression.

    Args:
        typed: NULLs have their types, and STRUCTs all fields, for a place where the type is not known.  Otherwise the fields
            that ``given`` lacks are left out.
    """
    if value is None:
        null = ast.NullLiteral(span=span)
        return ast.Cast(null, parse_type(str(type_)), span=span) if typed else null
    match type_:
        case Array(item):
            parts = zip(value, plain(given), strict=True)
            items = tuple(_written(v, g, item, span, typed=typed) for v, g in parts)
            return ast.ArrayConstructor(items, span=span)
        case Map(key, item):
            entries = tuple((_written(k, k, key, span), _written(v, v, item, span, typed=typed)) for k, v in value)
            return ast.MapConstructor(entries, span=span)
        case Struct(fields):
            own: Mapping[Any, Any] = fields_of(plain(given)) or {}
            spelled: dict[str, object] = {name: None for name, _ in fields} if typed else {}
            spelled |= {spelling: own[name] for name in own for spelling in (name.upper(), name)}
            members = [
                (name, _written(value[name], spelled[name], part, span, typed=typed))
                for name, part in fields
                if name in spelled
            ]
            return ast.StructConstructor(tuple(members), span=span)
    if type_ in (BOOLEAN, INTEGER, BIGINT, DOUBLE, STRING, BYTES):
        return constant(value, span)
    if type_ in (DATE, TIME, TIMESTAMP):
        return time_constant(value, type_, span)
    return ast.DecimalLiteral(format(value, "f"), span=span)
