"""Lowers a plan to a `runtime.dataflow.Dataflow`: one case per node.

Operators get compiled kernels and Arrow schemas, never SQL.  The names of stateful nodes are stable, and state is kept under
its operator's name.  The name depends only on the plan's stateful operators.  So if a query is replaced by one with other
filters or projections, the new query finds the state of the old one.
"""

from __future__ import annotations

from typing import assert_never

from ...runtime import dataflow as d
from ..plan.logical import nodes as p
from ..plan.physical.nodes import Copy, Materialise, StoredScan, known
from ..plan.physical.undo import wants_before
from ..plan.tree import PlanNode
from . import aggregates, joins, rows, scans, sinks
from .builder import DataflowBuilder, Lowered, LoweringContext

__all__ = ["LoweringContext", "lower"]


def lower(plan: PlanNode, context: LoweringContext) -> d.Dataflow:
    """Lower a physical plan to a dataflow.

    Raises:
        StatementError: a timestamp format cannot be read.
    """
    build, options = DataflowBuilder(context), context.options
    root = _lower(build, plan, before=False)
    return d.Dataflow(
        tuple(build.nodes),
        context.partitions or build.partitions,
        order=options.processing_order,
        every_update=options.every_update,
        log_late=options.log_late,
        durable=options.durable,
        row_failure=options.row_failure,
        max_task_idle_ms=options.max_task_idle_ms,
        standbys=options.standby_replicas,
        once=options.processing_guarantee != "at_least_once",
        view=None if root.stored is None else root.stored.view(),
        lines=tuple(build.lines),
    )


def _lower(build: DataflowBuilder, node: PlanNode, *, before: bool) -> Lowered:
    """Lower a node and those below it.

    Args:
        before: the node's changes must also have the row before the change.
    """
    line = build.begin_line()
    lowered = _lower_one(build, node, before=before)
    build.end_line(line)
    return lowered


def _lower_one(build: DataflowBuilder, node: PlanNode, *, before: bool) -> Lowered:
    inputs = [_lower(build, i, before=wants_before(node, before=before)) for i in node.inputs]
    match known(node):
        case StoredScan() as scan:
            head = scans.scan(build, scan)
            return scans.table(build, scan, build.name(f"table-{scan.source.name}"), head, before, scan.only)
        case p.Scan() as scan:
            return scans.scan(build, scan)
        case Materialise() as kept:
            return scans.table(build, kept, build.name("result"), inputs[0], before)
        case p.Filter() as filter_:
            return rows.filter_rows(build, filter_, inputs[0])
        case p.Project() as project:
            return rows.project(build, project, inputs[0])
        case p.Explode() as explode:
            return rows.explode(build, explode, inputs[0])
        case p.Rekey() as rekey:
            return rows.rekey(build, rekey, inputs[0])
        case p.GroupBy() as grouped:
            return rows.group_by(build, grouped, inputs[0])
        case p.Repartition() as moved:
            return rows.repartition(build, moved, inputs[0], before)
        case p.Aggregate() as aggregate:
            return aggregates.aggregate(build, aggregate, inputs[0], before)
        case p.WindowAggregate() as windows:
            return aggregates.window_aggregate(build, windows, inputs[0], before)
        case p.SessionAggregate() as sessions:
            return aggregates.session_aggregate(build, sessions, inputs[0], before)
        case p.StreamStreamJoin() as join:
            return joins.stream_stream_join(build, join, inputs)
        case p.StreamTableJoin() as join:
            return joins.stream_table_join(build, join, inputs)
        case p.TableTableJoin() as join:
            return joins.table_table_join(build, join, inputs, before)
        case p.ForeignKeyJoin() as join:
            return joins.foreign_key_join(build, join, inputs, before)
        case p.Write() as sink:
            return sinks.write(build, sink, inputs[0])
        case Copy() as copied:
            return sinks.copy(build, copied, inputs[0])
        case p.Output():
            return sinks.output(build, inputs[0])
        case other:
            assert_never(other)
