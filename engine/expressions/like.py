"""LIKE: patterns with ``%`` and ``_``, column by column.

If all rows have the same pattern, it becomes a regular expression of RE2, which Arrow runs over the column.  Patterns that
differ from row to row are matched row by row.  LIKE over NULL is NULL.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ...runtime.kernel import failures_of
from . import nodes as n
from .frames import Evaluator, RowFrame, Value, strict

_ANY = r"(?s:.)"
"""The regular expression for ``_``: any character, a line end included."""


@lru_cache(maxsize=1024)
def like_pieces(pattern: str, escape: str | None) -> tuple[tuple[str | None, ...], ...]:
    """Split a LIKE pattern at each ``%``.  A piece is a sequence of characters, with None for ``_``.

    Raises:
        ValueError: the pattern ends in the escape character.
    """
    pieces: list[list[str | None]] = [[]]
    literal = False
    for character in pattern:
        if literal or character not in ("%", "_", escape):
            pieces[-1].append(character)
            literal = False
        elif character == escape:
            literal = True
        elif character == "%":
            pieces.append([])
        else:
            pieces[-1].append(None)
    if literal:
        raise ValueError("a LIKE pattern cannot end in its escape character")
    return tuple(map(tuple, pieces))


def like_regex(pattern: str, escape: str | None) -> str:
    """Convert a LIKE pattern to a regular expression of RE2.

    Raises:
        ValueError: see `like_pieces`.
    """
    pieces = like_pieces(pattern, escape)
    return f"{_ANY}*".join("".join(_ANY if c is None else re.escape(c) for c in piece) for piece in pieces)


@lru_cache(maxsize=1024)
def like_matcher(pattern: str, escape: str | None) -> Callable[[str], bool]:
    """Make a function that matches texts with a LIKE pattern in linear time.

    Each piece between two ``%`` is searched once, and its first match is used.  No other match needs to be tried: if the
    later pieces occur at all, they occur after the first match, too.

    Raises:
        ValueError: see `like_pieces`.
    """
    first, *rest = [
        re.compile("".join("." if c is None else re.escape(c) for c in piece), re.DOTALL)
        for piece in like_pieces(pattern, escape)
    ]
    sizes = [len(piece) for piece in like_pieces(pattern, escape)]

    def matches(text: str) -> bool:
        if not rest:
            return first.fullmatch(text) is not None
        found = first.match(text)
        if found is None:
            return False
        at = found.end()
        for piece in rest[:-1]:
            found = piece.search(text, at)
            if found is None:
                return False
            at = found.end()
        last = len(text) - sizes[-1]
        return last >= at and rest[-1].fullmatch(text, last) is not None

    return matches


def compile_like(e: n.Like, operand: Evaluator, pattern: Evaluator) -> Evaluator:
    """Compile ``operand LIKE pattern``."""

    def evaluate(frame: RowFrame) -> Value:
        value, wanted = operand(frame), pattern(frame)
        data = frame.array(value.data)
        own = None
        if wanted.is_scalar and wanted.data.is_valid:
            try:
                regex = like_regex(wanted.data.as_py(), e.escape)
            except ValueError as error:
                own = failures_of(dict.fromkeys(range(frame.length), str(error)))
                result = pa.nulls(frame.length, pa.bool_())
            else:
                result = pc.match_substring_regex(data, pattern=f"\\A(?:{regex})\\z")
        else:
            result, own = _like_by_row(data.to_pylist(), frame.array(wanted.data).to_pylist(), e.escape)
        if e.negated:
            result = pc.invert(result)
        return strict(result, (value, wanted), own)

    return evaluate


def _like_by_row(texts: list[str | None], patterns: list[str | None], escape: str | None) -> tuple[Any, Any]:
    failed: dict[int, str] = {}
    found: list[bool | None] = []
    for row, (text, pattern) in enumerate(zip(texts, patterns, strict=True)):
        matched = None
        if text is not None and pattern is not None:
            try:
                matched = like_matcher(pattern, escape)(text)
            except ValueError as error:
                failed[row] = str(error)
        found.append(matched)
    return pa.array(found, pa.bool_()), failures_of(failed)
