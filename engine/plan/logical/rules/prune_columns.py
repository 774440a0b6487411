"""Removes columns that nothing reads, so that the scan does not decode them.

Before: ``Project ID, N`` over ``Scan S [ID, V, NAME, N, ROWTIME, ROWPARTITION, ROWOFFSET]``.
After: ``Project ID, N`` over ``Scan S [ID, N]``.
"""

from __future__ import annotations

from dataclasses import replace

from ....expressions.nodes import TypedExpression
from ....schema import WINDOW_BOUNDS, Column, Schema
from ...tree import PlanNode, with_inputs
from .. import nodes as p
from ..build import columns_read

Names = frozenset[str]


def prune_columns(plan: PlanNode) -> PlanNode:
    """Drop the columns that no node above reads.  Keys always stay."""
    return _prune(plan, frozenset(plan.schema.names))


def _prune(node: PlanNode, needed: Names) -> PlanNode:
    """The node with its keys and at least the ``needed`` columns."""
    match node:
        case p.Project() | p.Rekey():
            kept = [(c, e) for c, e in zip(node.schema, node.expressions, strict=True) if _stays(c, needed)]
            expressions = tuple(e for _, e in kept)
            schema = Schema(tuple(c for c, _ in kept))
            return replace(node, input=_prune(node.input, columns_read(expressions)), expressions=expressions, schema=schema)
        case p.Filter():
            return _like_input(node, needed | columns_read((node.predicate,)))
        case p.Repartition():
            return _like_input(node, needed)
        case p.Explode():
            arguments: tuple[TypedExpression, ...] = tuple(call for _, call in node.calls)
            made = frozenset(name for name, _ in node.calls)
            input_ = _prune(node.input, (needed - made) | columns_read(arguments))
            columns = tuple(c for c in node.schema if c.name in made)
            return replace(node, input=input_, schema=Schema((*input_.schema, *columns)))
        case p.GroupBy():
            return replace(node, input=_prune(node.input, columns_read(node.expressions)))
        case p.WindowAggregate() | p.SessionAggregate():
            input_ = _prune(node.input, frozenset(node.input.schema.names))
            schema = Schema(tuple(c for c in node.schema if c.name not in WINDOW_BOUNDS or c.name in needed))
            return replace(node, input=input_, schema=schema)
        case p.StreamStreamJoin() | p.StreamTableJoin() | p.TableTableJoin():
            left, right = _prune(node.left, needed), _prune(node.right, needed)
            schema = Schema((*node.schema.keys, *left.schema.values, *right.schema.values))
            return replace(node, left=left, right=right, schema=schema)
        case p.ForeignKeyJoin():
            left = _prune(node.left, needed | columns_read((node.foreign_key,)))
            right = _prune(node.right, needed)
            return replace(node, left=left, right=right, schema=Schema((*left.schema, *right.schema.values)))
        case p.Scan():
            scanned = tuple(c for c in node.columns if _stays(c.column, needed) or node.keeps(c))
            return replace(node, columns=scanned, schema=Schema(tuple(c.column for c in scanned)))
    return with_inputs(node, tuple(_prune(i, frozenset(i.schema.names)) for i in node.inputs))  # needs all columns


def _stays(column: Column, needed: Names) -> bool:
    return column.role == "KEY" or column.name in needed


def _like_input(node: p.Filter | p.Repartition, needed: Names) -> PlanNode:
    input_ = _prune(node.input, needed)
    return replace(node, input=input_, schema=input_.schema)
