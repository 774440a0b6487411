"""What stands in FROM, and what a SELECT is answered from: `query.Environment`, as `select` sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ...grammar import ast
from ..analysis.scope import FromSource
from ..expressions.nodes import TypedExpression
from ..functions.registry import Registry
from ..query_options import QueryOptions
from ..types import SqlType
from .rows import Evaluation, Rows
from .scope import TableScope

__all__ = ["FromTable", "Tables"]


@dataclass(frozen=True, slots=True)
class FromTable:
    """What stands in FROM: its columns, and its rows when they are needed.

    Attributes:
        read: takes the condition of WHERE where the table stands alone, to find rows by key; gives the rows, or more.
    """

    source: FromSource
    read: Callable[[TypedExpression | None], Rows]


class Tables(Protocol):
    """Where a SELECT finds its tables, and how it is evaluated."""

    @property
    def functions(self) -> Registry: ...

    @property
    def types(self) -> Mapping[str, SqlType]: ...

    @property
    def options(self) -> QueryOptions: ...

    @property
    def how(self) -> Evaluation: ...

    def table(self, item: ast.FromItem, joined: bool, taken: Sequence[str], outer: TableScope | None) -> FromTable:
        """Open a place of FROM."""
        ...

    def rows_of(self, query: ast.AnyQuery, outer: TableScope) -> tuple[Sequence[SqlType], Sequence[Any]]:
        """See `Scope.rows_of`."""
        ...
