"""Colours for SQL as it is typed, from the grammar's own classes of tokens."""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.lexers import Lexer

from ..grammar.words import classified

STYLE = {
    "keyword": "bold ansiblue",
    "name": "",
    "quoted_name": "ansicyan",
    "number": "ansimagenta",
    "text": "ansigreen",
    "symbol": "",
    "comment": "italic ansibrightblack",
    "error": "ansired",
}
"""Token class -> prompt-toolkit style, under ``class:sql.<token class>``."""


def fragments(text: str) -> list[tuple[str, str]]:
    """The text in pieces of (style, text); joined, they are the text."""
    found = []
    last = 0
    for start, end, token_class in classified(text):
        if start > last:
            found.append(("", text[last:start]))
        found.append((f"class:sql.{token_class}", text[start:end]))
        last = end
    if last < len(text):
        found.append(("", text[last:]))
    return found


class SqlLexer(Lexer):
    """Highlights the whole input, so that texts and comments may span lines."""

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        lines: list[StyleAndTextTuples] = [[]]
        for style, text in fragments(document.text):
            first, *others = text.split("\n")
            lines[-1].append((style, first))
            lines.extend([(style, other)] for other in others)

        def line(number: int) -> StyleAndTextTuples:
            return lines[number] if number < len(lines) else []

        return line
