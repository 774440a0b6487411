"""AST query -> plan -> dataflow: the stations of engine, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ...grammar import ast
from ...runtime.batch import Batch
from ...runtime.dataflow import Dataflow
from ..analysis.query import analyse
from ..analysis.resolved import ResolvedQuery
from ..analysis.sink import SinkRequest
from ..catalog import Catalog, DataSource
from ..lowering import LoweringContext, lower
from ..plan.build import build, build_source_table
from ..plan.nodes import Copy, PlanNode, walk
from ..plan.rules import copy_to_topics, optimise
from ..query_options import QueryOptions
from ..serdes import serde_maker
from .context import Context


@dataclass(frozen=True, slots=True)
class PlannedQuery:
    """``resolved`` is None for the query of a SOURCE TABLE."""

    resolved: ResolvedQuery | None
    plan: PlanNode


def plan_query(
    context: Context, query: ast.Query, sink: SinkRequest | None = None, catalog: Catalog | None = None
) -> PlannedQuery:
    """Analyse and plan.  Raises: StatementError."""
    resolved = analyse(query, context.query_context(sink, catalog))
    return PlannedQuery(resolved, optimise(build(resolved)))


def with_copies(context: Context, planned: PlannedQuery, query_id: str) -> PlannedQuery:
    """The plan with the internal topics that ``penstock.internal.topics`` asks for, under the names ksqlDB gives them.

    Raises:
        StatementError: the value format of a source cannot hold what such a topic is to have.
    """
    if not context.options.internal_topics:
        return planned
    prefix = f"_confluent-ksql-{context.options.service_id}query_{query_id}-"
    return replace(planned, plan=copy_to_topics(planned.plan, prefix))


def copies(plan: PlanNode) -> dict[str, DataSource]:
    """The internal topics that a plan writes, by name."""
    return {node.target.topic: node.target for node in walk(plan) if isinstance(node, Copy)}


def plan_source_table(source: DataSource) -> PlannedQuery:
    """The query that keeps a SOURCE TABLE's rows."""
    return PlannedQuery(None, optimise(build_source_table(source)))


def to_dataflow(
    context: Context,
    plan: PlanNode,
    receive: Callable[[Batch], None] | None = None,
    options: QueryOptions | None = None,
) -> Dataflow:
    """Lower a plan, with the options in force or the given ones.  Raises: StatementError, UnsupportedError."""
    return lower(plan, LoweringContext(context.functions, serde_maker(context.schemas), options or context.options, receive))
