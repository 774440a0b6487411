"""What the modules of `bind` share: the columns that an expression can use, and the interface of the binder."""

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
        types: the types of its columns.
        columns: the columns of the query around it that it uses.
        rows: gives the subquery's rows for one row's values of ``columns``.
        volatile: whether its rows may differ each time, even for the same values.
    """

    types: Sequence[t.SqlType]
    columns: tuple[n.ColumnRef, ...]
    rows: n.SubqueryRows
    volatile: bool


class Scope(Protocol):
    """The columns that an expression can use."""

    def resolve(self, reference: ast.NameRef) -> n.ColumnRef | n.OuterValue:
        """Find the column that a name stands for.  In a subquery, it may be a column of the query around it.

        Raises:
            StatementError: no column or several columns have this name.  The error suggests names.
        """
        ...

    def rowtime(self, span: Span) -> n.ColumnRef:
        """The ROWTIME column; in a join, that of the first source.

        Raises:
            StatementError: there is no source.
        """
        ...

    def subquery(self, query: ast.AnyQuery, span: Span) -> Subquery:
        """Check a subquery.

        Raises:
            StatementError: a subquery is not allowed here, or it is wrong.
        """
        ...

    def check_window(self, span: Span) -> None:
        """Check that OVER is allowed here.

        Raises:
            StatementError: it is not allowed.
        """


class NoColumns:
    """The scope of places that allow only constants, such as INSERT VALUES."""

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
    """Binds expressions.  The modules of `bind` call it for the operands of a node."""

    scope: Scope
    functions: Registry
    parameters: dict[str, t.SqlType]
    """The parameters of the lambdas around the node, by name, and their types."""
    has_dicts: bool
    """Whether names of STRUCT fields may be keys of dicts, see `ast.StructConstructor.of_dict`."""

    def bind(self, e: ast.Expression) -> n.TypedExpression:
        """Bind one node.  A bare NULL stays untyped.

        Raises:
            StatementError: the node is wrong.
        """
        ...

    def bind_for(self, e: ast.Expression, target: t.SqlType) -> n.TypedExpression:
        """Bind a value whose type is known, see `bind_constructors.bind_for`.

        Raises:
            StatementError: the node is wrong.
        """
        ...
