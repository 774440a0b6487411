"""Finds the faults of a text while it is typed, to underline them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import StatementError
from ..grammar.lexer import is_complete
from .pieces import cut, is_cli_command

__all__ = ["Mark", "Marker", "marks_of"]


@dataclass(frozen=True, slots=True)
class Mark:
    """A fault: from offset ``start`` to ``end`` (in characters), with a message of one line."""

    start: int
    end: int
    message: str


def marks_of(text: str, cursor: int, faults: Callable[[list[str]], list[StatementError]]) -> list[Mark]:
    """The faults of a text that is being typed; what is only unfinished is no fault.

    Faults at the word before the cursor, and at the end of a statement without its semicolon, are left out.

    Args:
        faults: finds the faults of statements, see `Examiner.faults`.
    """
    stripped = text.strip()
    if not stripped or stripped.startswith("\\") or is_cli_command(stripped):
        return []
    statements = [piece.text for piece in cut(text) if piece.kind == "statement"]
    line_starts = [0, *(place + 1 for place, character in enumerate(text) if character == "\n")]
    last = statements[-1] if statements else ""
    unfinished = last.rstrip()[-1:] != ";"
    if unfinished and not is_complete(last + ";"):  # a quotation or a comment is open
        statements.pop()
        unfinished = False
    found = []
    for fault in faults(statements):
        if fault.span is None:
            continue
        start = line_starts[fault.span.line - 1] + fault.span.column - 1
        end = min(start + max(fault.span.end - fault.span.start, 1), len(text))
        is_last = unfinished and fault.text == last
        whole = start <= len(text) - len(last.lstrip()) and end >= len(text.rstrip())
        if (is_last and (start >= len(text.rstrip()) or whole)) or end == cursor:
            continue
        found.append(Mark(start, end, _in_one_line(fault)))
    return found


def _in_one_line(fault: StatementError) -> str:
    span = fault.span
    place = "" if span is None else f"line {span.line}, column {span.column}: "
    hint = "" if not fault.suggestion else f". {fault.suggestion}"
    return " ".join(f"{place}{fault.message}{hint}".split())


class Marker:
    """Finds faults on the calling thread, one text at a time; a newer text stops the search in an older one."""

    def __init__(self, database: Callable[[], Any]) -> None:
        self._database = database
        self._examiner: Any = None
        self._guard = threading.Lock()
        self._wanted = ""

    def look(self, text: str, cursor: int) -> list[Mark]:
        """The faults of a text; none if a newer text has come."""
        self._wanted = text
        with self._guard:
            if self._examiner is None:
                self._examiner = self._database().examiner()
            examiner = self._examiner
            found = marks_of(text, cursor, lambda statements: examiner.faults(statements, lambda: self._wanted != text))
        return found if self._wanted == text else []
