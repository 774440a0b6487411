"""The names that a pull query can use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import Span, StatementError
from ...grammar import ast
from ..analysis.binding import Subquery
from ..analysis.projection import Item, expand
from ..analysis.scope import FromSource, Scope, SourceColumn
from ..catalog import DataSource, FormatInfo
from ..expressions.nodes import ColumnRef, OuterValue, TypedExpression
from ..schema import Schema
from ..types import SqlType

CheckSubquery = Callable[[ast.AnyQuery, "TableScope"], Subquery]
"""Checks a subquery that stands in a scope."""


@dataclass(frozen=True, slots=True)
class Around:
    """The query around a subquery, whose columns are constants for the subquery.

    Attributes:
        scope: the names of the query around it.
        values: the constants by internal name.  A constant that is missing is NULL: then the subquery is only checked.
        used: the columns that the subquery uses, by internal name.
    """

    scope: TableScope
    values: Mapping[str, Any]
    used: dict[str, ColumnRef] = field(default_factory=dict)

    def value(self, reference: ast.NameRef) -> OuterValue | None:
        """The constant that a name stands for; None if no query around the subquery has the name.

        Raises:
            StatementError: several sources have the name, or the source of its qualifier does not have it.
        """
        try:
            found = self.scope.resolve(reference)
        except StatementError:
            if self.scope.knows(reference) or self.scope.has(reference.qualifier):
                raise
            return None
        if isinstance(found, OuterValue):  # a column of a query further out
            return found
        self.used[found.name] = found
        shown = ".".join(part for part in (reference.qualifier, reference.name) if part)
        return OuterValue(self.values.get(found.name), shown, type=found.type, span=reference.span)


@dataclass(frozen=True, slots=True)
class TableScope(Scope):
    """The scope of a SELECT, see `Scope`.

    Attributes:
        check: checks subqueries.
        around: the query around this one, if this one is a subquery.
        merged: the columns of USING.  Each is one column for both sides.
    """

    check: CheckSubquery | None = None
    around: Around | None = None
    merged: Mapping[str, SourceColumn] = field(default_factory=dict)

    def resolve(self, reference: ast.NameRef) -> ColumnRef | OuterValue:
        """See `Scope.resolve`.  The column is that of the nearest query that has the name, or that has the source of the
        qualifier.
        """
        try:
            return self.column(reference).ref(reference.span)
        except StatementError:
            if self.around is None or self.knows(reference) or self.has(reference.qualifier):
                raise
            found = self.around.value(reference)
            if found is None:
                raise
            return found

    def column(self, reference: ast.NameRef) -> SourceColumn:
        """A column of this query itself; see `Scope.resolve`."""
        if reference.qualifier is None and reference.name in self.merged:
            return self.merged[reference.name]
        found = Scope.column(self, reference)
        if found.role == "PSEUDO" and found.name != "ROWTIME":
            raise StatementError(
                f"a pull query has no {found.name}",
                span=reference.span,
                suggestion="Add EMIT CHANGES for a push query.",
            )
        return found

    def knows(self, reference: ast.NameRef) -> bool:
        """Whether this scope itself has the name."""
        if reference.qualifier is None and reference.name in self.merged:
            return True
        return any(
            (reference.qualifier in (None, source.alias)) and source.find(reference.name) is not None
            for source in self.sources
        )

    def has(self, qualifier: str | None) -> bool:
        """Whether this scope itself has the qualifier."""
        return any(source.alias == qualifier for source in self.sources)

    def rowtime(self, span: Span) -> Any:
        """See `Scope.rowtime`."""
        if not self.sources:
            raise StatementError(
                "there is no ROWTIME without FROM", span=span, suggestion="Add FROM with a stream or table."
            )
        return Scope.rowtime(self, span)

    def subquery(self, query: ast.AnyQuery, span: Span) -> Subquery:
        """See `Scope.subquery`."""
        assert self.check is not None
        return self.check(query, self)

    def check_window(self, span: Span) -> None:
        """Nothing: OVER is allowed here."""

    def items(self, select: Sequence[ast.SelectItem], bind: Callable[..., TypedExpression]) -> tuple[Item, ...]:
        """The SELECT list with its stars expanded."""
        items: list[Item] = []
        for item in select:
            if isinstance(item, ast.SelectStar) and not self.sources:
                raise StatementError("* needs a FROM", span=item.span, suggestion="Name the columns, or add FROM.")
            if isinstance(item, ast.SelectStar) and item.qualifier is None and self.merged:
                items += [Item(c.ref(item.span), c.name, item.span, star=True) for c in self.merged.values()]
                rest = [
                    i
                    for s in self.sources
                    for i, c in zip(
                        expand((ast.SelectStar(s.alias, span=item.span),), self, bind, persistent=False, partition_by=None),
                        (*s.keys, *s.bounds, *s.values),
                        strict=True,
                    )
                    if c.name not in self.merged
                ]
                items += rest
                continue
            items += expand((item,), self, bind, persistent=False, partition_by=None)
        return tuple(items)


def made_source(alias: str, columns: Sequence[tuple[str, SqlType]], joined: bool, span: Span) -> FromSource:
    """Make a source of a subquery or a table of WITH."""
    found = tuple(SourceColumn(alias, n, f"{alias}_{n}" if joined else n, t, "VALUE") for n, t in columns)
    nothing = DataSource(alias, "TABLE", Schema(()), "", FormatInfo("NONE"), FormatInfo("NONE"))
    return FromSource(alias, nothing, found, span)
