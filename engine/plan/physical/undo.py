"""Decides which changes of a table carry the rows before them.

Operators that undo a row (a filter that a row stops passing, a GROUP BY) need them.  An operator that only changes columns
passes them on.  An operator with a store makes them itself.
"""

from __future__ import annotations

from typing import assert_never

from ..logical import nodes as p
from ..tree import PlanNode
from .nodes import Copy, Materialise, known


def wants_before(node: PlanNode, *, before: bool) -> bool:
    """Whether a node needs the rows before each change from its inputs; the argument says whether it must pass them on."""
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
            return False  # it has no input, or only events come to it, or nothing follows
        case other:
            assert_never(other)
