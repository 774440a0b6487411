"""Durations of the AST in milliseconds."""

from __future__ import annotations

from ...errors import StatementError
from ...grammar import ast

UNIT_MS = {
    "MILLISECOND": 1,
    "SECOND": 1000,
    "MINUTE": 60_000,
    "HOUR": 3_600_000,
    "DAY": 86_400_000,
}


def milliseconds(duration: ast.Duration) -> int:
    """The length of a duration.

    Raises:
        StatementError: months and years, which have no fixed length.
    """
    unit = UNIT_MS.get(duration.unit)
    if unit is None:
        raise StatementError(
            f"{duration.unit} has no fixed length and cannot be used here", span=duration.span, suggestion="Use DAYS."
        )
    return duration.amount * unit
