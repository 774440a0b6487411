"""Turns the calls of table functions in SELECT into columns (section 13 of the reference)."""

from __future__ import annotations

from ...errors import StatementError
from ..expressions.nodes import ColumnRef, TableCall, TypedExpression, table_calls_of
from .grouping import fresh_name

__all__ = ["TableCallColumns"]


class TableCallColumns:
    """The columns for the table functions of a SELECT: one column for each different call.

    Attributes:
        names: for each call the name of its column, in the order of the text.

    Args:
        taken: names in use; the names of new columns are added.
    """

    def __init__(self, taken: set[str]) -> None:
        self._taken = taken
        self.names: dict[TableCall, str] = {}

    def column_for(self, node: TypedExpression) -> ColumnRef | None:
        """The column that replaces a call; None for other expressions.  `nodes.transform` calls it.

        Raises:
            StatementError: a table function stands inside another one.
        """
        if not isinstance(node, TableCall):
            return None
        for argument in node.arguments:
            for inner in table_calls_of(argument):
                raise StatementError(
                    f"table functions cannot be nested: {inner.name} stands inside {node.name}",
                    span=inner.span,
                    suggestion="Explode the inner one in a stream of its own first.",
                )
        if node not in self.names:
            self.names[node] = fresh_name("ROW", self._taken)
        return ColumnRef(self.names[node], type=node.type, span=node.span)
