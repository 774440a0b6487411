"""The names that a pull query can use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import Span, StatementError, UnsupportedError
from ...grammar import ast
from ..analysis.projection import Item, expand
from ..analysis.scope import FromSource, Scope, SourceColumn
from ..catalog import DataSource, FormatInfo
from ..expressions.nodes import TypedExpression
from ..schema import Schema
from ..types import SqlType

DOOR = "db.duckdb() runs DuckDB's own SQL over the same tables; at the prompt, \\duckdb does."
"""Where features that the dialect lacks are available."""

Answer = Callable[[ast.AnyQuery, "TableScope"], tuple[Sequence[SqlType], Sequence[Any]]]
"""The rows of a subquery: the types of its columns, and the columns."""


@dataclass(frozen=True, slots=True)
class TableScope(Scope):
    """The scope of a SELECT; see `Scope`.

    Attributes:
        answer: runs subqueries.
        outer: the scope around a subquery, whose columns it cannot use.
        merged: the columns of USING, each one column for both sides.
    """

    answer: Answer | None = None
    outer: TableScope | None = None
    merged: Mapping[str, SourceColumn] = field(default_factory=dict)

    def column(self, reference: ast.NameRef) -> SourceColumn:
        """See `Scope.resolve`."""
        if reference.qualifier is None and reference.name in self.merged:
            return self.merged[reference.name]
        try:
            found = Scope.column(self, reference)
        except StatementError as error:
            outer = self.outer
            while outer is not None:
                if outer.knows(reference):
                    written = ".".join(p for p in (reference.qualifier, reference.name) if p)
                    raise UnsupportedError(
                        f"{written} belongs to the query around this subquery, and correlated subqueries are not supported",
                        span=reference.span,
                        suggestion=f"Write a join, or use DuckDB's SQL: {DOOR}",
                    ) from error
                outer = outer.outer
            raise
        if found.role == "PSEUDO" and found.name != "ROWTIME":
            raise StatementError(
                f"a pull query has no {found.name}",
                span=reference.span,
                suggestion="Add EMIT CHANGES for a push query.",
            )
        return found

    def knows(self, reference: ast.NameRef) -> bool:
        """Whether the name is one of this scope's own."""
        if reference.qualifier is None and reference.name in self.merged:
            return True
        return any(
            (reference.qualifier in (None, source.alias)) and source.find(reference.name) is not None
            for source in self.sources
        )

    def rowtime(self, span: Span) -> Any:
        """See `Scope.rowtime`."""
        if not self.sources:
            raise StatementError(
                "there is no ROWTIME without FROM", span=span, suggestion="Add FROM with a stream or table."
            )
        return Scope.rowtime(self, span)

    def rows_of(self, query: ast.AnyQuery, span: Span) -> tuple[Sequence[SqlType], Sequence[Any]]:
        """See `Scope.rows_of`."""
        assert self.answer is not None
        return self.answer(query, self)

    def check_window(self, span: Span) -> None:
        """OVER is allowed here."""

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
    """A subquery or common table as a source."""
    found = tuple(SourceColumn(alias, n, f"{alias}_{n}" if joined else n, t, "VALUE") for n, t in columns)
    nothing = DataSource(alias, "TABLE", Schema(()), "", FormatInfo("NONE"), FormatInfo("NONE"))
    return FromSource(alias, nothing, found, span)
