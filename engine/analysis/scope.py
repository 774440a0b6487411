"""Which names a clause can use, and the columns that they stand for.

Every column of a plan has one *internal* name.  In a query over one source it is the name of the source's column; in a join
it is ``ALIAS_COLUMN``, as in ksqlDB.  So an expression is bound once, for every node above the sources.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ...errors import Span, StatementError
from ...grammar import ast
from ...grammar.unparse import quote, unparse_expression
from ...grammar.words import number_meant
from ..catalog import Catalog, DataSource
from ..expressions.nodes import ColumnRef, OuterValue, name_text
from ..functions.near_misses import of_column
from ..schema import PSEUDO_COLUMNS, RESERVED_NAMES, WINDOW_BOUNDS
from ..types import BIGINT, INTEGER, SqlType, Struct
from .binding import Subquery

SYNTHETIC_KEY = "ROWKEY"
_SHOWN_MAX = 10
"""The largest number of columns that an error lists."""
_PSEUDO_TYPES: dict[str, SqlType] = {"ROWTIME": BIGINT, "ROWPARTITION": INTEGER, "ROWOFFSET": BIGINT}


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """A column of a source in FROM, or the synthetic key of a join.

    Attributes:
        alias: the source's alias; empty for the synthetic key and for the bounds of the query's own windows.
        name: the name that users write.
        internal: the name in plans.
        role: ``*`` includes KEY and VALUE columns (header columns are VALUE columns).  PSEUDO and BOUND columns must be
        named.
        extra: the name in the runtime's source, if the column is not stored in the record's key or value.
    """

    alias: str
    name: str
    internal: str
    type: SqlType
    role: Literal["KEY", "VALUE", "PSEUDO", "BOUND"]
    extra: str | None = None

    def ref(self, span: Span = ast.NO_SPAN) -> ColumnRef:
        shown = "" if self.internal == self.name else f"{name_text(self.alias)}.{name_text(self.name)}"
        return ColumnRef(self.internal, shown, type=self.type, span=span)


@dataclass(frozen=True, slots=True)
class FromSource:
    """A source in FROM or JOIN under its alias.  Its columns are in the order of its schema, then come the pseudo
    columns.
    """

    alias: str
    source: DataSource
    columns: tuple[SourceColumn, ...]
    span: Span = ast.NO_SPAN

    @property
    def keys(self) -> tuple[SourceColumn, ...]:
        return tuple(c for c in self.columns if c.role == "KEY")

    @property
    def values(self) -> tuple[SourceColumn, ...]:
        return tuple(c for c in self.columns if c.role == "VALUE")

    @property
    def pseudo(self) -> tuple[SourceColumn, ...]:
        return tuple(c for c in self.columns if c.role == "PSEUDO")

    @property
    def bounds(self) -> tuple[SourceColumn, ...]:
        return tuple(c for c in self.columns if c.role == "BOUND")

    def find(self, name: str) -> SourceColumn | None:
        return next((c for c in self.columns if c.name == name), None)


def from_sources(catalog: Catalog, references: Sequence[ast.SourceRef]) -> tuple[FromSource, ...]:
    """The sources of FROM and JOIN, in the order of the text.

    Raises:
        StatementError: a source is unknown, two have the same alias, or one occurs twice (section 8).
    """
    joined = len(references) > 1
    found: list[FromSource] = []
    for reference in references:
        try:
            source = catalog.source(reference.name)
        except StatementError as error:
            error.span = reference.span
            raise
        alias = reference.alias or reference.name
        _check_not_repeated(source, alias, reference, found)
        found.append(FromSource(alias, source, source_columns(source, alias, joined), reference.span))
    if joined:
        check_internal_names(found)
    return tuple(found)


def _check_not_repeated(source: DataSource, alias: str, reference: ast.SourceRef, found: Sequence[FromSource]) -> None:
    """Section 8: refuse a source that is joined twice, and an alias that is used twice."""
    for other in found:
        if other.source.name == source.name:
            raise StatementError(
                f"{source.name} is joined more than once; a source can take part in a join only once",
                span=reference.span,
                suggestion=f"Copy it first (CREATE {source.kind} {source.name}_2 AS SELECT * FROM {source.name})"
                " and join the copy."
                if source.kind == "STREAM" or source.window is None
                else None,
            )
        if other.alias == alias:
            raise StatementError(
                f"two sources of the join are called {alias}", span=reference.span, suggestion="Give one another alias."
            )


def source_columns(source: DataSource, alias: str, joined: bool) -> tuple[SourceColumn, ...]:
    def column(
        name: str, type_: SqlType, role: Literal["KEY", "VALUE", "PSEUDO", "BOUND"], extra: str | None = None
    ) -> SourceColumn:
        return SourceColumn(alias, name, f"{alias}_{name}" if joined else name, type_, role, extra)

    columns: list[SourceColumn] = []
    for c in source.schema:
        extra = "HEADERS" if c.role == "HEADERS" else f"HEADER:{c.header}" if c.role == "HEADER" else None
        columns.append(column(c.name, c.type, "KEY" if c.role == "KEY" else "VALUE", extra))
    if source.window is not None:
        columns += [column(name, BIGINT, "BOUND", name) for name in WINDOW_BOUNDS]
    columns += [column(name, _PSEUDO_TYPES[name], "PSEUDO", name) for name in PSEUDO_COLUMNS]
    return tuple(columns)


def check_internal_names(sources: Sequence[FromSource]) -> None:
    """Refuse sources whose columns get the same internal name, such as ``A_B.C`` and ``A.B_C``."""
    seen: dict[str, SourceColumn] = {}
    for source in sources:
        for column in source.columns:
            other = seen.setdefault(column.internal, column)
            if other is not column:
                raise StatementError(
                    f"{other.alias}.{other.name} and {column.alias}.{column.name} would both be called {column.internal}"
                    " in the join",
                    span=source.span,
                    suggestion="Give one of the sources another alias.",
                )


def aliases_of(select: Sequence[ast.SelectItem]) -> tuple[tuple[str, ast.Expression], ...]:
    """The names that a SELECT list gives, each with its expression."""
    return tuple((i.alias, i.expression) for i in select if isinstance(i, ast.SelectExpression) and i.alias)


@dataclass(frozen=True, slots=True)
class Scope:
    """The names that a clause of a query can use.

    Attributes:
        sources: the sources, in the order of FROM and JOIN.
        clause: the clause's name for messages: ``SELECT``, ``WHERE``, ``GROUP BY``, ..
        synthetic_key: the key that a join makes, if it makes one.
        window: whether the bounds of the query's windows can be named: ``none`` without windows, ``allowed`` in the SELECT
            list, ``refused`` elsewhere.
        aliases: the names that the SELECT list gives, each with its expression, for messages.
    """

    sources: tuple[FromSource, ...]
    clause: str = "SELECT"
    synthetic_key: SourceColumn | None = None
    window: Literal["none", "allowed", "refused"] = "none"
    aliases: tuple[tuple[str, ast.Expression], ...] = ()

    def at(self, clause: str) -> Scope:
        return replace(self, clause=clause)

    def resolve(self, reference: ast.NameRef) -> ColumnRef | OuterValue:
        """The column that a name stands for.

        Raises:
            StatementError: the name is unknown or ambiguous.  The error suggests names.
        """
        return self.column(reference).ref(reference.span)

    def rowtime(self, span: Span) -> ColumnRef:
        """The ROWTIME of the first source."""
        return self.column(ast.NameRef("ROWTIME", self.sources[0].alias, span=span)).ref(span)

    def subquery(self, query: ast.AnyQuery, span: Span) -> Subquery:
        """Refuse a subquery: only pull queries have subqueries.

        Raises:
            StatementError: always.
        """
        raise StatementError(
            "a query that keeps running has no subqueries",
            span=span,
            suggestion="Make a CREATE STREAM or TABLE .. AS SELECT of the subquery and join it; sql() answers it once.",
        )

    def check_window(self, span: Span) -> None:
        """Refuse OVER: only pull queries have it.

        Raises:
            StatementError: always.
        """
        raise StatementError(
            "a query that keeps running has no OVER",
            span=span,
            suggestion="Use a WINDOW clause with GROUP BY; sql() answers it once.",
        )

    def column(self, reference: ast.NameRef) -> SourceColumn:
        """Like `resolve`, but gives the column of the source."""
        if reference.qualifier is not None:
            return self._qualified(reference, reference.qualifier)
        own = self._own_bound(reference)
        if own is not None:
            return own
        if self.synthetic_key is not None and reference.name == self.synthetic_key.name:
            return self.synthetic_key
        found = [c for s in self.sources for c in s.columns if c.name == reference.name]
        if not found:
            raise self._unknown(reference)
        if len(found) > 1:
            choices = " or ".join(f"{c.alias}.{c.name}" for c in found)
            raise StatementError(
                f"{self.clause} column {reference.name} is ambiguous: several sources have one",
                span=reference.span,
                suggestion=f"Write {choices}.",
            )
        return found[0]

    def _qualified(self, reference: ast.NameRef, qualifier: str) -> SourceColumn:
        source = next((s for s in self.sources if s.alias == qualifier), None)
        if source is None:
            near = difflib.get_close_matches(qualifier, [s.alias for s in self.sources], 1)
            struct = any(c.name == qualifier and isinstance(c.type, Struct) for s in self.sources for c in s.columns)
            if struct:
                raise StatementError(
                    f"{qualifier} is a column, whose fields are reached by ->",
                    span=reference.span,
                    suggestion=f"Write {quote(qualifier)}->{quote(reference.name)}.",
                )
            raise StatementError(
                f"{qualifier} is not the name or alias of a stream or table of this query",
                span=reference.span,
                suggestion=f"Did you mean {near[0]}?" if near else self._aliases(),
            )
        own = self._own_bound(reference)
        if own is not None:
            return own
        found = source.find(reference.name)
        if found is None:
            raise self._unknown(reference)
        return found

    def _own_bound(self, reference: ast.NameRef) -> SourceColumn | None:
        """Section 6: the bounds of the query's windows can only be used in the SELECT list."""
        if self.window == "none" or reference.name not in WINDOW_BOUNDS:
            return None
        if self.window == "refused":
            raise StatementError(
                f"{reference.name} can be used in the SELECT list of a windowed aggregation only, outside of aggregates",
                span=reference.span,
                suggestion="Filter the result in a pull query, or in a stream over its topic.",
            )
        return SourceColumn("", reference.name, reference.name, BIGINT, "BOUND")

    def _unknown(self, reference: ast.NameRef) -> StatementError:
        written = reference.name if reference.qualifier is None else f"{reference.qualifier}.{reference.name}"
        names = {c.name for s in self.sources for c in s.columns if reference.qualifier in (None, s.alias)}
        near = difflib.get_close_matches(reference.name, sorted(names), 1) or [
            n for n in sorted(names) if n.upper() == reference.name.upper()
        ]
        behind = dict(self.aliases).get(reference.name) if reference.qualifier is None else None
        elsewhere = of_column(reference.name)
        hint: str | None
        if behind is not None and self.clause in ("GROUP BY", "PARTITION BY", "WHERE", "HAVING"):
            meant = unparse_expression(behind)
            hint = f"{reference.name} is an alias of the SELECT list: write what it stands for, {self.clause} {meant} .."
            if self.clause == "WHERE" and isinstance(behind, ast.FunctionCall):
                hint += " (HAVING, if it is an aggregate)"
        elif near:
            hint = f"Did you mean {quote(near[0])}?"
        elif reference.qualifier is None and (number := number_meant(reference.name)) is not None:
            hint = f"{reference.name} is a name: numbers have no underscores. Write {number}."
        elif elsewhere is not None:
            hint = elsewhere
        elif self.clause in ("GROUP BY", "PARTITION BY", "WHERE", "HAVING"):
            hint = f"{self.clause} sees the columns of the sources, not the aliases of the SELECT list."
            if self.clause in ("WHERE", "HAVING") and reference.qualifier is None:
                hint += " A text is written in single quotes: 'text'."
        elif reference.name in WINDOW_BOUNDS:
            hint = "Only windowed sources, and the SELECT list of a windowed aggregation, have window bounds."
        else:
            shown = sorted(names - set(RESERVED_NAMES))
            more = ", .." if len(shown) > _SHOWN_MAX else ""
            hint = f"There are {', '.join(map(quote, shown[:_SHOWN_MAX]))}{more}." if shown else None
        return StatementError(f"{self.clause} column {written} does not exist", span=reference.span, suggestion=hint)

    def _aliases(self) -> str:
        return f"The query reads {', '.join(s.alias for s in self.sources)}."
