"""Lowers nodes that change rows one by one or send them to other partitions."""

from __future__ import annotations

from collections.abc import Sequence

from ...runtime import dataflow as d
from ...runtime.operators.explode import Explode
from ...runtime.operators.filter import Filter
from ...runtime.operators.project import Project
from ...runtime.operators.rekey import GroupBy, PartitionBy
from ...storage.formats import format_traits
from ..catalog import FormatInfo
from ..expressions.nodes import ColumnRef, TypedExpression
from ..plan.logical import nodes as p
from ..plan.logical.build import columns_read
from ..plan.tree import PlanNode
from ..schema import Schema
from .builder import DataflowBuilder, Lowered


def filter_rows(build: DataflowBuilder, node: p.Filter, input_: Lowered) -> Lowered:
    predicate = build.predicate(node.predicate, node.input.schema)
    table, groups = node.kind == "TABLE", _groups_a_stream(node.input)
    columns, read = node.input.schema, columns_read((node.predicate,))
    carried = {} if table else {n: frozenset((n,)) for n, c in enumerate(columns.columns) if c.name not in read}
    number = build.step("filter", (input_,), lambda c: Filter(c, predicate, table=table, groups=groups), carried)
    return Lowered(number, None if input_.stored is None else input_.stored.filtered(predicate))


def project(build: DataflowBuilder, node: p.Project, input_: Lowered) -> Lowered:
    kernels = build.kernels(node.expressions, node.input.schema)
    schema, key_count = node.schema.arrow(), len(node.schema.keys)
    number = build.step("project", (input_,), lambda c: Project(c, schema, key_count, kernels))
    return Lowered(number, None if input_.stored is None else input_.stored.projected(node.schema, kernels))


def explode(build: DataflowBuilder, node: p.Explode, input_: Lowered) -> Lowered:
    kernels = build.kernels([call for _, call in node.calls], node.input.schema)
    schema, key_count = node.schema.arrow(), len(node.schema.keys)
    return Lowered(build.step("explode", (input_,), lambda c: Explode(c, schema, key_count, kernels)))


def rekey(build: DataflowBuilder, node: p.Rekey, input_: Lowered) -> Lowered:
    kernels = build.kernels(node.expressions, node.input.schema)
    schema, key_count = node.schema.arrow(), len(node.schema.keys)
    old_keys = {c.name for c in node.input.schema.keys}
    from_keys = [columns_read((e,)) <= old_keys for e in node.expressions[:key_count]]
    number = build.step(
        "rekey",
        (input_,),
        lambda c: PartitionBy(c, schema, key_count, kernels, tombstones_have_keys=from_keys),
        _carried(node.expressions, key_count, node.input.schema),
    )
    return Lowered(number)


def group_by(build: DataflowBuilder, node: p.GroupBy, input_: Lowered) -> Lowered:
    kernels = build.kernels(node.expressions, node.input.schema)
    schema, key_count, table = node.schema.arrow(), len(node.schema.keys), node.kind == "TABLE"
    carried = {} if table else _carried(node.expressions, key_count, node.input.schema)
    return Lowered(build.step("group", (input_,), lambda c: GroupBy(c, schema, key_count, kernels, table=table), carried))


def repartition(build: DataflowBuilder, node: p.Repartition, input_: Lowered, before: bool) -> Lowered:
    """Lower an exchange.

    If the key's format has schema ids, JSON of the key decides the partition instead.  The topic of a sink or source never
    has to agree with it (see `plan.build`), so no id is needed, and no schema is registered for bytes that are not stored.
    """
    serde = None
    if node.format is not None:
        plain = FormatInfo("JSON") if format_traits(node.format.name).inference else node.format
        serde = build.serde(plain, True, "", len(node.schema.keys))
    schema, key_count = node.schema.arrow(), len(node.schema.keys)
    number = build.add(
        d.Exchange(build.name("repartition"), input_.number, serde, node.partitions, schema, key_count, before)
    )
    return Lowered(number, input_.stored)


def _carried(expressions: Sequence[TypedExpression], key_count: int, schema: Schema) -> dict[int, frozenset[int]]:
    """For each input column that expressions pass on unchanged, its places in the output."""
    read = columns_read([e for n, e in enumerate(expressions) if n < key_count or not isinstance(e, ColumnRef)])
    places: dict[int, set[int]] = {}
    for place, expression in enumerate(expressions):
        if isinstance(expression, ColumnRef) and expression.name not in read:
            places.setdefault(schema.index(expression.name), set()).add(place)
    return {column: frozenset(found) for column, found in places.items()}


def _groups_a_stream(node: PlanNode) -> bool:
    """Whether the rows are groups of a stream that are sent at every change.  (Sessions are different: one replaces
    another.)
    """
    match node:
        case p.Aggregate() | p.WindowAggregate(final=False):
            return node.input.kind == "STREAM"
    return False
