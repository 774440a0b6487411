"""Keywords, reserved words and tokens, taken from the grammar, for completion and highlighting."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Literal

from .lexer import tokens
from .tables import accepts, tables

_WITH_UNDERSCORES = re.compile(r"[0-9]+(?:_[0-9]+)+")

TokenClass = Literal["keyword", "name", "quoted_name", "number", "text", "symbol", "comment", "error"]

_CLASSES: dict[str, TokenClass] = {
    "DIGIT_IDENTIFIER": "name",
    "BACKTICKED": "quoted_name",
    "DOUBLE_QUOTED": "quoted_name",
    "NAMED_PARAMETER": "name",
    "INTEGER": "number",
    "DECIMAL_NUMBER": "number",
    "DOUBLE_NUMBER": "number",
    "TEXT": "text",
    "LAMBDA_OPEN": "symbol",
    "symbol": "symbol",
    "bad": "error",
}


def number_meant(word: str) -> str | None:
    """The number that a name such as ``60_000`` was probably meant to be; None for other names.

    >>> number_meant("60_000"), number_meant("60_s")
    ('60000', None)
    """
    return word.replace("_", "") if _WITH_UNDERSCORES.fullmatch(word) else None


@functools.cache
def keywords() -> frozenset[str]:
    """All words of the language, upper case."""
    return frozenset(tables().keywords)


@functools.cache
def reserved_words() -> frozenset[str]:
    """The keywords that are names only in backticks.  All others can be names wherever the grammar does not take the
    keyword.
    """
    return frozenset(word for word in keywords() if tables().is_reserved(word))


@functools.cache
def statement_words() -> frozenset[str]:
    """The keywords that a statement can begin with."""
    grammar = tables()
    start = [grammar.starts["statement"]]
    terminals = {t for t in grammar.actions[start[0]] if accepts(grammar, start, t)}
    return frozenset(w for w, readings in grammar.keywords.items() if any(k.terminal in terminals for k in readings))


def classified(text: str) -> Iterator[tuple[int, int, TokenClass]]:
    """The start, end and class of each token and comment of a text, in order, without blanks.

    Every word that can be a keyword counts as one, since highlighting does not have the parser's state.
    """
    last = 0
    for group, start, end in tokens(text):
        gap = text[last:start]
        if gap and not gap.isspace():
            yield last + len(gap) - len(gap.lstrip()), last + len(gap.rstrip()), "comment"
        last = end
        if group == "end":
            return
        if group == "IDENTIFIER":
            yield start, end, "keyword" if text[start:end].upper() in keywords() else "name"
        elif group == "bad" and text.startswith("/*", start):
            yield start, end, "comment"
        else:
            yield start, end, _CLASSES[group]


_MADE = re.compile(
    r"\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:SOURCE\s+)?(?:STREAM|TABLE|TYPE)\s+(?:IF\s+NOT\s+EXISTS\s+)?(`[^`]+`|[\w@]+)", re.I
)


def made_by(statement: str) -> str | None:
    """The name of the stream, table or type that a statement creates; None for other statements.

    The statement may be wrong.

    >>> made_by("CREATE STREAM orders (id INT"), made_by("DROP STREAM orders;")
    ('ORDERS', None)
    """
    found = _MADE.match(statement)
    return None if found is None else _plain(found.group(1))


def names_in(statement: str) -> set[str]:
    """All words of a statement, in the form that they would have as names."""
    return {_plain(statement[s:e]) for group, s, e in tokens(statement) if group not in ("TEXT", "symbol", "end", "bad")}


def _plain(name: str) -> str:
    return name[1:-1] if name.startswith("`") else name.upper()
