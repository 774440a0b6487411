"""A whole pull query: WITH, set operations, VALUES, ORDER BY, LIMIT, and the tables and subqueries of FROM."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from ...errors import Span, StatementError
from ...grammar import ast
from ...grammar.selects import as_table_query, nodes_of
from ...grammar.syntax_errors import DUCKDB_HAS_IT
from ...storage import interrupts
from ..analysis.bind import bind
from ..analysis.binding import NoColumns, Subquery
from ..analysis.coercion import coerce, common_type, list_type
from ..catalog import UnknownSourceError
from ..expressions.nodes import ColumnRef, Literal, TypedExpression
from ..functions.registry import Registry
from ..query_options import QueryOptions
from ..schema import Column, Schema
from ..types import STRING, SqlType, to_arrow
from .evaluation import Evaluation, evaluate
from .faults import Faults
from .from_tables import FromTable
from .rows import Rows, SortKey, row_codes, sorted_rows, whole
from .scope import Around, TableScope, made_source
from .select import Selected, near_output, output_place, select

OpenTable = Callable[[ast.SourceRef, bool], FromTable]
"""Opens a stream or table of the catalog.  The last argument says whether it is joined with others."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The data that a query is answered from.

    Attributes:
        open: opens streams and tables.
        open_empty: opens them without their rows.
        common: the tables of WITH that can be used.  Each is computed when it is first read.
        faults: collects the rows that are left out.
        checking: the query is only checked: no row is read, and the columns of queries around it have no value yet.
    """

    open: OpenTable
    open_empty: OpenTable
    functions: Registry
    types: Mapping[str, SqlType]
    options: QueryOptions
    guard: bool
    common: Mapping[str, Callable[[], Selected]] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    checking: bool = False

    @property
    def how(self) -> Evaluation:
        return Evaluation(self.functions, self.guard, self.faults)

    def table(self, item: ast.FromItem, joined: bool, taken: Sequence[str], around: Around | None) -> FromTable:
        """Open a table in FROM."""
        if isinstance(item, ast.SourceRef):
            common = self.common.get(item.name)
            if common is None:
                return self.open(item, joined)
            return _made(item.alias or item.name, common(), (), joined, item.span)
        alias, number = item.alias or "SUBQUERY", 1
        while item.alias is None and alias in taken:
            number += 1
            alias = f"SUBQUERY_{number}"
        return _made(alias, answer(item.query, self, around), item.columns, joined, item.span)

    def subquery(self, query: ast.AnyQuery, scope: TableScope) -> Subquery:
        """Check a subquery without reading rows, and find the outer columns that it uses, see `Scope.subquery`."""
        checked = Around(scope, {})
        described = answer(query, self.without_rows(), checked)
        used = tuple(checked.used.values())
        names = [column.name for column in used]

        def rows(values: Sequence[Any]) -> Sequence[Any]:
            found = answer(query, self, Around(scope, dict(zip(names, values, strict=True))))
            return [v.slice(0, 1) if self.checking else v for _, _, v in found.columns]

        return Subquery([t for _, t, _ in described.columns], used, rows, self._is_volatile(query))

    def without_rows(self) -> Environment:
        """The same environment, but all tables and streams have no rows."""
        if self.checking:
            return self
        common = {name: _emptied(made) for name, made in self.common.items()}
        return replace(self, open=self.open_empty, common=common, faults=Faults(), checking=True)

    def _is_volatile(self, query: ast.AnyQuery) -> bool:
        """Whether a query calls a function that may give another value each time."""
        called = [self.functions.find(node.name) for node in nodes_of(query) if isinstance(node, ast.FunctionCall)]
        return any(getattr(overload, "volatile", False) for f in called if f is not None for overload in f.overloads)


def _emptied(made: Callable[[], Selected]) -> Callable[[], Selected]:
    """A table of WITH without its rows."""

    def empty() -> Selected:
        found = made()
        return replace(found, columns=tuple((n, t, v.slice(0, 0)) for n, t, v in found.columns), length=0, keys=())

    return empty


def answer(query: ast.AnyQuery, environment: Environment, around: Around | None = None) -> Selected:
    """Answer a query: its columns, and its rows in order.

    Raises:
        StatementError: the query is wrong.  The error has the place.
    """
    interrupts.check()
    whole_query = as_table_query(query)
    for place, common in enumerate(whole_query.common_tables):
        later = [c.name for c in whole_query.common_tables[place + 1 :]]
        once = _once(common, later, environment, around)
        environment = replace(environment, common={**environment.common, common.name: once})
    # A table of WITH is computed after those before it, so however many there are, the recursion is not deep.
    for name in _named_in(whole_query):
        environment.common[name]()
    limit, offset = _count(whole_query.limit), _count(whole_query.offset)
    body = whole_query.body
    if isinstance(body, ast.Select):
        found = select(body, whole_query.order_by, environment, around)
    else:
        found = _body(body, environment, around)
        keys = tuple(_sort_key(o, found, environment) for o in whole_query.order_by)
        found = replace(found, keys=keys)
    columns, length = found.columns, found.length
    if found.keys:
        index = pa.array(sorted_rows(found.keys, length))
        columns = tuple((n, t, v.take(index)) for n, t, v in columns)
    start = min(offset or 0, length)
    stop = length if limit is None else min(start + limit, length)
    if (start, stop) != (0, length):
        columns = tuple((n, t, v.slice(start, stop - start)) for n, t, v in columns)
    return Selected(columns, stop - start, (), found.roots, found.table_keys)


def _named_in(query: ast.TableQuery) -> list[str]:
    """The tables of a query's WITH that it uses, directly or through others, in their order."""
    if not query.common_tables:
        return []
    needed = _sources(replace(query, common_tables=()))
    for common in reversed(query.common_tables):
        if common.name in needed:
            needed |= _sources(common.query)
    return [common.name for common in query.common_tables if common.name in needed]


def _sources(query: ast.AnyQuery) -> set[str]:
    """The names in all FROM clauses of a query."""
    return {node.name for node in nodes_of(query) if isinstance(node, ast.SourceRef)}


def _once(
    common: ast.CommonTable, later: Sequence[str], environment: Environment, around: Around | None
) -> Callable[[], Selected]:
    """A table of WITH, computed once.  It can use the tables before it, but neither itself nor the ``later`` ones."""
    known: list[Selected] = []

    def rows() -> Selected:
        if not known:
            try:
                found = answer(common.query, environment, around)
            except UnknownSourceError as error:
                if error.wanted == common.name:
                    error.suggestion = f"{common.name} is being defined here, and WITH is not recursive: {DUCKDB_HAS_IT}."
                elif error.wanted in later:
                    error.suggestion = f"A table of WITH sees those before it: move {error.wanted} before {common.name}."
                raise
            known.append(_renamed(found, common.columns, common.span))
        return known[0]

    return rows


def _count(value: int | ast.Parameter | None) -> int | None:
    if isinstance(value, ast.Parameter):
        raise StatementError("the parameter has no value", span=value.span, suggestion="Give values beside the text.")
    return value


def _renamed(found: Selected, names: Sequence[str], span: Span) -> Selected:
    if not names:
        return found
    if len(names) != len(found.columns):
        raise StatementError(f"there are {len(names)} names for {len(found.columns)} columns", span=span)
    for place, name in enumerate(names):
        if name in names[:place]:
            raise StatementError(f"two columns are called {name}", span=span, suggestion="Give one of them another name.")
    columns = tuple((name, t, v) for name, (_, t, v) in zip(names, found.columns, strict=True))
    return replace(found, columns=columns, roots=())


def _made(alias: str, found: Selected, names: Sequence[str], joined: bool, span: Span) -> FromTable:
    found = _renamed(found, names, span)
    source = made_source(alias, [(n, t) for n, t, _ in found.columns], joined, span)
    rows = Rows({c.internal: v for c, (_, _, v) in zip(source.columns, found.columns, strict=True)}, found.length)
    passed_on = frozenset(name for at, (name, _, _) in enumerate(found.columns) if at in found.table_keys)
    return FromTable(source, lambda where: rows, passed_on)


def _body(body: ast.QueryBody, environment: Environment, around: Around | None) -> Selected:
    match body:
        case ast.Query() | ast.TableQuery():
            return answer(body, environment, around)
        case ast.Select():
            return select(body, (), environment, around)
        case ast.ValuesTable():
            return _values(body, environment)
        case ast.SetOperation():
            return _set_operation(body, environment, around)


# --- VALUES --------------------------------------------------------------------------------


def _values(body: ast.ValuesTable, environment: Environment) -> Selected:
    """VALUES.  Each column has the common type of its values."""
    width = len(body.rows[0])
    for row in body.rows:
        if len(row) != width:
            raise StatementError(f"this row of VALUES has {len(row)} values, the first one has {width}", span=row[0].span)
    columns = []
    nothing = Rows({}, 1)
    for place in range(width):
        bound = [_constant(row[place], environment) for row in body.rows]
        type_ = list_type(bound)
        if type_ is None:
            raise StatementError(
                "a column of VALUES has NULL only, so it has no type",
                span=body.rows[0][place].span,
                suggestion="Write CAST(NULL AS STRING), or another type.",
            )
        parts = [evaluate(coerce(e, type_, lax=True), nothing, how=environment.how) for e in bound]
        columns.append((f"KSQL_COL_{place}", type_, pa.concat_arrays([p.cast(to_arrow(type_)) for p in parts])))
    return Selected(tuple(columns), len(body.rows))


def _constant(expression: ast.Expression, environment: Environment) -> TypedExpression:
    if isinstance(expression, ast.NullLiteral):
        return Literal(None, untyped=True, type=STRING, span=expression.span)
    return bind(expression, NoColumns(), environment.functions, environment.types)


# --- set operations --------------------------------------------------------------------------


def _set_operation(body: ast.SetOperation, environment: Environment, around: Around | None) -> Selected:
    """UNION, INTERSECT and EXCEPT.  Columns are matched by position, and have the names of the first query.

    Chains of operations are evaluated without recursion.
    """
    chain: list[ast.SetOperation] = []
    first: ast.QueryBody = body
    while isinstance(first, ast.SetOperation):
        chain.append(first)
        first = first.left
    found = _body(first, environment, around)
    for operation in reversed(chain):
        found = _combined(operation, found, _body(operation.right, environment, around), environment)
    return found


def _combined(operation: ast.SetOperation, left: Selected, right: Selected, environment: Environment) -> Selected:
    if len(left.columns) != len(right.columns):
        raise StatementError(
            f"{operation.operator} needs the same number of columns on both sides, and they have {len(left.columns)} and"
            f" {len(right.columns)}",
            span=operation.right.span,
        )
    names, types, sides = [], [], ([], [])  # type: ignore[var-annotated]
    for (name, a, first), (other, b, second) in zip(left.columns, right.columns, strict=True):
        type_ = common_type(a, b)
        if type_ is None:
            raise StatementError(
                f"{operation.operator} cannot combine {name} ({a}) with {other} ({b})",
                span=operation.right.span,
                suggestion="CAST one of them.",
            )
        names.append(name)
        types.append(type_)
        for side, values, own in zip(sides, (first, second), (a, b), strict=True):
            side.append(_as_type(values, own, type_, environment))
    both = [pa.concat_arrays([whole(a), whole(b)]) for a, b in zip(*sides, strict=True)]
    length = left.length + right.length
    codes, firsts = row_codes(both, length)
    rows = _chosen(operation, codes, firsts, left.length)
    columns = tuple((n, t, v.take(pa.array(rows))) for n, t, v in zip(names, types, both, strict=True))
    return Selected(columns, len(rows), table_keys=left.table_keys & right.table_keys)


def _chosen(operation: ast.SetOperation, codes: Any, firsts: Any, left: int) -> Any:
    """The numbers of the rows that the operation keeps.  The rows of the right side are numbered after those of the left
    side.
    """
    length = len(codes)
    if operation.operator == "UNION":
        return np.arange(length) if operation.all else np.sort(firsts)
    count = len(firsts)
    on_left, on_right = (np.bincount(part, minlength=count) for part in (codes[:left], codes[left:]))
    if not operation.all:
        wanted = (on_left > 0) & ((on_right > 0) == (operation.operator == "INTERSECT"))
        return np.sort(firsts[wanted])
    kept = np.minimum(on_left, on_right) if operation.operator == "INTERSECT" else np.maximum(on_left - on_right, 0)
    order = np.argsort(codes[:left], kind="stable")
    ordered = codes[:left][order]
    number = np.arange(left) - np.searchsorted(ordered, ordered, side="left")
    return np.sort(order[number < kept[ordered]])


def _as_type(values: Any, own: SqlType, type_: SqlType, environment: Environment) -> Any:
    if own == type_:
        return values
    rows = Rows({"V": values}, len(values))
    return evaluate(coerce(ColumnRef("V", type=own), type_), rows, how=environment.how)


def _sort_key(item: ast.OrderItem, found: Selected, environment: Environment) -> SortKey:
    """A key of ORDER BY over the columns of a set operation, of VALUES, or of a query in parentheses."""
    expression = item.expression
    if isinstance(expression, ast.IntegerLiteral):
        values = found.columns[output_place(expression, len(found.columns))][2]
    else:
        source = made_source("", [(n, t) for n, t, _ in found.columns], False, item.span)
        scope = TableScope((source,), "ORDER BY", check=environment.subquery)
        try:
            bound = bind(expression, scope, environment.functions, environment.types)
        except StatementError as error:
            if isinstance(expression, ast.NameRef):
                error.suggestion = near_output(expression, [n for n, _, _ in found.columns]) or error.suggestion
            raise
        rows = Rows({n: v for n, _, v in found.columns}, found.length)
        values = evaluate(bound, rows, how=environment.how)
    if pa.types.is_nested(values.type):
        raise StatementError(
            "ORDER BY cannot compare arrays, maps and structs",
            span=expression.span,
            suggestion="Order by an item or a field of the value.",
        )
    return SortKey(values, item.descending, item.nulls == "FIRST")


def schema_of(found: Selected) -> Schema:
    """The columns of an answer.  A column of a table that is unchanged keeps its role."""
    roots = found.roots or (None,) * len(found.columns)
    return Schema(
        tuple(
            Column(name, type_, "KEY" if root is not None and root.role in ("KEY", "BOUND") else "VALUE")
            for (name, type_, _), root in zip(found.columns, roots, strict=True)
        )
    )


def arrow_of(found: Selected) -> pa.Table:
    """The rows of an answer as an Arrow table."""
    schema = pa.schema([(name, to_arrow(type_)) for name, type_, _ in found.columns])
    arrays = [v if v.type == f.type else v.cast(f.type) for (_, _, v), f in zip(found.columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
