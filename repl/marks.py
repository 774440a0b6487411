"""The faults of what is being typed, to be underlined before anybody runs it."""

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
    """A place in a text, from ``start`` up to ``end`` (offsets in characters), and what is wrong with it in one line."""

    start: int
    end: int
    message: str


def marks_of(text: str, cursor: int, faults: Callable[[list[str]], list[StatementError]]) -> list[Mark]:
    """The faults of a text that a person is typing; what is not finished yet is no fault.

    A fault is left out where the person still types: at the end of a statement without its semicolon, and at the word
    before the cursor.

    Args:
        faults: of statements, see `Examiner.faults`.
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
    """Looks for faults on whatever thread asks, one at a time; a newer text ends the search in an older one."""

    def __init__(self, database: Callable[[], Any]) -> None:
        self._database = database
        self._examiner: Any = None
        self._guard = threading.Lock()
        self._wanted = ""

    def look(self, text: str, cursor: int) -> list[Mark]:
        """The marks of a text; none if a newer one is wanted by now."""
        self._wanted = text
        with self._guard:
            if self._examiner is None:
                self._examiner = self._database().examiner()
            examiner = self._examiner
            found = marks_of(text, cursor, lambda statements: examiner.faults(statements, lambda: self._wanted != text))
        return found if self._wanted == text else []
