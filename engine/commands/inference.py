"""Columns that a statement leaves out, taken from the schema registry (section 10)."""

from __future__ import annotations

from ...errors import StatementError
from ...grammar import ast
from ...storage.formats import format_traits
from ..analysis.with_clause import WithClause
from ..catalog import FormatInfo
from .context import Engine


def infer(
    engine: Engine,
    statement: ast.CreateSource,
    clause: WithClause,
    topic: str,
    key_format: FormatInfo,
    value_format: FormatInfo,
) -> ast.CreateSource:
    """The statement with the columns of both sides filled in.

    Raises:
        StatementError: a side is declared and also taken from a schema id; or a schema is asked for and there is none.
    """
    has_keys = any(c.role in ("KEY", "PRIMARY KEY") for c in statement.columns)
    has_values = any(c.role == "VALUE" for c in statement.columns)
    for side, declared in (("KEY", has_keys), ("VALUE", has_values)):
        if f"{side}_SCHEMA_ID" in clause and declared:
            raise StatementError(
                f"{side}_SCHEMA_ID says where the {side.lower()} columns come from, so they cannot be listed",
                span=clause.span(f"{side}_SCHEMA_ID"),
                suggestion=f"Leave out the list of {side.lower()} columns, or {side}_SCHEMA_ID.",
            )
    traits = format_traits(value_format.name)
    if not has_values and traits.inference and engine.schemas is None:
        raise StatementError(
            f"{statement.name} lists no value columns, and there is no schema for the topic {topic}",
            span=statement.span,
            suggestion="List the columns.",
        )
    return statement
