"""Builds the plan of a `ResolvedQuery`.  Each clause has a function; they stand in the order in which a query is
evaluated.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...analysis import grouping as g
from ...analysis.resolved import Grouping, Named, ResolvedQuery
from ...catalog import FormatInfo
from ...expressions.nodes import ColumnRef, TypedExpression, columns_of
from ...schema import Column, Schema
from ..tree import PlanNode
from . import nodes as p
from .joins import joined_sources, key_format


def build(query: ResolvedQuery) -> PlanNode:
    """The plan of a query, before any rewriting.

    Raises:
        StatementError: the sources of a join are not co-partitioned and cannot be repartitioned (section 8).
    """
    joined = joined_sources(query)
    node = joined.node
    if query.where is not None:
        node = filtered(node, query.where)
    if query.table_calls:
        node = _explode(node, query)
    if query.partition_by is not None:
        node = _partition_by(node, query)
    if query.grouping is not None:
        stays = [k.expression for k in query.grouping.keys] == [joined.key]
        format_ = None if query.grouping.is_global else key_format(query)
        node = _group(node, query.grouping, format_, stays=stays, final=query.emit == "FINAL")
        if query.grouping.having is not None:
            node = filtered(node, query.grouping.having)
    node = p.Project(
        input=node,
        expressions=tuple(o.expression for o in query.outputs),
        schema=query.schema,
        kind=query.kind,
        window=query.window,
    )
    if query.sink is not None:
        return p.Write(input=node, sink=query.sink, schema=node.schema, kind=node.kind, window=node.window)
    return p.Output(
        input=node,
        select_order=query.select_order,
        limit=query.limit,
        schema=node.schema,
        kind=node.kind,
        window=node.window,
    )


# --- WHERE, HAVING, table functions, PARTITION BY --------------------------------------------


def filtered(node: PlanNode, predicate: TypedExpression) -> p.Filter:
    return p.Filter(input=node, predicate=predicate, schema=node.schema, kind=node.kind, window=node.window)


def _explode(node: PlanNode, query: ResolvedQuery) -> PlanNode:
    schema = Schema((*node.schema, *(Column(name, call.type) for name, call in query.table_calls)))
    return p.Explode(input=node, calls=query.table_calls, schema=schema, kind=node.kind, window=node.window)


def _partition_by(node: PlanNode, query: ResolvedQuery) -> PlanNode:
    """Section 5: a column that becomes the key is not a value any more, and the old key becomes a value."""
    keys: Sequence[Named] = query.partition_by or ()
    moved = {k.name for k in keys}
    values = [c for c in node.schema if c.name not in moved]
    schema = Schema(
        (
            *(Column(k.name, k.expression.type, "KEY") for k in keys),
            *(Column(c.name, c.type) for c in values),
        )
    )
    expressions = (*(k.expression for k in keys), *(ColumnRef(c.name, type=c.type) for c in values))
    rekeyed = p.Rekey(input=node, expressions=expressions, schema=schema, kind="STREAM")
    if not keys:
        return rekeyed
    return p.Repartition(input=rekeyed, format=key_format(query), schema=schema, kind="STREAM")


# --- GROUP BY --------------------------------------------------------------------------------


def _group(node: PlanNode, grouping: Grouping, format_: FormatInfo | None, *, stays: bool, final: bool) -> PlanNode:
    """Add the nodes of GROUP BY.

    Args:
        format_: the format of the groups' keys; None if all rows are one group.
        stays: every row is in the partition of its group already.
        final: the query has EMIT FINAL.
    """
    arguments = g.argument_columns(grouping.keys, grouping.aggregates)
    key_columns = tuple(Column(k.name, k.expression.type, "KEY") for k in grouping.keys)
    schema = Schema((*key_columns, *(Column(a.name, a.expression.type) for a in arguments)))
    grouped: PlanNode = p.GroupBy(
        input=node, keys=grouping.keys, arguments=arguments, schema=schema, kind=node.kind, window=node.window
    )
    if not stays:
        grouped = p.Repartition(input=grouped, format=format_, schema=schema, kind=node.kind, window=node.window)
    names = {a.expression: a.name for a in arguments}
    aggregates = tuple(
        p.AggregateColumn(name, call, tuple(names[i] for i in call.inputs)) for name, call in grouping.aggregates
    )
    values = tuple(Column(a.name, a.call.type) for a in aggregates)
    spec = grouping.window
    if spec is None:
        return p.Aggregate(
            input=grouped, aggregates=aggregates, schema=Schema((*key_columns, *values)), kind="TABLE", window=node.window
        )
    bounds = tuple(Column(b.name, b.type) for b in g.window_bounds(True))
    schema = Schema((*key_columns, *values, *bounds))
    if spec.type == "SESSION":
        return p.SessionAggregate(
            input=grouped, aggregates=aggregates, spec=spec, final=final, schema=schema, kind="TABLE", window=spec.info
        )
    return p.WindowAggregate(
        input=grouped, aggregates=aggregates, spec=spec, final=final, schema=schema, kind="TABLE", window=spec.info
    )


def columns_read(expressions: Sequence[TypedExpression]) -> frozenset[str]:
    """The names of all columns that expressions read."""
    return frozenset(c.name for e in expressions for c in columns_of(e))
