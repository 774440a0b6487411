"""WHY NO ROWS FROM: says what keeps a query from giving rows, with counts, and a statement that would help.

It reads the counters, the state, the positions and the operators of the running query, and samples keys from the topics.  It
changes nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ...errors import PenstockError, StatementError
from ...grammar import ast
from ...grammar.parse import parse_statement
from ...grammar.unparse import quote, unparse
from ...runtime import processing_log
from ...runtime.metrics import Waiting
from ...runtime.query.lifecycle import QueryRun
from ..catalog import DataSource, QueryEntry
from ..expressions.nodes import text
from ..plan.logical import nodes as p
from ..relation import instant
from ..results import Listing
from .context import Context
from .flows import Line, lines
from .join_samples import compared
from .reading import next_record

_COLUMNS = ("Finding", "Count", "Detail", "Statement")
_SAMPLE = 100
_EARLIEST = "SET 'auto.offset.reset' = 'earliest';"


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for missing rows.

    Attributes:
        name: a name of a few words, which does not change.
        count: the number of rows, windows or records; None if nothing is counted.
        statement: a statement that would help; empty if there is none.
    """

    name: str
    count: int | None
    detail: str
    statement: str = ""

    @property
    def row(self) -> tuple[str, int | None, str, str]:
        return self.name, self.count, self.detail, self.statement


def why_no_rows(context: Context, statement: ast.WhyNoRows) -> Listing:
    """The reasons found for a query, or for all queries that write a source, and for the queries that these read from.

    Raises:
        StatementError: no query and no source has this name.
    """
    catalog = context.catalog
    name = statement.name
    entry = catalog.queries.get(name) or next((q for q in catalog.queries.values() if q.id.upper() == name.upper()), None)
    source = catalog.sources.get(name)
    if entry is None and source is None:
        near = difflib.get_close_matches(name, [*catalog.queries, *catalog.sources], 1)
        raise StatementError(
            f"there is neither a persistent query nor a source {name}",
            span=statement.span,
            suggestion=f"Did you mean {near[0]}?" if near else "SHOW QUERIES; and SHOW STREAMS; list them.",
        )
    seen: set[str] = set()
    if entry is not None:
        found = _of_query(context, entry, seen)
    else:
        assert source is not None
        found = _of_source(context, source, seen)
    return Listing("why no rows", _COLUMNS, tuple(f.row for f in found), unparse(statement))


def _of_source(context: Context, source: DataSource, seen: set[str]) -> list[Reason]:
    queries = [context.catalog.queries[q] for q in context.writers(source.name)]
    if source.query_id is not None and source.query_id in context.catalog.queries:
        queries.append(context.catalog.queries[source.query_id])
    unique = list({q.id: q for q in queries}.values())
    if not unique:
        return [_of_declared(context, source)]
    return [f for query in unique for f in _of_query(context, query, seen)]


def _of_declared(context: Context, source: DataSource) -> Reason:
    """The reason for a source that no query writes."""
    records = _records(context, source.topic)
    if not records:
        return Reason("empty input", 0, f"the topic {source.topic} of {source.name} has no records, and no query writes it")
    after, bad, read, reason = -1, 0, 0, ""
    while read < _SAMPLE and (record := next_record(context, source, after)) is not None:
        after, read = record.arrival, read + 1
        if record.problem is not None:
            bad, reason = bad + 1, f"partition {record.partition}, offset {record.offset}: {record.problem}"
    if bad and bad == read:
        statement = unparse(ast.Print(source.topic, True, limit=3))
        return Reason("bad records", bad, f"none of the first {read} records can be read; {reason}", f"{statement};")
    return Reason(
        "rows are there",
        records,
        "a SELECT with EMIT CHANGES shows only new records, unless auto.offset.reset is earliest",
        f"{_EARLIEST} SELECT * FROM {quote(source.name)} EMIT CHANGES;",
    )


def _of_query(context: Context, entry: QueryEntry, seen: set[str]) -> list[Reason]:
    if entry.id in seen:
        return []
    seen.add(entry.id)
    run = context.host.run(entry.id)
    case = _Case(context, entry, run, lines(context.planned[entry.id].plan, run))
    found = [finding for look in _LOOKS for finding in look(case)]
    if not found:
        found = [_nothing_found(case)]
    found = [replace(f, detail=f"{entry.id}: {f.detail}") for f in found]
    if run.status.account.written == 0:
        for name in dict.fromkeys(entry.sources):
            source = context.catalog.sources.get(name)
            if source is not None and not _records(context, source.topic) and _is_written(context, source):
                found += _of_source(context, source, seen)
    return found


@dataclass(frozen=True, slots=True)
class _Case:
    """A query that is examined."""

    context: Context
    entry: QueryEntry
    run: QueryRun
    lines: list[Line]

    def again(self, change: Callable[[ast.Query], ast.Query] = lambda query: query) -> str:
        """Statements that create the query again with a change, so that it reads its inputs from the beginning."""
        statement = parse_statement(self.entry.statement.rstrip().rstrip(";"))
        if not isinstance(statement, ast.CreateAsSelect | ast.InsertSelect):
            return ""
        new = unparse(replace(statement, query=change(statement.query)))
        if isinstance(statement, ast.InsertSelect):
            return f"TERMINATE {quote(self.entry.id)}; {_EARLIEST} {new};"
        return f"DROP {statement.kind} {quote(self.entry.sink)}; {_EARLIEST} {new};"


def _stopped(case: _Case) -> Iterator[Reason]:
    run, name = case.run, quote(case.entry.id)
    if run.state == "PAUSED":
        yield Reason("paused", run.status.lag, f"the query is paused; {run.status.lag} records wait", f"RESUME {name};")
    if run.state == "ERROR":
        yield Reason(
            "error", run.status.lag, f"the query has failed: {run.error}; {run.status.lag} records wait", f"RESUME {name};"
        )


def _inputs(case: _Case) -> Iterator[Reason]:
    context, run = case.context, case.run
    for name in dict.fromkeys(case.entry.sources):
        source = context.catalog.sources[name]
        if not _records(context, source.topic):
            writers = context.writers(name)
            who = f"written by {', '.join(writers)}" if writers else "and no query writes it"
            yield Reason("empty input", 0, f"the topic {source.topic} of {name} has no records, {who}")
    if run.state != "RUNNING" or not run.status.lag:
        return
    idle_ms, patience_s = run.dataflow.max_task_idle_ms, run.patience_s
    if idle_ms and patience_s is not None:
        empty = sorted(
            {f"{source.topic} partition {number}" for source, number, _, unread in run.status.unread if not unread}
        )
        yield Reason(
            "waiting for an input",
            run.status.lag,
            f"max.task.idle.ms = {idle_ms}: for {patience_s:.1f} s more the query waits for records of {', '.join(empty)}",
            f"SET 'max.task.idle.ms' = '0'; {case.again()}",
        )
    else:
        yield Reason("unread records", run.status.lag, "the query has not processed all records yet: look again in a moment")


def _skipped(case: _Case) -> Iterator[Reason]:
    """Records that are older than the query.  The query began after them."""
    context, run = case.context, case.run
    topics = context.log.topics()
    latest = passed = 0
    exact = True
    for source, partition, position, _ in run.status.unread:
        behind = position - context.log.start_offset(source.topic, partition)
        passed += behind
        exact = exact and topics[source.topic].cleanup_policy == "delete"
        if not source.from_beginning:
            latest += behind
    skipped = min(latest, passed - run.status.account.read)
    if skipped > 0:
        count = f"{skipped}" if exact else f"up to {skipped}"
        yield Reason(
            "offset reset",
            skipped,
            f"{count} records were there before the query, which began at their end (auto.offset.reset = latest)",
            case.again(),
        )


def _filters(case: _Case) -> Iterator[Reason]:
    account = case.run.status.account
    filters = [line for line in case.lines if isinstance(line.node, p.Filter)]
    dropping = [line for line in filters if line.rows_in and not line.rows_out]
    for line in dropping:
        assert isinstance(line.node, p.Filter)
        having = _is_above_grouping(line.node)
        yield Reason(
            "filter",
            line.rows_in,
            f"{'HAVING' if having else 'WHERE'} {text(line.node.predicate)} is not true for any of {line.rows_in} rows",
            case.again(_without_having if having else _without_where),
        )
    if not dropping and filters and account.filtered and account.filtered == account.read:
        predicates = " and ".join(text(line.node.predicate) for line in filters if isinstance(line.node, p.Filter))
        yield Reason(
            "filter",
            account.filtered,
            f"all {account.read} rows read were dropped; the query has WHERE {predicates}",
            case.again(_without_where),
        )


def _without_where(query: ast.Query) -> ast.Query:
    return replace(query, where=None)


def _without_having(query: ast.Query) -> ast.Query:
    return replace(query, having=None)


def _is_above_grouping(node: p.Filter) -> bool:
    below = node.input
    while isinstance(below, p.Project | p.Filter):
        below = below.input
    return isinstance(below, p.Aggregate | p.WindowAggregate | p.SessionAggregate)


def _joins(case: _Case) -> Iterator[Reason]:
    for number, line in enumerate(case.lines):
        node = line.node
        if not isinstance(node, p.StreamStreamJoin | p.StreamTableJoin | p.TableTableJoin | p.ForeignKeyJoin):
            continue
        if node.type != "INNER" or line.rows_out or case.run.status.account.written:
            continue
        rows = line.rows_in or case.run.status.account.read
        if rows:
            yield Reason("join without matches", rows, compared(case.context, case.run, case.lines, number), "")


def _waiting(case: _Case) -> Iterator[Reason]:
    """Windows and rows that wait for stream time to advance, and the partitions that they wait for."""
    held: list[tuple[int, Waiting]] = []
    with case.run.between_steps():
        try:
            tasks = case.run.tasks()
        except PenstockError:
            return  # the query has failed, and there is a reason for that already
        for task in tasks:
            held += [(task.partition, w) for o in task.operators.values() if (w := o.waiting()) is not None]
    if not held:
        return
    newest = max(waiting.stream_time for _, waiting in held)
    final = any(isinstance(n.node, p.WindowAggregate | p.SessionAggregate) and n.node.final for n in case.lines)
    what = "windows" if final else "rows without a match"
    mended = case.again(lambda query: replace(query, emit="CHANGES")) if final else ""
    for partition, waiting in held:
        if waiting.due <= newest:
            yield Reason(
                "idle partition",
                waiting.rows,
                f"partition {partition} holds back {waiting.rows} {what}: its stream time stands at "
                f"{instant(waiting.stream_time)}, while another is at {instant(newest)}; it needs a row of "
                f"{instant(waiting.due)} or later",
                mended,
            )
        else:
            yield Reason(
                "stream time",
                waiting.rows,
                f"partition {partition} holds back {waiting.rows} {what}: stream time is "
                f"{instant(waiting.stream_time)}, the first one is emitted at {instant(waiting.due)} (grace included): "
                f"{waiting.due - waiting.stream_time} ms of event time are missing",
                mended,
            )


def _lost(case: _Case) -> Iterator[Reason]:
    account, query_id = case.run.status.account, case.entry.id
    if account.bad:
        reason = _newest_reason(case)
        yield Reason(
            "bad records",
            account.bad,
            f"{account.bad} of {account.read} records could not be used" + (f"; the newest: {reason}" if reason else ""),
            f"SELECT * FROM KSQL_PROCESSING_LOG WHERE LOGGER LIKE 'processing.{query_id}.%';",
        )
    if account.late:
        yield Reason(
            "late rows",
            account.late,
            f"{account.late} of {account.read} rows came after their window (or what they join) had closed; a longer GRACE "
            "PERIOD accepts them",
            case.again(_with_longer_grace),
        )
    if account.expired:
        yield Reason(
            "windows removed",
            account.expired,
            f"{account.expired} windows left their store when their retention was over; a longer RETENTION keeps them",
        )


def _with_longer_grace(query: ast.Query) -> ast.Query:
    """The query with a grace period of a day for its windows and joins."""
    day = ast.Duration(1, "DAY")
    window = query.window
    if window is not None:
        window = replace(window, grace_period=day, retention=None)
    joins = tuple(j if j.within is None else replace(j, within=replace(j.within, grace_period=day)) for j in query.joins)
    return replace(query, window=window, joins=joins)


def _newest_reason(case: _Case) -> str:
    """The reason of the query's last bad record, from the end of the processing log."""
    log = case.context.log
    if processing_log.TOPIC not in log.topics():
        return ""
    start, end = log.start_offset(processing_log.TOPIC, 0), log.end_offset(processing_log.TOPIC, 0)
    place, newest = max(start, end - 1000), ""
    for records in log.scan(processing_log.TOPIC, 0, place):
        for row in () if records.values is None else records.values.to_pylist():
            if row is not None and row["LOGGER"].startswith(f"processing.{case.entry.id}."):
                newest = _reason(row["MESSAGE"])
    return newest


def _reason(message: dict[str, Any]) -> str:
    parts = [part for part in message.values() if isinstance(part, dict)]
    return next((f"{m['topic']}, partition {m['partition']}, offset {m['offset']}: {m['errorMessage']}" for m in parts), "")


def _nothing_found(case: _Case) -> Reason:
    account = case.run.status.account
    if account.written:
        statement = f"{_EARLIEST} SELECT * FROM {quote(case.entry.sink)} EMIT CHANGES;"
        return Reason(
            "rows are there", account.written, f"nothing holds rows back: {account.written} were written", statement
        )
    return Reason("nothing found", account.read, f"{account.read} records were read, and none of them gave a row")


_LOOKS = (_stopped, _inputs, _skipped, _filters, _joins, _waiting, _lost)


def _is_written(context: Context, source: DataSource) -> bool:
    return bool(context.writers(source.name)) or source.query_id in context.catalog.queries


def _records(context: Context, topic: str) -> int:
    config = context.topic(topic)
    places = [(topic, number) for number in range(0 if config is None else config.partitions)]
    return sum(context.log.end_offset(*place) - context.log.start_offset(*place) for place in places)
