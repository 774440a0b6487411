"""Decides which tables get a store of their own.

Some readers need a table's rows and not only its changes: operators that need the row before a change (a filter, a GROUP
BY), and pull queries.  Pull queries read the last store before the sink, if only filters and projections follow it.  So
``CREATE TABLE .. AS SELECT`` over a table keeps the rows of its scan, and over a join those of the join's result.  An
aggregation has its own store.

A push query's WHERE that asks for certain keys also limits its store to them.  The key of a row never changes, so a row
whose key does not pass now has never passed.  Nobody else reads that store.  This is done only if no part of the WHERE can
fail, since a failure is reported whatever the key is.
"""

from __future__ import annotations

from dataclasses import fields, replace

from ...logical.nodes import (
    Filter,
    ForeignKeyJoin,
    Output,
    Project,
    Repartition,
    Scan,
    StreamTableJoin,
    TableTableJoin,
    Write,
)
from ...terms import never_fails, terms_over
from ...tree import PlanNode, with_inputs
from ..nodes import Materialise, StoredScan
from ..undo import wants_before


def materialise_tables(plan: PlanNode) -> PlanNode:
    """Replace the scans that must keep rows, and add the stores that a plan needs."""
    plan = _for_changes(plan, before=False)
    if isinstance(plan, Write) and plan.kind == "TABLE" and not plan.sink.insert:
        return replace(plan, input=_for_pulls(plan.input))
    return _limited(plan) if isinstance(plan, Output) else plan


def _for_changes(node: PlanNode, *, before: bool) -> PlanNode:
    """The node, changed so that it gives the row before each change if ``before``."""
    if isinstance(node, Scan):
        return _stored(node) if before and node.kind == "TABLE" else node
    wanted = wants_before(node, before=before)
    return with_inputs(node, tuple(_for_changes(i, before=wanted) for i in node.inputs))


def _limited(node: PlanNode) -> PlanNode:
    """The plan of a push query, whose stores are limited to the keys that the filters above them let pass."""
    if isinstance(node, Filter) and isinstance(node.input, StoredScan) and never_fails(node.predicate):
        keys = {c.name for c in node.input.schema.keys}
        return replace(node, input=replace(node.input, only=terms_over(node.predicate, keys)))
    return with_inputs(node, tuple(_limited(i) for i in node.inputs))


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
        return _stored(node)
    return with_inputs(node, tuple(_mark(i) for i in node.inputs))


def _stored(scan: Scan) -> StoredScan:
    return StoredScan(**{f.name: getattr(scan, f.name) for f in fields(scan)})
