"""Lowers sinks: topics, copies to topics, and push queries."""

from __future__ import annotations

from ...errors import InternalError
from ...runtime import dataflow as d
from ...runtime.kernel import Kernel
from ...runtime.operators.project import Project
from ...storage.log.protocol import TopicConfig
from ..expressions.nodes import text
from ..plan.logical import nodes as p
from ..plan.physical.nodes import Copy
from ..serdes import nulls_read_back, value_type
from .builder import DataflowBuilder, Lowered
from .timestamps import timestamp_kernel


def write(build: DataflowBuilder, node: p.Write, input_: Lowered) -> Lowered:
    sink = node.sink
    values = [c for c in sink.schema.values if c.role == "VALUE"]
    keys = sink.schema.keys
    number = build.add(
        d.Sink(
            build.name("sink"),
            input_.number,
            sink.topic,
            build.serde(sink.key_format, True, sink.topic, len(keys)) if keys else None,
            build.serde(sink.value_format, False, sink.topic, len(values)),
            _timestamp(build, node),
            None if sink.window is None else sink.window.type,
            node.kind == "TABLE",
            _nulls_are_a_key(node),
        )
    )
    stored = input_.stored
    if stored is not None and (nulls := nulls_read_back(sink.value_format)) is not None:
        stored = stored.with_values(nulls)
    return Lowered(number, stored)


def copy(build: DataflowBuilder, node: Copy, input_: Lowered) -> Lowered:
    """Add a sink that writes a copy of the rows to a topic.  The rows also go on to the next node."""
    target, number = node.target, input_.number
    keys, values = target.schema.keys, target.schema.values
    kernels = build.kernels(node.expressions, node.input.schema)
    schema, key_count = target.schema.arrow(), len(keys)
    if [text(e) for e in node.expressions] != list(node.input.schema.names) or schema.names != list(node.schema.names):
        number = build.step("copy-columns", (input_,), lambda c: Project(c, schema, key_count, kernels))
    build.add(
        d.Sink(
            build.name("copy"),
            number,
            target.topic,
            build.serde(target.key_format, True, target.topic, key_count),
            build.serde(target.value_format, False, target.topic, len(values)),
            window=None if target.window is None else target.window.type,
            is_table=target.kind == "TABLE",
            copy=TopicConfig(
                partitions=target.partitions,
                value_type=value_type(target.value_format, target.schema),
                cleanup_policy=node.cleanup_policy,
                retention_ms=node.retention_ms,
                internal=True,
            ),
            window_store=node.window_store,
        )
    )
    return input_


def output(build: DataflowBuilder, input_: Lowered) -> Lowered:
    if build.context.receive is None:
        raise InternalError("a push query was lowered without anyone to receive its rows")
    return Lowered(build.add(d.Tap(build.name("output"), input_.number, build.context.receive)))


def _timestamp(build: DataflowBuilder, node: p.Write) -> Kernel | None:
    sink = node.sink
    if sink.timestamp_column is None:
        return None
    return timestamp_kernel(sink.timestamp_column, sink.timestamp_format, node.input.schema, build.context.functions)


def _nulls_are_a_key(node: p.Write) -> bool:
    """Section 5: after PARTITION BY with several columns, a row has a key even if all of them are NULL."""
    below = node.input
    while isinstance(below, p.Project | p.Repartition):
        below = below.input
    return isinstance(below, p.Rekey) and len(below.schema.keys) > 1
