"""Cuts input into statements, backslash commands, and commands of ksqlDB's own prompt."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ..grammar.lexer import is_open, tokens, with_places

__all__ = ["Piece", "cut", "is_cli_command"]

_TEXT = r"'(?:[^'\n]|'')*'"
_CLI = re.compile(
    rf"(?:exit|quit|help|history|version|clear|output(?:\s+\w+)?|spool\s+(?:off|{_TEXT})"
    rf"|set\s+cli\s+[\w-]+\s+[\w-]+|cli\s+[\w-]+)\s*;?[ \t]*(?=\n|\Z)",
    re.I,
)
_WITH_STATEMENT = re.compile(
    r"\\(?:duckdb|time|explain|copy|bg|chart|"
    r"x(?![ \t]+(?:on|off)[ \t]*;?[ \t]*(?:\n|\Z))|watch[ \t]+[\d.]+)[ \t]+(?=[^\s;])",
    re.I,
)
"""Commands whose argument is a statement: if it begins on the command's line, it goes on to the next ``;``."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the input.  ``text`` is padded with blanks so that its line and column are those of the input."""

    kind: Literal["statement", "command", "cli"]
    text: str


def is_cli_command(text: str) -> bool:
    """Whether a text is one of ksqlDB's commands, with a semicolon or without.

    >>> is_cli_command("SET CLI COLUMN-WIDTH 20;"), is_cli_command("exit"), is_cli_command("SHOW STREAMS;")
    (True, True, False)
    """
    return _CLI.fullmatch(text.strip()) is not None


def cut(text: str) -> list[Piece]:
    """The pieces of a text in order.  A command ends with its line, a statement with its ``;``."""
    found: list[Piece] = []
    position = 0
    while True:
        start = _next(text, position)
        if start is None:
            return found
        before = text[:start]
        blanks = "\n" * before.count("\n") + " " * (start - before.rfind("\n") - 1)
        cli = _CLI.match(text, start)
        if cli is not None:
            found.append(Piece("cli", blanks + cli.group(0).strip().removesuffix(";").strip()))
            position = cli.end()
            continue
        is_command = text[start] == "\\"
        if is_command and _WITH_STATEMENT.match(text, start) is None:
            line_end = text.find("\n", start)
            position = len(text) if line_end < 0 else line_end
        else:
            position = _statement_end(text, start)
        piece = text[start:position].strip()
        if is_command:
            found.append(Piece("command", blanks + piece.removesuffix(";").rstrip()))
        else:
            found.extend(Piece("statement", part) for part in with_places(blanks + piece))


def _next(text: str, position: int) -> int | None:
    """Where the next token begins, blanks, comments and empty statements left out."""
    for group, start, end in tokens(text, position):
        if group == "end":
            return None
        if text[start:end] != ";":
            return start
    return None


def _statement_end(text: str, start: int) -> int:
    for token in tokens(text, start):
        group, begin, end = token
        if is_open(token, text):
            return len(text)
        if group == "symbol" and text[begin:end] == ";":
            return end
    return len(text)
