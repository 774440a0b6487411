"""Converts durations of the AST to milliseconds."""

from __future__ import annotations

from ...errors import StatementError
from ...grammar import ast
from ...limits import DURATION_MS_MAX
from ...storage.values.time_units import DAY_MS, UNIT_MS


def duration_text(ms: int) -> str:
    """A duration as text for people: ``1 day 10 seconds``."""
    parts = []
    for unit, unit_ms in sorted(UNIT_MS.items(), key=lambda u: -u[1]):
        count, ms = divmod(ms, unit_ms)
        if count:
            parts.append(f"{count} {unit.lower()}{'' if count == 1 else 's'}")
    return " ".join(parts) or "0 seconds"


def milliseconds(duration: ast.Duration) -> int:
    """The length of a duration in milliseconds.

    Raises:
        StatementError: the unit is months or years, which have no fixed length, or the duration is longer than
            `limits.DURATION_MS_MAX`.
    """
    unit = UNIT_MS.get(duration.unit)
    if unit is None:
        raise StatementError(
            f"{duration.unit} has no fixed length and cannot be used here", span=duration.span, suggestion="Use DAYS."
        )
    found = duration.amount * unit
    if found > DURATION_MS_MAX:
        raise StatementError(
            f"{duration.amount} {duration.unit} is too long: at most {DURATION_MS_MAX // DAY_MS:,} days",
            span=duration.span,
            suggestion="Write a shorter time.",
        )
    return found
