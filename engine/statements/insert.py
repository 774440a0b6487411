"""INSERT INTO .. VALUES: writes rows from constant expressions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from ...errors import Span, StatementError
from ...grammar import ast
from ...grammar.unparse import unparse
from ...limits import TIMESTAMP_MS_MAX
from ...runtime.clock import now_ms
from ...storage.schemas.defaults import FieldDefault, field_defaults
from ..analysis.bind import bind_to
from ..analysis.binding import NoColumns
from ..analysis.switches import check_expression
from ..catalog import DataSource
from ..expressions.compile import compile_expression
from ..expressions.temporal_text import parse_timestamp
from ..results import Message
from ..schema import Column
from ..types import BIGINT, DOUBLE, STRING, SqlType, Struct, to_arrow
from . import records
from .context import Context

_UNSETTABLE = ("ROWPARTITION", "ROWOFFSET", "WINDOWSTART", "WINDOWEND")


def insert_values(context: Context, statement: ast.InsertValues) -> Message:
    """Write rows, all in one commit.  A ROWTIME column gives the timestamps; without it they are the current time.

    Raises:
        StatementError: a row does not fit the source.  Nothing was written.
    """
    source, columns, times = checked_values(context, statement)
    made = records.to_records(context.engine, source, columns, times)
    token = records.write(
        context.engine,
        source.topic,
        made,
        partition=0 if made.keys is None else None,
        durable=context.options.durable,
        also=context.alongside,
        headers=context.session.headers,
    )
    count = len(statement.rows)
    return Message(
        "insert values",
        f"{count} row{'' if count == 1 else 's'} inserted into {source.name}",
        unparse(statement),
        details={"source": source.name, "rows": count, "token": token},
    )


def checked_values(context: Context, statement: ast.InsertValues) -> tuple[DataSource, dict[str, Any], Any]:
    """The source, the values of its columns, and the timestamps in milliseconds.

    Raises:
        StatementError: a row does not fit the source.
    """
    if not context.options.insert_values:
        raise StatementError("INSERT INTO .. VALUES is switched off by ksql.insert.into.values.enabled", span=statement.span)
    source = records.writable_source(context.catalog, statement.target, statement.span)
    names = _columns(source, statement)
    now = now_ms()
    times = np.full(len(statement.rows), now, np.int64)
    values: dict[str, list[Any]] = {name: [] for name in names if name != "ROWTIME"}
    for number, row in enumerate(statement.rows):
        arrays: dict[str, Any] = {}
        for name, expression in zip(names, row, strict=True):
            if name == "ROWTIME":
                times[number] = _checked_time(rowtime(context, expression), statement)
                continue
            column = source.schema.find(name)
            assert column is not None
            arrays[name] = evaluate(context, _completed(context, source, column, expression), column.type)
            values[name].append(arrays[name])
        _check_key(source, arrays, statement)
    columns = {name: parts[0] if len(parts) == 1 else pa.concat_arrays(parts) for name, parts in values.items()}
    return source, columns, times


def _completed(context: Context, source: DataSource, column: Column, expression: ast.Expression) -> ast.Expression:
    """Add to a STRUCT(..) the fields that it lacks, if the source's fixed schema has defaults for them."""
    format_ = source.key_format if column.role == "KEY" else source.value_format
    schema_id, registry = format_.properties.get("schemaId"), context.engine.schemas
    if schema_id is None or registry is None or not isinstance(expression, ast.StructConstructor):
        return expression
    known = field_defaults(registry.by_id(int(schema_id))).get(column.name)
    return expression if known is None else _with_defaults(expression, column.type, known)


def _with_defaults(expression: ast.Expression, type_: SqlType, known: FieldDefault) -> ast.Expression:
    if not isinstance(expression, ast.StructConstructor) or not isinstance(type_, Struct):
        return expression
    given = dict(expression.fields)
    types = dict(type_.fields)
    fields: list[tuple[str, ast.Expression]] = [
        (name, _with_defaults(value, types[name], known.fields[name]) if name in types and name in known.fields else value)
        for name, value in expression.fields
    ]
    for name, field_type in type_.fields:
        default = known.fields.get(name)
        if name not in given and default is not None:
            value = _as_literal(default.value, field_type, default, expression.span)
            fields += [] if value is None else [(name, value)]
    return replace(expression, fields=tuple(fields))


def _as_literal(value: Any, type_: SqlType, known: FieldDefault, span: Span) -> ast.Expression | None:
    """A default, given as JSON, as an expression; None for null, and for values that no literal can write."""
    match value:
        case bool():
            return ast.BooleanLiteral(value, span=span)
        case int() if type_ != DOUBLE:
            return ast.IntegerLiteral(value, span=span)
        case int() | float():
            return ast.DoubleLiteral(float(value), span=span)
        case str() if type_ == STRING:
            return ast.StringLiteral(value, span=span)
        case dict() if isinstance(type_, Struct):
            parts = [
                (name, _as_literal(value.get(name), field, known.fields.get(name, FieldDefault()), span))
                for name, field in type_.fields
            ]
            given = ast.StructConstructor(tuple((n, v) for n, v in parts if v is not None), span=span)
            return _with_defaults(given, type_, known) if given.fields else None
    return None


def _checked_time(timestamp: int, statement: ast.InsertValues) -> int:
    if timestamp < 0:
        raise StatementError(f"ROWTIME cannot be negative: {timestamp}", span=statement.span)
    if timestamp > TIMESTAMP_MS_MAX:
        raise StatementError(f"ROWTIME cannot be above {TIMESTAMP_MS_MAX}: {timestamp}", span=statement.span)
    return timestamp


def _columns(source: DataSource, statement: ast.InsertValues) -> tuple[str, ...]:
    """The columns that get the values, in the order of the values.

    Raises:
        StatementError: a column does not exist or occurs twice, or the number of values differs.
    """
    own = tuple(c.name for c in source.schema)
    names = statement.columns or own
    for row in statement.rows:
        if len(names) != len(row):
            raise StatementError(
                f"there are {len(names)} columns, but {len(row)} values",
                span=statement.span if len(statement.rows) == 1 else row[0].span,
                suggestion=f"The columns are {', '.join(names)}.",
            )
    seen: set[str] = set()
    for name in names:
        if name in _UNSETTABLE:
            raise StatementError(
                f"{name} cannot be written: Penstock sets it",
                span=statement.span,
                suggestion="Leave it out; ROWTIME can be given.",
            )
        if name != "ROWTIME" and name not in own:
            raise StatementError(
                f"{source.name} has no column {name}", span=statement.span, suggestion=f"It has {', '.join(own)}."
            )
        column = source.schema.find(name)
        if column is not None and column.role in ("HEADERS", "HEADER"):
            raise StatementError(
                f"{name} is a header column, which cannot be written",
                span=statement.span,
                suggestion="List the other columns: INSERT INTO name (column, ..) VALUES (..).",
            )
        if name in seen:
            raise StatementError(f"the column {name} is given twice", span=statement.span, suggestion="Give it once.")
        seen.add(name)
    return names


def evaluate(context: Context, expression: ast.Expression, type_: SqlType) -> Any:
    """The value of a constant expression, as an Arrow array of one value.

    Raises:
        StatementError: the expression is wrong, or cannot be computed.
    """
    if isinstance(expression, ast.NullLiteral):
        return pa.nulls(1, to_arrow(type_))
    check_expression(expression, context.options)
    bound = bind_to(expression, type_, NoColumns(), context.functions, context.catalog.types)
    evaluated = compile_expression(
        bound, pa.schema([]), functions=context.functions, guard=context.options.nested_errors_are_null
    )([], 1)
    if evaluated.failures is not None and len(evaluated.failures.rows):
        raise StatementError(f"the value cannot be computed: {evaluated.failures.reasons[0]}", span=expression.span)
    values = evaluated.values
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.Scalar):
        values = pa.array([values.as_py()], to_arrow(type_))
    return values


def rowtime(context: Context, expression: ast.Expression) -> int:
    """A ROWTIME in milliseconds, from a number or from the text of a time.

    Raises:
        StatementError: it is neither, or is out of range.
    """
    if isinstance(expression, ast.StringLiteral):
        try:
            return int(parse_timestamp(expression.value))
        except ValueError as error:
            raise StatementError(f"ROWTIME must be a time, not '{expression.value}'", span=expression.span) from error
    value = evaluate(context, expression, BIGINT)[0].as_py()
    if value is None:
        raise StatementError("ROWTIME cannot be NULL", span=expression.span)
    return int(value)


def _check_key(source: DataSource, arrays: dict[str, Any], statement: ast.InsertValues) -> None:
    """Check that a row of a table has its whole key."""
    if source.kind != "TABLE":
        return
    for column in source.schema.keys:
        if column.name not in arrays or arrays[column.name].null_count:
            raise StatementError(
                f"{source.name} is a table, and the row has no value for its key {column.name}",
                span=statement.span,
                suggestion=f"Add {column.name} to the columns and its value to VALUES.",
            )
