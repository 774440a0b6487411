"""Filter before looking up.

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

Only there: the join of a stream with a table gives one row per row of the stream and keeps no time, so a row of the
stream that is filtered earlier changes nothing else.  Below a join of streams or a window the filter would change stream
time, and below a join of tables it would lose tombstones.
"""

from __future__ import annotations

from dataclasses import replace

from ...expressions.nodes import ColumnRef, TypedExpression, columns_of, is_volatile, replace_columns
from ..build import filtered
from ..nodes import Filter, PlanNode, Project, Rekey, Repartition, StreamTableJoin, rewrite


def push_filters(plan: PlanNode) -> PlanNode:
    """Push filters that read only the stream's columns below the join of a stream with a table."""
    return rewrite(plan, _push)


def _push(node: PlanNode) -> PlanNode:
    if not isinstance(node, Filter) or not isinstance(node.input, StreamTableJoin) or is_volatile(node.predicate):
        return node
    join = node.input
    values = {c.name for c in join.left.schema.values}
    if not {c.name for c in columns_of(node.predicate)} <= values:
        return node
    return replace(join, left=_below(join.left, node.predicate))


def _below(node: PlanNode, predicate: TypedExpression) -> PlanNode:
    """The stream side with the filter below the nodes that only re-key and move its rows."""
    match node:
        case Repartition():
            return replace(node, input=_below(node.input, predicate))
        case Project() | Rekey():
            names = {c.name: e for c, e in zip(node.schema, node.expressions, strict=True)}

            def inline(column: ColumnRef) -> TypedExpression | None:
                return names.get(column.name)

            return replace(node, input=_push(filtered(node.input, replace_columns(predicate, inline))))
    return _push(filtered(node, predicate))
