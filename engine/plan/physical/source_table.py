"""Plans the query of CREATE SOURCE TABLE, which keeps the table's rows for pull queries."""

from __future__ import annotations

from ...catalog import DataSource
from ...expressions.nodes import ColumnRef
from ...schema import Column, Schema
from ..logical.nodes import Project, Scan, ScanColumn
from ..tree import PlanNode
from .nodes import Materialise


def build_source_table(source: DataSource) -> PlanNode:
    """Build the plan.  Of the rules, only those for columns apply to it."""
    columns = tuple(
        ScanColumn(c, c.name, "HEADERS" if c.role == "HEADERS" else f"HEADER:{c.header}" if c.role == "HEADER" else None)
        for c in _scan_order(source)
    )
    schema = Schema(tuple(c.column for c in columns))
    scan = Scan(source=source, alias=source.name, columns=columns, schema=schema, kind="TABLE", window=source.window)
    table = Materialise(input=scan, schema=schema, kind="TABLE", window=source.window)
    if schema == source.schema:
        return table
    return Project(
        input=table,
        expressions=tuple(ColumnRef(c.name, type=c.type) for c in source.schema),
        schema=source.schema,
        kind="TABLE",
        window=source.window,
    )


def _scan_order(source: DataSource) -> tuple[Column, ...]:
    """The columns in the order of a runtime source: keys, values, then header columns."""
    schema = source.schema
    headers = tuple(c for c in schema if c.role in ("HEADERS", "HEADER"))
    return (*schema.keys, *(c for c in schema.values if c not in headers), *headers)
