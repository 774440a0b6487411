"""Decides which changes of a table have the row before them.

Operators that undo a row need it: a filter that a row stops passing, a GROUP BY.  An operator that only changes columns
passes it on.  An operator with a store makes it itself.
"""

from __future__ import annotations

from typing import assert_never

from ..logical import nodes as p
from ..tree import PlanNode
from .nodes import Copy, Materialise, known


def wants_before(node: PlanNode, *, before: bool) -> bool:
    """Whether a node needs from its inputs the row before each change.

    Args:
        before: the node must pass on the row before each change.
    """
    match known(node):
        case p.Filter(input=input_) | p.GroupBy(input=input_):
            return input_.kind == "TABLE"
        case p.Project() | p.Rekey() | p.Repartition() | Copy():
            return before
        case p.Aggregate() | p.WindowAggregate() | p.SessionAggregate() | Materialise():
            return False  # it has a store
        case p.StreamStreamJoin() | p.StreamTableJoin() | p.TableTableJoin() | p.ForeignKeyJoin():
            return False  # it has stores
        case p.Scan() | p.Explode() | p.Write() | p.Output():
            return False  # it has no input, or its input is a stream, or it is the sink
        case other:
            assert_never(other)
