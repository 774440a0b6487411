"""Options of the form NAME=VALUE."""

from __future__ import annotations

from ..errors import StatementError


def name_and_value(option: str, text: str) -> tuple[str, str]:
    """Split ``NAME=VALUE``.  Raises: StatementError, which names the option, if there is no ``=``."""
    name, found, value = text.partition("=")
    if not found:
        raise StatementError(f"{option} takes NAME=VALUE, not {text}")
    return name.strip(), value.strip()
