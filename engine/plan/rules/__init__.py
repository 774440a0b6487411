"""The rewrite rules, and the order in which they are applied.

A rule takes a whole plan and gives one that means the same: the same rows in the same order, and the same account of
the rows that go no further.
"""

from __future__ import annotations

from collections.abc import Callable

from ..nodes import PlanNode
from .copy_to_topics import copy_to_topics
from .drop_repartitions import drop_repartitions
from .materialise_tables import materialise_tables
from .merge_projections import merge_projections
from .prune_columns import prune_columns
from .push_filters import push_filters

Rule = Callable[[PlanNode], PlanNode]

RULES: tuple[Rule, ...] = (
    push_filters,  # first, while each clause still has a node of its own
    drop_repartitions,
    materialise_tables,  # before pruning, which spares what is kept
    prune_columns,
    merge_projections,  # last: pruning leaves projections that do nothing
)


def optimise(plan: PlanNode) -> PlanNode:
    """The plan after all rules."""
    for rule in RULES:
        plan = rule(plan)
    return plan


__all__ = ["RULES", "copy_to_topics", "optimise"]
# `copy_to_topics` rewrites an optimised plan, where it is asked for: it copies what is moved and kept in the end
