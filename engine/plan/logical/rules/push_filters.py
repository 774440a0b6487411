"""Moves filters below stream-table joins.

Before::

    Filter S_AMOUNT > 10
      StreamTableJoin
        Repartition
          Rekey S_USER
            Scan S
        Scan T

After::

    StreamTableJoin
      Repartition
        Rekey S_USER
          Filter S_AMOUNT > 10
            Scan S
      Scan T

The join of a stream with a table gives one row for each row of the stream and does not use stream time.  So nothing else
changes if a row of the stream is filtered earlier.  Below a window, the filter would change stream time; below a join of
tables, it would lose tombstones.

A filter over the inner join of two streams stays where it is.  But the join gets those terms of the filter that read only
one side: if a term is not true for a row, the row only advances stream time.  This is done only if no part of the filter can
fail, since a failure is reported once for each pair.
"""

from __future__ import annotations

from dataclasses import replace

from ....expressions.nodes import ColumnRef, TypedExpression, columns_of, is_volatile, replace_columns
from ...terms import never_fails, terms_over
from ...tree import PlanNode, rewrite
from ..build import filtered
from ..nodes import Filter, Project, Rekey, Repartition, StreamStreamJoin, StreamTableJoin


def push_filters(plan: PlanNode) -> PlanNode:
    """Move filters below stream-table joins, and give stream-stream joins the terms that read one side only."""
    return rewrite(plan, _push)


def _push(node: PlanNode) -> PlanNode:
    if not isinstance(node, Filter) or is_volatile(node.predicate):
        return node
    if isinstance(node.input, StreamStreamJoin):
        return replace(node, input=_with_side_terms(node.input, node.predicate))
    if not isinstance(node.input, StreamTableJoin):
        return node
    join = node.input
    values = {c.name for c in join.left.schema.values}
    if not {c.name for c in columns_of(node.predicate)} <= values:
        return node
    return replace(join, left=_below(join.left, node.predicate))


def _below(node: PlanNode, predicate: TypedExpression) -> PlanNode:
    """The stream side, with the filter below the nodes that only re-key and move its rows."""
    match node:
        case Repartition():
            return replace(node, input=_below(node.input, predicate))
        case Project() | Rekey():
            names = {c.name: e for c, e in zip(node.schema, node.expressions, strict=True)}

            def inline(column: ColumnRef) -> TypedExpression | None:
                return names.get(column.name)

            return replace(node, input=_push(filtered(node.input, replace_columns(predicate, inline))))
    return _push(filtered(node, predicate))


def _with_side_terms(join: StreamStreamJoin, predicate: TypedExpression) -> StreamStreamJoin:
    """The join with those terms of the filter above it that read the columns of one side only."""
    if join.type != "INNER" or not never_fails(predicate):
        return join
    left, right = (terms_over(predicate, {c.name for c in side.schema.values}) for side in (join.left, join.right))
    return replace(join, left_where=left, right_where=right)
