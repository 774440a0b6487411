"""Which tables are kept in a store of their own.

Two things need a table's rows and not only its changes: operators that ask what a row was before a change (a filter, a
GROUP BY), and pull queries, which read the last store on the way to the sink if only filters and projections follow it.
So ``CREATE TABLE .. AS SELECT`` over a table materialises its scan, and over a join its result; an aggregation has its
own store.
"""

from __future__ import annotations

from dataclasses import replace

from ..nodes import (
    Copy,
    Filter,
    ForeignKeyJoin,
    GroupBy,
    Materialise,
    PlanNode,
    Project,
    Rekey,
    Repartition,
    Scan,
    StreamTableJoin,
    TableTableJoin,
    Write,
    with_inputs,
)


def materialise_tables(plan: PlanNode) -> PlanNode:
    """Mark the scans, and add the stores, that a plan needs."""
    plan = _for_changes(plan, before=False)
    if isinstance(plan, Write) and plan.kind == "TABLE" and not plan.sink.insert:
        return replace(plan, input=_for_pulls(plan.input))
    return plan


def _for_changes(node: PlanNode, *, before: bool) -> PlanNode:
    """The node, giving the rows before each change if asked to."""
    if isinstance(node, Scan):
        return replace(node, materialised=True) if before and node.kind == "TABLE" else node
    wanted = wants_before(node, before=before)
    return with_inputs(node, tuple(_for_changes(i, before=wanted) for i in node.inputs))


def wants_before(node: PlanNode, *, before: bool) -> bool:
    """Whether a node needs the rows before each change from its inputs, given whether it must pass them on."""
    match node:
        case Filter() | GroupBy():
            return node.input.kind == "TABLE"
        case Project() | Rekey() | Repartition() | Copy():
            return before
    return False


def _for_pulls(node: PlanNode) -> PlanNode:
    """The node below a table's sink, with a store from which the table can be read."""
    below = node
    while isinstance(below, Filter | Project):
        below = below.input
    if isinstance(below, Scan):
        return _mark(node)
    if isinstance(below, TableTableJoin | ForeignKeyJoin | StreamTableJoin | Repartition):
        return Materialise(input=node, schema=node.schema, kind=node.kind, window=node.window)
    return node


def _mark(node: PlanNode) -> PlanNode:
    if isinstance(node, Scan):
        return replace(node, materialised=True)
    return with_inputs(node, tuple(_mark(i) for i in node.inputs))
