"""DELETE FROM table WHERE key = ..: writes a tombstone for each key that the condition names."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa

from ...errors import StatementError
from ...grammar import ast
from ...grammar.unparse import unparse
from ...runtime.clock import now_ms
from ...storage.log.protocol import Records
from ..catalog import DataSource
from ..results import Message
from ..serdes import key_schema, serdes_of, value_type
from . import records
from .context import Context
from .insert import evaluate


def delete(context: Context, statement: ast.Delete) -> Message:
    """Write the tombstones, all in one commit.  A key that the table does not have gets one, too.

    Raises:
        StatementError: the source is not a table that rows can be written to, or the condition does not name whole keys.
    """
    source = records.writable_source(context.catalog, statement.target, statement.span)
    if source.kind != "TABLE":
        raise StatementError(
            f"{source.name} is a stream, and events cannot be deleted",
            span=statement.span,
            suggestion="Retention removes old records: write RETENTION_MS = .. where the topic is made, or change it by "
            f"db.alter_topic('{source.topic}', {{'retention.ms': ..}}) in Python.",
        )
    writers = context.writers(source.name)
    if writers:
        raise StatementError(
            f"{source.name} is the result of the query {writers[0]}, which alone changes it",
            span=statement.span,
            suggestion="Delete from its sources.",
        )
    keys = _keys(source, statement)
    rows = list(product(*(keys[c.name] for c in source.schema.keys)))
    arrays = []
    for place, column in enumerate(source.schema.keys):
        parts = [evaluate(context, row[place], column.type) for row in rows]
        for row, part in zip(rows, parts, strict=True):
            if part.null_count:
                raise StatementError(
                    f"the key {column.name} is never NULL", span=row[place].span, suggestion="Leave NULL out."
                )
        arrays.append(pa.concat_arrays(parts))
    serde, _ = serdes_of(source, context.schemas)
    assert serde is not None
    encoded = serde.encode(arrays, key_schema(source.schema), None)
    if encoded.malformed is not None and len(encoded.malformed.rows):
        raise StatementError(
            f"a key does not fit {source.key_format.name}: {encoded.malformed.reasons[0]}", span=statement.span
        )
    config = context.topic(source.topic)
    stored = (
        config.value_type
        if config is not None and config.value_type is not None
        else value_type(source.value_format, source.schema)
    )
    values = pa.nulls(len(rows), stored or pa.binary())
    made = Records(encoded.data, values, np.full(len(rows), now_ms(), np.int64))
    token = records.write(
        context.engine,
        source.topic,
        made,
        durable=context.options.durable,
        also=context.alongside,
        headers=context.session.headers,
    )
    count = len(rows)
    return Message(
        "delete",
        f"{count} key{'' if count == 1 else 's'} deleted from {source.name}",
        unparse(statement),
        details={"source": source.name, "token": token},
    )


def _keys(source: DataSource, statement: ast.Delete) -> dict[str, list[Any]]:
    """The values that the condition gives for each key column.

    Raises:
        StatementError: the condition does not name whole keys.
    """
    names = [c.name for c in source.schema.keys]
    found: dict[str, list[Any]] = {}
    stack = [] if statement.where is None else [statement.where]
    while stack:
        match stack.pop():
            case ast.Logical(operator="AND", left=left, right=right):
                stack += [right, left]
            case (
                ast.Comparison(operator="=", left=ast.NameRef(name=name, qualifier=qualifier), right=value)
                | ast.Comparison(operator="=", left=value, right=ast.NameRef(name=name, qualifier=qualifier))
            ) if name in names and name not in found and qualifier in (None, source.name):
                found[name] = [value]
            case ast.InList(operand=ast.NameRef(name=name, qualifier=qualifier), items=items, negated=False) if (
                name in names and name not in found and qualifier in (None, source.name)
            ):
                found[name] = list(items)
            case other:
                raise StatementError(
                    "DELETE finds rows by their keys only: it writes a record without a value for each key",
                    span=other.span,
                    suggestion=f"Write WHERE {' AND '.join(f'{n} = ..' for n in names)}, or IN (..).",
                )
    missing = [name for name in names if name not in found]
    if missing:
        raise StatementError(
            f"DELETE needs the whole key, and {', '.join(missing)} has no value",
            span=statement.span,
            suggestion=f"Write WHERE {' AND '.join(f'{n} = ..' for n in names)}.",
        )
    return found
