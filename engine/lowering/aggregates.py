"""Lowers aggregations."""

from __future__ import annotations

from ...runtime import dataflow as d
from ...runtime.operators.aggregate import Aggregate
from ...runtime.operators.base import Operator, OperatorContext
from ...runtime.operators.group_states import BoundAggregator, picked, view_transform
from ...runtime.operators.session_aggregate import SessionAggregate
from ...runtime.operators.window_aggregate import WindowAggregate
from ...runtime.windows import SessionWindows, TimeWindows
from ..functions.aggregate import configured
from ..plan.logical import nodes as p
from ..stored_tables import StoredTable
from .builder import DataflowBuilder, Lowered


def aggregate(build: DataflowBuilder, node: p.Aggregate, input_: Lowered, before: bool) -> Lowered:
    schema, key_count, calls = node.schema.arrow(), len(node.schema.keys), _calls(node, build)
    name = build.name("aggregate")

    def make(context: OperatorContext) -> Operator:
        return Aggregate(context, schema, key_count, calls, before=before)

    transform = view_transform(key_count, calls)
    number = build.add(d.OperatorNode(name, (input_.number,), make, picked(calls, key_count), folds=True))
    return Lowered(number, StoredTable.of_groups(name, "groups", node.schema, transform, windowed=False))


def window_aggregate(build: DataflowBuilder, node: p.WindowAggregate, input_: Lowered, before: bool) -> Lowered:
    schema, key_count, calls = node.schema.arrow(), len(node.schema.keys), _calls(node, build)
    spec, final, extras = node.spec, node.final, _bounds(node)
    emit_expired = build.options.emit_final_expired == "emit"
    windows = TimeWindows(spec.size_ms, spec.advance_ms, spec.grace_ms)
    name = build.name("aggregate")

    def make(context: OperatorContext) -> Operator:
        return WindowAggregate(
            context,
            schema,
            key_count,
            calls,
            windows,
            retention_ms=spec.retention_ms,
            final=final,
            emit_expired=emit_expired,
            before=before,
            extras=extras,
        )

    transform = view_transform(key_count, calls, size_ms=spec.size_ms)
    number = build.add(d.OperatorNode(name, (input_.number,), make, picked(calls, key_count), folds=True))
    return Lowered(number, StoredTable.of_groups(name, "windows", node.schema, transform, windowed=True, final=final))


def session_aggregate(build: DataflowBuilder, node: p.SessionAggregate, input_: Lowered, before: bool) -> Lowered:
    schema, key_count, calls = node.schema.arrow(), len(node.schema.keys), _calls(node, build)
    spec, final, extras = node.spec, node.final, _bounds(node)
    windows = SessionWindows(spec.size_ms, spec.grace_ms)
    name = build.name("aggregate")

    def make(context: OperatorContext) -> Operator:
        return SessionAggregate(
            context,
            schema,
            key_count,
            calls,
            windows,
            retention_ms=spec.retention_ms,
            final=final,
            before=before,
            extras=extras,
        )

    transform = view_transform(key_count, calls, session=True)
    number = build.add(d.OperatorNode(name, (input_.number,), make, folds=True))
    return Lowered(number, StoredTable.of_groups(name, "sessions", node.schema, transform, windowed=True, final=final))


def _calls(
    node: p.Aggregate | p.WindowAggregate | p.SessionAggregate, build: DataflowBuilder
) -> tuple[BoundAggregator, ...]:
    """The aggregators of a node.  Their arguments are columns of the `GroupBy` node below it."""
    columns, functions = node.input.schema, build.context.functions
    return tuple(
        BoundAggregator(
            configured(
                a.call.name,
                functions.aggregator(a.call.function, a.call.argument_types, a.call.literals),
                build.options,
                merges=isinstance(node, p.SessionAggregate),
            ),
            tuple(columns.index(n) for n in a.arguments),
        )
        for a in node.aggregates
    )


def _bounds(node: p.WindowAggregate | p.SessionAggregate) -> tuple[str, ...]:
    """The window bounds that are columns of the result."""
    return tuple(c.name for c in node.schema.values[len(node.aggregates) :])
