"""Finds the aggregations that must write every update of their groups, although caching is on.

An aggregation over a table keeps a row with COUNT 0 for a group that has become empty.  So its result depends on every row
that the table had, also on those that were there only for a moment.  With caching, an aggregation writes the last update
of each group in a step.  Another aggregation over its table would then depend on how the input was cut into steps
(`docs/decisions/caching.md`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from .catalog import Catalog
from .plan.logical.nodes import Aggregate, GroupBy, Scan, SessionAggregate, WindowAggregate
from .plan.tree import PlanNode, walk
from .state import Planned


def emitting_every_update(
    readers: Iterable[Planned], planned: Mapping[str, Planned], catalog: Catalog
) -> dict[str, Planned]:
    """The queries that must begin to emit every update, by id, with the dataflows that do so.

    Args:
        readers: the queries whose aggregations over tables count.
        planned: all persistent queries, by id.
        catalog: the sources that these queries read and write.
    """
    topics = [topic for reader in readers for topic in _aggregated_tables(reader.plan)]
    if not topics:
        return {}
    writers = {s.topic: s.query_id for s in catalog.sources.values() if s.query_id in planned}
    found: dict[str, Planned] = {}
    seen: set[str] = set()
    while topics:
        topic = topics.pop()
        query_id = writers.get(topic)
        if query_id is None or topic in seen:
            continue
        seen.add(topic)
        query = planned[query_id]
        topics += _tables(query.plan)
        if _aggregates(query.plan) and not query.dataflow.every_update:
            found[query_id] = replace(query, dataflow=replace(query.dataflow, every_update=True))
    return found


def _aggregated_tables(plan: PlanNode) -> list[str]:
    """The topics of the tables that are below an aggregation over a table."""
    grouped = (node for node in walk(plan) if isinstance(node, GroupBy) and node.input.kind == "TABLE")
    return [topic for node in grouped for topic in _tables(node)]


def _tables(plan: PlanNode) -> list[str]:
    return [node.source.topic for node in walk(plan) if isinstance(node, Scan) and node.kind == "TABLE"]


def _aggregates(plan: PlanNode) -> bool:
    return any(isinstance(node, (Aggregate, WindowAggregate, SessionAggregate)) for node in walk(plan))
