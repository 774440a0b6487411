"""Splits a text into tokens, without the state of the parser, and a script into statements."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from ..errors import Span
from .tables import tables

Token = tuple[str, int, int]
"""The group that matched (see `ParserTables.token`), the start offset and the end offset."""


class Lines:
    """The offsets at which lines begin.  It makes a span from an offset."""

    def __init__(self, text: str) -> None:
        self._starts = [0]
        find = text.find
        at = find("\n")
        while at >= 0:
            self._starts.append(at + 1)
            at = find("\n", at + 1)

    def span(self, start: int, end: int) -> Span:
        starts = self._starts
        if len(starts) == 1:
            return Span(start, end, 1, start + 1)
        line = bisect_right(starts, start)
        return Span(start, end, line, start - starts[line - 1] + 1)


def tokens(text: str, position: int = 0) -> Iterator[Token]:
    """The tokens from offset ``position`` to the end of the text.  The last one has the group ``end``."""
    for match in tables().token.finditer(text, position):
        group = match.lastgroup or "bad"
        yield group, match.start(group), match.end(group)
        if group == "end":
            return


def is_open(token: Token, text: str) -> bool:
    """Whether a token begins a text, a quoted name or a comment that does not end, so that the rest of the text belongs to
    it.
    """
    group, start, _ = token
    return group == "bad" and (text[start] in "'\"`" or text.startswith("/*", start))


def split(text: str) -> list[str]:
    """Split a script into statements, each with its semicolon if it has one, and without blanks around it.

    The last text has no semicolon if the script ends within a statement: a shell should then ask for more.  A semicolon in
    quotes or in a comment ends no statement.  If a quote or comment does not end, the rest of the text is one incomplete
    statement.

    >>> split("SHOW STREAMS; SELECT 'a;b' -- no; end")
    ['SHOW STREAMS;', "SELECT 'a;b' -- no; end"]
    """
    parts: list[str] = []
    begin: int | None = None
    for token in tokens(text):
        group, start, end = token
        if begin is None and group != "end":
            begin = start
        if is_open(token, text):
            break
        if group == "symbol" and text[start:end] == ";":
            if begin is not None:
                parts.append(text[begin:end])
            begin = None
    rest = "" if begin is None else text[begin:].strip()
    return [*parts, rest] if rest else parts


def with_places(text: str) -> list[str]:
    """The statements of a script.  Blanks before each put it at the line and column that it has in the script."""
    found: list[str] = []
    position = 0
    for piece in split(text):
        position = text.index(piece, position)
        before = text[:position]
        found.append("\n" * before.count("\n") + " " * (position - before.rfind("\n") - 1) + piece)
        position += len(piece)
    return found


def is_complete(text: str) -> bool:
    """Whether a shell can run the text: it does not end within a statement, quotes or a comment."""
    last = ";"
    for token in tokens(text):
        group, start, end = token
        if is_open(token, text):
            return False
        if group != "end":
            last = text[start:end]
    return last == ";"
