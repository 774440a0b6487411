"""Lowers scans of sources, and the stores of tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from ...runtime import dataflow as d
from ...runtime.kernel import Kernel
from ...runtime.operators.base import Operator, OperatorContext
from ...runtime.operators.table_source import TableSource
from ..expressions.nodes import TypedExpression
from ..plan.logical import nodes as p
from ..plan.tree import PlanNode
from ..schema import Column, Schema
from ..serdes import stored_values
from ..stored_tables import StoredTable
from .builder import DataflowBuilder, Lowered
from .timestamps import timestamp_kernel


def scan(build: DataflowBuilder, node: p.Scan) -> Lowered:
    source = node.source
    stored = [c for c in node.columns if c.extra is None]
    keys = [c for c in stored if c.column.role == "KEY"]
    values = [c for c in stored if c.column.role != "KEY"]
    formats = f"{source.key_format} {source.value_format}"
    all_values = stored_values(source.schema)
    checked = source.value_format.name != "ARROW" and len(values) < len(all_values)
    from_beginning = source.kind == "TABLE" or build.options.auto_offset_reset == "earliest"
    build.partitions = max(build.partitions, source.partitions)
    head = build.add(
        d.Source(
            build.name(f"source-{source.name}"),
            source.topic,
            source.kind == "TABLE",
            build.serde(source.key_format, True, source.topic, len(keys)) if keys else None,
            _source_schema(keys),
            build.serde(source.value_format, False, source.topic, len(all_values)),
            _source_schema(values),
            tuple((c.source_name, str(c.extra)) for c in node.columns if c.extra is not None),
            _timestamp(build, node),
            timestamp_column=source.timestamp_column,
            needs_timestamps=build.options.fail_on_invalid_timestamp,
            window=None if source.window is None else source.window.type,
            window_size_ms=None if source.window is None else source.window.size_ms,
            from_beginning=from_beginning,
            shared_key=f"{source.name} {formats}",
            keys_only=not source.schema.values and (source.kind == "STREAM" or source.value_format.name == "NONE"),
            stored_schema=Schema(all_values).arrow() if checked else None,
        )
    )
    return Lowered(head)


def table(
    build: DataflowBuilder, node: PlanNode, name: str, input_: Lowered, before: bool, only: TypedExpression | None = None
) -> Lowered:
    """Lower a table's store.

    Args:
        before: the changes it gives carry the rows before them.
        only: see `StoredScan.only`.
    """
    schema, key_count, windowed = node.schema.arrow(), len(node.schema.keys), node.window is not None

    passes = None if only is None else build.predicate(only, Schema(node.schema.keys))

    def make(context: OperatorContext) -> Operator:
        return TableSource(context, schema, key_count, before=before, windowed=windowed, only=passes)

    number = build.add(d.OperatorNode(name, (input_.number,), make))
    return Lowered(number, StoredTable.of_rows(name, "table", node.schema, windowed=windowed))


def _timestamp(build: DataflowBuilder, node: p.Scan) -> Kernel | None:
    column = node.source.timestamp_column
    if column is None:
        return None
    schema = Schema(tuple(Column(c.source_name, c.column.type) for c in node.columns))
    return timestamp_kernel(column, node.source.timestamp_format, schema, build.context.functions)


def _source_schema(columns: Sequence[p.ScanColumn]) -> pa.Schema:
    """The source's columns under the names that they have in records."""
    return Schema(tuple(replace(c.column, name=c.source_name) for c in columns)).arrow()
