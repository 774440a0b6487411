"""Merges projections that only rename or drop columns.

``SELECT b AS c FROM (SELECT a AS b)`` becomes ``SELECT a AS c``; ``SELECT a, b`` over rows of just these columns disappears.
"""

from __future__ import annotations

from dataclasses import replace

from ....expressions.nodes import ColumnRef, TypedExpression, replace_columns
from ...tree import PlanNode, rewrite
from ..nodes import Project


def merge_projections(plan: PlanNode) -> PlanNode:
    """Merge a projection that computes nothing into the one above it, and drop projections that change nothing."""
    return rewrite(plan, _merge)


def _merge(node: PlanNode) -> PlanNode:
    if not isinstance(node, Project):
        return node
    while isinstance(node.input, Project) and _computes_nothing(node.input):
        inner = node.input
        names = {c.name: e for c, e in zip(inner.schema, inner.expressions, strict=True)}

        def inline(column: ColumnRef, names: dict[str, TypedExpression] = names) -> TypedExpression | None:
            return names.get(column.name)

        expressions = tuple(replace_columns(e, inline) for e in node.expressions)
        node = replace(node, input=inner.input, expressions=expressions)
    return node.input if _changes_nothing(node) else node


def _computes_nothing(node: Project) -> bool:
    return all(isinstance(e, ColumnRef) for e in node.expressions)


def _changes_nothing(node: Project) -> bool:
    same = tuple(ColumnRef(c.name, type=c.type) for c in node.input.schema)
    return node.expressions == same and [(c.name, c.role == "KEY") for c in node.schema] == [
        (c.name, c.role == "KEY") for c in node.input.schema
    ]
