"""Turns a logical plan into a physical one: the rules, and their order.

A rule takes a whole plan and returns a plan with the same meaning: it gives the same rows in the same order, and the same
counts of dropped rows.
"""

from __future__ import annotations

from collections.abc import Callable

from .logical.rules.drop_repartitions import drop_repartitions
from .logical.rules.merge_projections import merge_projections
from .logical.rules.prune_columns import prune_columns
from .logical.rules.push_filters import push_filters
from .physical.rules.copy_to_topics import copy_to_topics
from .physical.rules.materialise_tables import materialise_tables
from .tree import PlanNode

Rule = Callable[[PlanNode], PlanNode]

LOGICAL: tuple[Rule, ...] = (
    push_filters,  # first: here each clause still has a node of its own
    drop_repartitions,
)
"""After these rules the plan is still logical.  Another engine could run it, too."""

PHYSICAL: tuple[Rule, ...] = (materialise_tables,)
"""These rules choose how this engine runs the plan."""

COLUMNS: tuple[Rule, ...] = (
    prune_columns,  # scans know by now which columns they must keep
    merge_projections,  # last: pruning leaves projections that do nothing
)
"""These rules apply to both kinds of plans."""


def optimise(plan: PlanNode) -> PlanNode:
    """Apply all rules to a logical plan, and return the physical plan."""
    for rule in (*LOGICAL, *PHYSICAL, *COLUMNS):
        plan = rule(plan)
    return plan


__all__ = ["COLUMNS", "LOGICAL", "PHYSICAL", "copy_to_topics", "optimise"]
# `copy_to_topics` rewrites the finished physical plan if it is asked for: it copies the rows that are moved or kept
