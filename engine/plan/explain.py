"""Writes a plan as indented text, for EXPLAIN and golden tests.

There is one line for each node, the sink first, and a node stands below the node that gets its rows.  The line says what the
node does, then in brackets its output columns, with keys marked.  State, windows and repartitions are always shown: they are
what a query costs.
"""

from __future__ import annotations

from typing import assert_never

from ..analysis.resolved import WindowSpec
from ..catalog import FormatInfo
from ..expressions.nodes import ColumnRef, TypedExpression, text
from ..schema import Schema
from .logical import nodes as p
from .physical.nodes import Copy, Materialise, PhysicalNode, StoredScan, known
from .tree import PlanNode


def explain(plan: PlanNode) -> str:
    """The plan as text, without a final line feed."""
    return "\n".join(_lines(plan, 0))


def _lines(node: PlanNode, depth: int) -> list[str]:
    lines = [f"{'  ' * depth}{describe(node)}"]
    for input_ in node.inputs:
        lines += _lines(input_, depth + 1)
    return lines


def describe(node: PlanNode) -> str:
    """One node as one line."""
    return f"{_what(known(node))} [{_columns(node.schema)}]"


def _columns(schema: Schema) -> str:
    return ", ".join(f"{c.name} {c.type}{' KEY' if c.role == 'KEY' else ''}" for c in schema)


def _what(node: PhysicalNode) -> str:
    match node:
        case p.Scan():
            alias = "" if node.alias == node.source.name else f" AS {node.alias}"
            state = ", state: table" if isinstance(node, StoredScan) else ""
            if isinstance(node, StoredScan) and node.only is not None:
                state += f" of {text(node.only)}"
            return f"Scan {node.kind.lower()} {node.source.name}{alias} (topic {node.source.topic}{state})"
        case p.Filter():
            return f"Filter {text(node.predicate)}"
        case p.Project():
            return f"Project {_computed(node.schema, node.expressions)}".rstrip()
        case p.Explode():
            return f"Explode {', '.join(f'{n} := {text(c)}' for n, c in node.calls)}"
        case p.Rekey():
            count = len(node.schema.keys)
            return f"Rekey by {', '.join(map(text, node.expressions[:count])) or 'NULL'}"
        case p.GroupBy():
            return f"GroupBy {', '.join(text(k.expression) for k in node.keys)}"
        case p.Repartition(format=None):
            return "Repartition to one partition"
        case p.Repartition(format=format_):
            return f"Repartition by {', '.join(c.name for c in node.schema.keys)} ({_format(format_)})"
        case Copy():
            target, store = node.target, " of a window store" if node.window_store else ""
            formats = f"key {_format(target.key_format)}{store}, value {_format(target.value_format)}"
            return f"Copy to topic {target.topic} ({formats}: {_columns(Schema(target.schema.values))})"
        case p.Aggregate():
            return f"Aggregate {_aggregates(node.aggregates)} (state: groups)"
        case p.WindowAggregate():
            return f"WindowAggregate {_aggregates(node.aggregates)} {_window(node.spec, node.final)} (state: windows)"
        case p.SessionAggregate():
            return f"SessionAggregate {_aggregates(node.aggregates)} {_window(node.spec, node.final)} (state: sessions)"
        case p.StreamStreamJoin():
            grace = "" if node.grace_ms is None else f" grace {node.grace_ms} ms"
            within = f"within ({node.before_ms}, {node.after_ms}) ms"
            sides = (("left", node.left_where), ("right", node.right_where))
            where = "".join(f", {side} where {text(e)}" for side, e in sides if e is not None)
            return f"StreamStreamJoin {node.type} {within}{grace}{where} (state: left, right)"
        case p.StreamTableJoin():
            return f"StreamTableJoin {node.type} (state: table)"
        case p.TableTableJoin():
            return f"TableTableJoin {node.type} (state: left, right)"
        case p.ForeignKeyJoin():
            return f"ForeignKeyJoin {node.type} on {text(node.foreign_key)} (state: left, right)"
        case Materialise():
            return "Materialise (state: table)"
        case p.Write():
            sink = node.sink
            formats = f"key {_format(sink.key_format)}, value {_format(sink.value_format)}"
            return f"Write {sink.kind.lower()} {sink.name} (topic {sink.topic}, {formats})"
        case p.Output():
            return "Output" if node.limit is None else f"Output, at most {node.limit} rows"
        case other:
            assert_never(other)


def _computed(schema: Schema, expressions: tuple[TypedExpression, ...]) -> str:
    """The columns that are computed and not only passed on."""
    parts = [
        f"{column.name} := {text(expression)}"
        for column, expression in zip(schema, expressions, strict=True)
        if not (isinstance(expression, ColumnRef) and expression.name == column.name)
    ]
    return ", ".join(parts)


def _aggregates(columns: tuple[p.AggregateColumn, ...]) -> str:
    return ", ".join(f"{c.name} := {text(c.call)}" for c in columns)


def _window(spec: WindowSpec, final: bool) -> str:
    advance = f" advance {spec.advance_ms} ms" if spec.type == "HOPPING" else ""
    size = "gap" if spec.type == "SESSION" else "size"
    once = ", each once when it closes" if final else ""
    return f"{spec.type} {size} {spec.size_ms} ms{advance} grace {spec.grace_ms} ms retention {spec.retention_ms} ms{once}"


def _format(format_: FormatInfo | None) -> str:
    return "NONE" if format_ is None else format_.name
