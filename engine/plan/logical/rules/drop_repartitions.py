"""Drops repartitions of rows that keep their key: these rows stay in their partition.

Before::

    Repartition
      GroupBy ID
        Scan S (key ID)

After::

    GroupBy ID
      Scan S (key ID)
"""

from __future__ import annotations

from ....expressions.nodes import ColumnRef
from ...tree import PlanNode, rewrite
from ..nodes import GroupBy, Repartition


def drop_repartitions(plan: PlanNode) -> PlanNode:
    """Drop a repartition if its rows are grouped by the key that they have, column by column (section 5 of the
    reference).
    """
    return rewrite(plan, _drop)


def _drop(node: PlanNode) -> PlanNode:
    if not isinstance(node, Repartition) or not isinstance(node.input, GroupBy):
        return node
    keys = node.input.input.schema.keys
    unchanged = [k.expression for k in node.input.keys] == [ColumnRef(c.name, type=c.type) for c in keys]
    return node.input if keys and unchanged else node
