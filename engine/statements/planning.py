"""Plans queries: AST -> logical plan -> physical plan -> dataflow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from ...grammar import ast
from ...runtime.batch import Batch
from ...runtime.dataflow import Dataflow
from ..analysis.joins import check_window_sizes
from ..analysis.query import QueryContext, analyse
from ..analysis.resolved import ResolvedQuery
from ..analysis.sink import SinkRequest
from ..catalog import Catalog, DataSource, QueryEntry
from ..functions.registry import Registry
from ..lowering.lower import LoweringContext, lower
from ..plan.logical.build import build
from ..plan.optimise import copy_to_topics, optimise
from ..plan.physical.nodes import Copy
from ..plan.physical.source_table import build_source_table
from ..plan.tree import PlanNode, walk
from ..query_options import QueryOptions
from ..serdes import serde_maker
from ..state import Planned

if TYPE_CHECKING:
    from ...storage.schemas.registry import SchemaRegistry


class PlanningContext(Protocol):
    """What planning reads of a database: its catalog, functions, schemas and options."""

    @property
    def catalog(self) -> Catalog: ...

    @property
    def functions(self) -> Registry: ...

    @property
    def schemas(self) -> SchemaRegistry | None: ...

    @property
    def options(self) -> QueryOptions: ...


@dataclass(frozen=True, slots=True)
class PlanningState:
    """A `PlanningContext` without a database, for example for an earlier state of it."""

    catalog: Catalog
    functions: Registry
    schemas: SchemaRegistry | None
    options: QueryOptions


@dataclass(frozen=True, slots=True)
class PlannedQuery:
    """A planned query.

    Attributes:
        resolved: None for the query of a SOURCE TABLE.
    """

    resolved: ResolvedQuery | None
    plan: PlanNode


def plan_query(
    context: PlanningContext, query: ast.Query, sink: SinkRequest | None = None, *, again: bool = False
) -> PlannedQuery:
    """Analyse and plan a query.

    Args:
        again: the query exists already.  Rules that are newer than the query are not applied.

    Raises:
        StatementError: the query is wrong.
    """
    resolved = analyse(query, QueryContext(context.catalog, context.functions, context.options, sink))
    if resolved.joins and not again:
        check_window_sizes(resolved.sources)
    return PlannedQuery(resolved, optimise(build(resolved)))


def with_copies(context: PlanningContext, planned: PlannedQuery, query_id: str) -> PlannedQuery:
    """Add to a plan the internal topics that ``penstock.internal.topics`` asks for, under ksqlDB's names.

    Raises:
        StatementError: the value format of a source cannot hold the columns of such a topic.
    """
    if not context.options.internal_topics:
        return planned
    prefix = f"_confluent-ksql-{context.options.service_id}query_{query_id}-"
    return replace(planned, plan=copy_to_topics(planned.plan, prefix))


def copies(plan: PlanNode) -> dict[str, DataSource]:
    """The internal topics that a plan writes, by name."""
    return {node.target.topic: node.target for node in walk(plan) if isinstance(node, Copy)}


def to_dataflow(
    context: PlanningContext,
    plan: PlanNode,
    receive: Callable[[Batch], None] | None = None,
    options: QueryOptions | None = None,
) -> Dataflow:
    """Lower a plan.

    Args:
        receive: gets the batches of a push query.
        options: None: those of the context.

    Raises:
        StatementError: a timestamp format cannot be read.
        UnsupportedError: Penstock cannot run a part of the plan.
    """
    return lower(plan, LoweringContext(context.functions, serde_maker(context.schemas), options or context.options, receive))


def ready(context: PlanningContext, planned: PlannedQuery, entry: QueryEntry) -> Planned:
    """Make a persistent query ready to run, with the internal topics that it writes.

    Raises:
        StatementError, UnsupportedError: see `with_copies` and `to_dataflow`.
    """
    planned = with_copies(context, planned, entry.id)
    return Planned(entry.id, planned.plan, to_dataflow(context, planned.plan), entry.order, planned.resolved)


def plan_source_table(source: DataSource) -> PlannedQuery:
    """Plan the query that keeps the rows of a SOURCE TABLE."""
    return PlannedQuery(None, optimise(build_source_table(source)))


def plan_again(context: PlanningContext, entry: QueryEntry, statement: ast.Statement) -> Planned:
    """Plan the query of a catalog entry again, from its statement.

    Args:
        context: the state when the query was created; for a SOURCE TABLE it includes that table.

    Raises:
        StatementError: a function that it uses is not registered.
    """
    match statement:
        case ast.CreateAsSelect(kind=kind, name=name, query=query, properties=properties):
            planned = plan_query(context, query, SinkRequest(kind, name, properties), again=True)
        case ast.InsertSelect(query=query, properties=properties):
            target = context.catalog.sources[entry.sink]
            planned = plan_query(context, query, SinkRequest(target.kind, target.name, properties, insert=True), again=True)
        case _:
            planned = plan_source_table(context.catalog.sources[entry.sink])
    return ready(context, planned, entry)
