"""Builds the AST of queries.  The clauses of a query decide whether it is a `Query` or a `TableQuery`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

from ..errors import Span, StatementError
from . import ast
from .lexer import Lines
from .selects import as_select

Children = list[Any]

_INSTEAD = {
    "ORDER BY": "It has no end to be sorted by: ask its result with sql() and ORDER BY.",
    "DISTINCT": "Write GROUP BY.",
    "UNION": "Write INSERT INTO .. SELECT for each of the inputs.",
    "a subquery in FROM": "Make a CREATE STREAM or TABLE .. AS SELECT of the subquery, and read that.",
    "a join by a comma": "Sources are joined by JOIN .. ON .., not by commas.",
    "CROSS JOIN": "Write JOIN .. ON ..",
    "JOIN .. USING": "Write JOIN .. ON a.x = b.x.",
    "SELECT without FROM": "Every query that keeps running reads something: SELECT .. FROM ..",
}


@dataclass(frozen=True, slots=True)
class _AfterAlias:
    """A join whose word CROSS is in fact the alias of the source before it."""

    join: Any


def around(first: Span, last: Span) -> Span:
    return Span(first.start, last.end, first.line, first.column)


def _beyond_select(select: ast.Select) -> tuple[str, Span] | None:
    """The first clause of a SELECT that a query over streams cannot have."""
    if select.distinct:
        return "DISTINCT", select.span
    if select.source is None:
        return "SELECT without FROM", select.span
    if isinstance(select.source, ast.SubqueryRef):
        return "a subquery in FROM", select.source.span
    for join in select.joins:
        if isinstance(join.source, ast.SubqueryRef):
            return "a subquery in FROM", join.source.span
        if join.using:
            return "JOIN .. USING", join.span
        if join.type == "CROSS":
            return "CROSS JOIN", join.span
    return None


class _Core:
    """``SELECT .. HAVING ..``, as long as it is not known whether it belongs to a `Query` or a `TableQuery`."""

    def __init__(
        self,
        distinct: bool,
        select: tuple[Any, ...],
        source: Any = None,
        joins: tuple[Any, ...] = (),
        window: Any = None,
        where: Any = None,
        group_by: tuple[Any, ...] = (),
        partition_by: tuple[Any, ...] = (),
        having: Any = None,
        *,
        span: Span,
    ) -> None:
        places = [source, *(j.join.source if isinstance(j, _AfterAlias) else j.source for j in joins)]
        for i, join in enumerate(joins):
            if isinstance(join, _AfterAlias) and places[i].alias is None:
                places[i] = replace(places[i], alias="CROSS")
        plain = [j.join if isinstance(j, _AfterAlias) else j for j in joins]
        self.distinct = distinct
        self.select = select
        self.source = places[0]
        self.joins = tuple(replace(j, source=place) for j, place in zip(plain, places[1:], strict=True))
        self.window = window
        self.where = where
        self.group_by = group_by
        self.partition_by = partition_by
        self.having = having
        self.span = span

    @property
    def beyond(self) -> tuple[str, Span] | None:
        """The first of its clauses that a query over streams cannot have."""
        joins = tuple(ast.TableJoin(j.type, j.source, span=j.span) if isinstance(j, ast.Join) else j for j in self.joins)
        return _beyond_select(ast.Select(self.select, self.source, joins, distinct=self.distinct, span=self.span))

    def query(self, emit: Any, limit: Any, span: Span) -> ast.Query:
        return ast.Query(
            self.select, self.source, self.joins, self.window, self.where, self.group_by, self.partition_by, self.having,
            emit, limit, span=span,
        )  # fmt: skip


class QueryBuilder:
    """The methods for the rules of queries."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._span = Lines(text).span
        self._positional = 0

    def _error(self, message: str, start: int, end: int, suggestion: str | None = None) -> StatementError:
        return StatementError(message, span=self._span(start, end), text=self._text, suggestion=suggestion)

    # --- queries ---------------------------------------------------------------------------

    def select(self, children: Children, start: int, end: int) -> _Core:
        return _Core(*children, span=self._span(start, end))

    def select_constants(self, children: Children, start: int, end: int) -> _Core:
        return _Core(*children, span=self._span(start, end))

    def select_query(self, children: Children, start: int, end: int) -> ast.Query | ast.TableQuery:
        return self.query([(), *children], start, end)

    def query(self, children: Children, start: int, end: int) -> ast.Query | ast.TableQuery:
        """A `Query` if a query over streams can have its clauses, otherwise a `TableQuery`."""
        common_tables, body, order_by, emit, (limit, offset) = children
        span = self._span(start, end)
        simple = not common_tables and not order_by and offset is None
        if isinstance(body, _Core) and simple and body.beyond is None:
            return body.query(emit, limit, span)
        whole = ast.TableQuery(self._body(body), common_tables, order_by, limit, offset, span=span)
        if emit is not None:
            raise self._beyond(whole, body, f"a query with EMIT {emit}", "Leave EMIT out: the query is then answered once.")
        if isinstance(whole.body, ast.Query | ast.TableQuery) and simple and limit is None:
            return whole.body  # parentheses without a meaning
        return whole

    def _streaming(self, query: Any, what: str) -> ast.Query:
        """The query of a statement that keeps running.

        Raises:
            StatementError: it has a clause that only queries with one answer can have.
        """
        if isinstance(query, ast.TableQuery):
            hint = "sql() answers it once; a query that keeps running has JOIN, WHERE, GROUP BY and HAVING."
            raise self._beyond(query, query.body, what, hint)
        return cast("ast.Query", query)

    def _beyond(self, query: ast.TableQuery, body: Any, what: str, hint: str) -> StatementError:
        """The error for the first clause that a query over streams cannot have."""
        if query.common_tables:
            place, name = query.common_tables[0].span, "WITH"
        elif isinstance(body, _Core) and body.beyond is not None:
            name, place = body.beyond
        elif isinstance(body, ast.SetOperation):
            place, name = body.right.span, body.operator
        elif isinstance(body, ast.ValuesTable):
            place, name = body.span, "VALUES"
        elif isinstance(body, ast.Select):
            name, place = _beyond_select(body) or ("ORDER BY", query.span)
            if query.order_by and _beyond_select(body) is None:
                place = query.order_by[0].span
        elif query.order_by:
            place, name = query.order_by[0].span, "ORDER BY"
        else:
            place, name = query.span, "OFFSET" if query.offset is not None else "parentheses"
        if name == "ORDER BY" and not query.order_by:
            name = "OFFSET"
        return StatementError(f"{what} has no {name}", span=place, text=self._text, suggestion=_INSTEAD.get(name, hint))

    def _body(self, body: Any) -> ast.QueryBody:
        """A part of a set operation or of a `TableQuery` as a node."""
        if not isinstance(body, _Core):
            return cast("ast.QueryBody", body)
        try:
            return replace(as_select(body.query(None, None, body.span)), distinct=body.distinct)
        except StatementError as error:
            raise error.located(self._text) from error.__cause__

    def set_operator(self, children: Children, start: int, end: int) -> tuple[str, bool]:
        return (children[0].upper(), len(children) > 1 and children[1].upper() == "ALL")

    intersect = set_operator

    def set_operation(self, children: Children, start: int, end: int) -> ast.SetOperation:
        left, (operator, all_), right = children
        return ast.SetOperation(operator, all_, self._body(left), self._body(right), span=self._span(start, end))

    def values(self, children: Children, start: int, end: int) -> ast.ValuesTable:
        return ast.ValuesTable(children[0], span=self._span(start, end))

    def common_table(self, children: Children, start: int, end: int) -> ast.CommonTable:
        return ast.CommonTable(*children, span=self._span(start, end))

    def subquery_ref(self, children: Children, start: int, end: int) -> ast.SubqueryRef:
        return ast.SubqueryRef(*children, span=self._span(start, end))

    def order_item(self, children: Children, start: int, end: int) -> ast.OrderItem:
        return ast.OrderItem(*children, span=self._span(start, end))

    def nulls_first(self, children: Children, start: int, end: int) -> str:
        return "FIRST"

    def nulls_last(self, children: Children, start: int, end: int) -> str:
        return "LAST"

    def offset_alone(self, children: Children, start: int, end: int) -> tuple[None, Any]:
        return (None, children[0])

    def positional(self, children: Children, start: int, end: int) -> ast.Parameter:
        self._positional += 1
        return ast.Parameter(str(self._positional), span=self._span(start, end))

    def named(self, children: Children, start: int, end: int) -> ast.Parameter:
        return ast.Parameter(children[0][1:], span=self._span(start, end))

    def select_star(self, children: Children, start: int, end: int) -> ast.SelectStar:
        return ast.SelectStar(*children, span=self._span(start, end))

    def select_struct_star(self, children: Children, start: int, end: int) -> ast.SelectStructStar:
        return ast.SelectStructStar(children[0], span=self._span(start, end))

    def select_expression(self, children: Children, start: int, end: int) -> ast.SelectExpression:
        return ast.SelectExpression(*children, span=self._span(start, end))

    def source_ref(self, children: Children, start: int, end: int) -> ast.SourceRef:
        return ast.SourceRef(*children, span=self._span(start, end))

    def join(self, children: Children, start: int, end: int) -> Any:
        type_, source, within, on = children
        if isinstance(source, ast.SubqueryRef):
            if within is not None:
                raise self._error("WITHIN cannot stand in a join with a subquery", within.span.start, within.span.end)
            return ast.TableJoin(type_, source, on, span=self._span(start, end))
        return ast.Join(type_, source, on, within, span=self._span(start, end))

    def join_using(self, children: Children, start: int, end: int) -> ast.TableJoin:
        return ast.TableJoin(children[0], children[1], None, children[2], span=self._span(start, end))

    def join_cross(self, children: Children, start: int, end: int) -> ast.TableJoin:
        return ast.TableJoin("CROSS", children[0], span=self._span(start, end))

    def join_comma(self, children: Children, start: int, end: int) -> ast.TableJoin:
        return ast.TableJoin("CROSS", children[0], span=self._span(start, end))

    def join_alias_cross(self, children: Children, start: int, end: int) -> Any:
        """``a cross JOIN b ON ..``: CROSS JOIN takes no ON, so ``cross`` is the alias of ``a``."""
        return _AfterAlias(self.join(["INNER", *children], start, end))

    def join_inner(self, children: Children, start: int, end: int) -> str:
        return "INNER"

    def join_left(self, children: Children, start: int, end: int) -> str:
        return "LEFT"

    def join_right(self, children: Children, start: int, end: int) -> str:
        return "RIGHT"

    def join_full(self, children: Children, start: int, end: int) -> str:
        return "FULL"

    def within_one(self, children: Children, start: int, end: int) -> ast.Within:
        return ast.Within(children[0], None, children[1], span=self._span(start, end))

    def within_two(self, children: Children, start: int, end: int) -> ast.Within:
        return ast.Within(*children, span=self._span(start, end))

    def retention(self, children: Children, start: int, end: int) -> tuple[str, ast.Duration]:
        return ("retention", children[0])

    def window_grace(self, children: Children, start: int, end: int) -> tuple[str, ast.Duration]:
        return ("grace_period", children[0])

    def window_name(self, children: Children, start: int, end: int) -> None:
        """A name before the window's type is accepted and ignored, as in ksqlDB."""
        return None

    def _window(self, type_: Any, sizes: int, children: Children, start: int, end: int) -> ast.Window:
        given = [child for child in children if child is not None]
        options: dict[str, ast.Duration] = {}
        for name, duration in given[sizes:]:
            if name in options:
                word = "RETENTION" if name == "retention" else "GRACE PERIOD"
                raise self._error(f"{word} is given twice", duration.span.start, duration.span.end)
            options[name] = duration
        return ast.Window(type_, *given[:sizes], **options, span=self._span(start, end))

    def tumbling(self, children: Children, start: int, end: int) -> ast.Window:
        return self._window("TUMBLING", 1, children, start, end)

    def hopping(self, children: Children, start: int, end: int) -> ast.Window:
        return self._window("HOPPING", 2, children, start, end)

    def session(self, children: Children, start: int, end: int) -> ast.Window:
        return self._window("SESSION", 1, children, start, end)

    def emit_changes(self, children: Children, start: int, end: int) -> str:
        return "CHANGES"

    def emit_final(self, children: Children, start: int, end: int) -> str:
        return "FINAL"
