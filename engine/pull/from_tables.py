"""The tables in FROM, and the interface of `query.Environment` that `select` uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ...grammar import ast
from ..analysis.binding import Subquery
from ..analysis.scope import FromSource, SourceColumn
from ..expressions.nodes import TypedExpression
from ..functions.registry import Registry
from ..query_options import QueryOptions
from ..types import SqlType
from .evaluation import Evaluation
from .rows import Rows
from .scope import Around, TableScope

__all__ = ["FromTable", "TableFinder"]


@dataclass(frozen=True, slots=True)
class FromTable:
    """A table in FROM: its columns, and its rows when they are needed.

    Attributes:
        read: returns the rows.  Its argument is the condition of WHERE if the table stands alone: then it may return only
            the rows with the keys in the condition.
        passed_on: for a subquery, its columns that are keys of tables, unchanged.
    """

    source: FromSource
    read: Callable[[TypedExpression | None], Rows]
    passed_on: frozenset[str] = frozenset()

    @property
    def table_keys(self) -> tuple[SourceColumn, ...]:
        """The columns that are keys of tables."""
        if self.passed_on:
            return tuple(c for c in self.source.columns if c.name in self.passed_on)
        return self.source.keys if self.source.source.kind == "TABLE" else ()


class TableFinder(Protocol):
    """Finds the tables of a SELECT, and has what is needed to evaluate it."""

    @property
    def functions(self) -> Registry: ...

    @property
    def types(self) -> Mapping[str, SqlType]: ...

    @property
    def options(self) -> QueryOptions: ...

    @property
    def how(self) -> Evaluation: ...

    def table(self, item: ast.FromItem, joined: bool, taken: Sequence[str], around: Around | None) -> FromTable:
        """Open a table in FROM."""
        ...

    def subquery(self, query: ast.AnyQuery, scope: TableScope) -> Subquery:
        """See `Scope.subquery`."""
        ...
