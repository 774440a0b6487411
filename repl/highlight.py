"""Highlights SQL as it is typed, with the grammar's token classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.layout.utils import explode_text_fragments
from prompt_toolkit.lexers import Lexer

from ..grammar.words import classified
from .marks import Mark

STYLE = {
    "keyword": "bold ansiblue",
    "name": "",
    "quoted_name": "ansicyan",
    "number": "ansimagenta",
    "text": "ansigreen",
    "symbol": "",
    "comment": "italic ansibrightblack",
    "error": "ansired",
    "fault": "underline ansibrightred",
}
"""Token class -> prompt_toolkit style, under ``class:sql.<token class>``; ``fault`` is the place of an error."""


def fragments(text: str) -> list[tuple[str, str]]:
    """The text as pieces of (style, text); joined, they are the text."""
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
    """Highlights the whole input, since texts and comments may span lines."""

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        lines: list[StyleAndTextTuples] = [[]]
        for style, text in fragments(document.text):
            first, *others = text.split("\n")
            lines[-1].append((style, first))
            lines.extend([(style, other)] for other in others)

        def line(number: int) -> StyleAndTextTuples:
            return lines[number] if number < len(lines) else []

        return line


class Underlines(Processor):
    """Underlines faults.

    Args:
        marks: the faults of the present text.
    """

    def __init__(self, marks: Callable[[], Sequence[Mark]]) -> None:
        self._marks = marks

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        """See `Processor`."""
        fragments = transformation_input.fragments
        marks = self._marks()
        if not marks:
            return Transformation(fragments)
        document = transformation_input.document
        line_start = document.translate_row_col_to_index(transformation_input.lineno, 0)
        line_end = line_start + len(document.lines[transformation_input.lineno])
        for mark in marks:
            first, last = max(mark.start, line_start), min(mark.end, line_end)
            if first >= last:
                continue
            exploded = explode_text_fragments(fragments)
            to_display = transformation_input.source_to_display
            for place in range(to_display(first - line_start), to_display(last - line_start)):
                if place < len(exploded):
                    style, character, *_ = exploded[place]
                    exploded[place] = (f"{style} class:sql.fault", character)
            fragments = exploded
        return Transformation(fragments)
