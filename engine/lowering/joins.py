"""Lowers joins."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from ...runtime.operators.base import Operator, OperatorContext
from ...runtime.operators.foreign_key_join import ForeignKeyJoin
from ...runtime.operators.stream_stream_join import StreamStreamJoin
from ...runtime.operators.stream_table_join import StreamTableJoin
from ...runtime.operators.table_table_join import TableTableJoin
from ..plan.logical import nodes as p
from ..schema import Schema
from .builder import DataflowBuilder, Lowered


def stream_stream_join(build: DataflowBuilder, node: p.StreamStreamJoin, inputs: Sequence[Lowered]) -> Lowered:
    """Lower a join of streams.  INNER, LEFT, RIGHT and FULL joins find the same pairs."""
    schema, key_count = node.schema.arrow(), len(node.schema.keys)
    left, right = _values(node.left.schema), _values(node.right.schema)
    kind, windowed, grace_ms = node.type, node.left.window is not None, node.grace_ms
    early = build.options.unmatched_rows == "early"
    sides = ((node.left_where, node.left.schema), (node.right_where, node.right.schema))
    wheres = [None if e is None else build.predicate(e, s) for e, s in sides]
    sizes = [None if side.window is None else side.window.size_ms for side in (node.left, node.right)]
    size_ms = sizes[0] if sizes[0] != sizes[1] else None

    def make(context: OperatorContext) -> Operator:
        return StreamStreamJoin(
            context,
            kind,
            schema,
            key_count,
            left,
            right,
            before_ms=node.before_ms,
            after_ms=node.after_ms,
            grace_ms=grace_ms,
            early=early,
            windowed=windowed,
            window_size_ms=size_ms,
            wheres=(wheres[0], wheres[1]),
        )

    return Lowered(build.step("stream-stream-join", inputs, make, takes_later=True))


def stream_table_join(build: DataflowBuilder, node: p.StreamTableJoin, inputs: Sequence[Lowered]) -> Lowered:
    schema, key_count = node.schema.arrow(), len(node.schema.keys)
    left, right = _values(node.left.schema), _values(node.right.schema)
    kind, windowed = node.type, node.left.window is not None

    def make(context: OperatorContext) -> Operator:
        return StreamTableJoin(context, kind, schema, key_count, left, right, windowed=windowed)

    return Lowered(build.step("stream-table-join", inputs, make))


def table_table_join(build: DataflowBuilder, node: p.TableTableJoin, inputs: Sequence[Lowered], before: bool) -> Lowered:
    schema, key_count = node.schema.arrow(), len(node.schema.keys)
    left, right = _values(node.left.schema), _values(node.right.schema)
    kind, windowed = node.type, node.left.window is not None

    def make(context: OperatorContext) -> Operator:
        return TableTableJoin(context, kind, schema, key_count, left, right, before=before, windowed=windowed)

    return Lowered(build.step("table-table-join", inputs, make))


def foreign_key_join(build: DataflowBuilder, node: p.ForeignKeyJoin, inputs: Sequence[Lowered], before: bool) -> Lowered:
    schema, key_count = node.schema.arrow(), len(node.schema.keys)
    left, right = _values(node.left.schema), _values(node.right.schema)
    right_keys = Schema(node.right.schema.keys).arrow()
    kernels = build.kernels((node.foreign_key,), node.left.schema)
    kind = node.type

    def make(context: OperatorContext) -> Operator:
        return ForeignKeyJoin(
            context,
            kind,
            schema,
            key_count,
            left,
            right,
            right_keys=right_keys,
            foreign_key=kernels,
            before=before,
        )

    return Lowered(build.step("foreign-key-join", inputs, make))


def _values(schema: Schema) -> pa.Schema:
    return Schema(schema.values).arrow()
