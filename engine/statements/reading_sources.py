"""How queries that are answered once read streams and tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa

from ...errors import Span, StatementError
from ...grammar import ast
from ...runtime.batch import Batch
from ...runtime.query.ledger import NoLedger
from ...runtime.query.lifecycle import QueryRun
from ...storage import interrupts
from ..analysis.resolved import ResolvedQuery
from ..catalog import DataSource
from ..pull.rows import check_size
from ..types import to_arrow
from .context import Context
from .planning import plan_query, to_dataflow


def find_source(context: Context, reference: ast.SourceRef) -> DataSource:
    """Find a source of the catalog.

    Raises:
        StatementError: there is none, or it is a stream and a property forbids reading streams.
    """
    try:
        source = context.catalog.source(reference.name)
    except StatementError as error:
        error.span = reference.span
        raise
    if source.kind == "STREAM" and not context.options.pull_stream:
        raise StatementError(
            "pull queries on streams are switched off by ksql.query.pull.stream.enabled", span=reference.span
        )
    return source


def kept_view(context: Context, source: DataSource, span: Span) -> str:
    """The id of the query that keeps a table's rows.

    Raises:
        StatementError: there is none.
    """
    view = context.view_of(source)
    if view is None:
        raise StatementError(
            f"no query keeps the rows of the table {source.name}, so a pull query cannot read them",
            span=span,
            suggestion=f"CREATE TABLE .. AS SELECT * FROM {source.name}; makes one that can.",
        )
    return view


def check_limit(context: Context, span: Span) -> None:
    """Check that LIMIT is allowed.

    Raises:
        StatementError: a property forbids it.
    """
    if not context.options.pull_limit:
        raise StatementError("LIMIT in pull queries is switched off by ksql.query.pull.limit.clause.enabled", span=span)


def events_only(receive: Callable[[Batch], None]) -> Callable[[Batch], None]:
    """Drop records of a stream that have no value, because they are not rows (section 11)."""

    def events(batch: Batch) -> None:
        receive(batch if batch.tombstones is None else batch.filter(~batch.tombstones))

    return events


def read_stream(context: Context, query: ast.Query, resolved: ResolvedQuery) -> list[Any]:
    """The columns of a SELECT over one stream, from its first record to its end at this moment, or until LIMIT.

    Raises:
        StatementError: the rows need more memory than a query may use.
    """
    pieces: list[Batch] = []
    size = measured = 0
    options = replace(context.options, auto_offset_reset="earliest")
    planned = plan_query(context, query)
    dataflow = to_dataflow(context, planned.plan, events_only(pieces.append), options)
    run = QueryRun("pull", dataflow, context.host.services, ledger=NoLedger())
    taken, limit = 0, resolved.limit
    ends = {place: context.log.end_offset(*place) for place in run.status.positions}
    while any(at < ends[place] for place, at in run.status.positions.items()):  # later records do not count
        interrupts.check()
        if (limit is not None and taken >= limit) or not run.step():
            break
        taken = sum(len(p) for p in pieces)
        size += sum(column.nbytes for piece in pieces[measured:] for column in piece.columns)
        measured = len(pieces)
        check_size(size)
    types = [to_arrow(c.type) for c in resolved.select_schema]
    return [
        pa.chunked_array([p.columns[place] for p in pieces], type_)
        for place, type_ in zip(resolved.select_order, types, strict=True)
    ]
