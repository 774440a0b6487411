"""What the parts of `bind` share: the columns that an expression sees, and the binder that they call for what is inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ...errors import Span, StatementError
from ...grammar import ast
from ...grammar.words import number_meant
from .. import types as t
from ..expressions import nodes as n
from ..functions.registry import Registry


@dataclass(frozen=True, slots=True)
class Subquery:
    """A subquery that was checked.

    Attributes:
        types: of its columns.
        columns: what it refers to of the query around it.
        rows: its columns, for the values of ``columns`` in a row of the query around it.
        volatile: it may have other rows each time.
    """

    types: Sequence[t.SqlType]
    columns: tuple[n.ColumnRef, ...]
    rows: n.SubqueryRows
    volatile: bool


class Scope(Protocol):
    """The columns that an expression can see."""

    def resolve(self, reference: ast.NameRef) -> n.ColumnRef | n.OuterValue:
        """The column that a name stands for; in a subquery, also a column of the query around it.

        Raises:
            StatementError: no column has this name, or several have; with a suggestion.
        """
        ...

    def rowtime(self, span: Span) -> n.ColumnRef:
        """ROWTIME; in a join, that of the first source.

        Raises:
            StatementError: there is no source.
        """
        ...

    def subquery(self, query: ast.AnyQuery, span: Span) -> Subquery:
        """Check a subquery.

        Raises:
            StatementError: no subquery is allowed here, or it is wrong.
        """
        ...

    def check_window(self, span: Span) -> None:
        """Check that OVER is allowed here.  Raises: StatementError."""


class NoColumns:
    """The scope of INSERT VALUES and other places that allow only constants."""

    def resolve(self, reference: ast.NameRef) -> n.ColumnRef:
        number = number_meant(reference.name)
        hint = "Write a literal, or a call whose arguments are literals."
        raise StatementError(
            f"only constants may stand here, and {reference.name} is a name",
            span=reference.span,
            suggestion=hint if number is None else f"Numbers have no underscores: write {number}.",
        )

    def rowtime(self, span: Span) -> n.ColumnRef:
        return self.resolve(ast.NameRef("ROWTIME", span=span))

    def subquery(self, query: ast.AnyQuery, span: Span) -> Subquery:
        raise StatementError(
            "only constants may stand here, no subqueries",
            span=span,
            suggestion="Write a literal, or a call whose arguments are literals.",
        )

    def check_window(self, span: Span) -> None:
        raise StatementError(
            "only constants may stand here", span=span, suggestion="Write a literal, or a call whose arguments are literals."
        )


class Binder(Protocol):
    """Binds the parts of an expression; see `bind.bind`."""

    scope: Scope
    functions: Registry
    parameters: dict[str, t.SqlType]
    """The types of the parameters of the lambdas around."""
    has_dicts: bool
    """Whether STRUCTs have names that are keys of dicts, see `ast.StructConstructor.of_dict`."""

    def bind(self, e: ast.Expression) -> n.TypedExpression:
        """Bind one node; a bare NULL stays untyped.  Raises: StatementError."""
        ...

    def bind_for(self, e: ast.Expression, target: t.SqlType) -> n.TypedExpression:
        """Bind a value whose type is known.  Raises: StatementError."""
        ...
