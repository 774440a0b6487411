"""Replaces ``${variables}`` in the text of statements before it is parsed.

A variable can stand for a name, a literal or a part of a quoted text, but not for other SQL.  Outside of quotes, its value
must be one name, number, boolean or quoted text.  Inside of quotes, its value cannot end them.  ``$${name}`` gives the
characters ``${name}``.  An undefined variable is not replaced, so it causes a syntax error that names it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..errors import StatementError
from .lexer import Lines

_PIECE = re.compile(
    r"(?P<text>'(?:[^']|'')*')|(?P<quoted>`(?:[^`]|``)*`|\"(?:[^\"]|\"\")*\")|(?P<comment>--[^\r\n]*|/\*(?s:.*?)\*/)"
    r"|(?P<bare>\$?\$\{[^}]*\})"
)
_VARIABLE = re.compile(r"(\$?)\$\{([^}]*)\}")
_SAFE = re.compile(
    r"[A-Za-z_][A-Za-z0-9_@]*|`(?:[^`]|``)+`|\"(?:[^\"]|\"\")+\"|'(?:[^']|'')*'|[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
)
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_@]*")


def is_variable_name(name: str) -> bool:
    """Whether a variable can have this name."""
    return _VARIABLE_NAME.fullmatch(name) is not None


def substitute(text: str, variables: Mapping[str, str]) -> str:
    """Replace the variables of a text.

    Args:
        text: a script.
        variables: values by name.  Names are compared without regard to case.

    Raises:
        StatementError: a value is more than one name or literal, or would end the quotes around it.

    >>> substitute("SELECT ${field} FROM s WHERE x = '${v}';", {"field": "amount", "v": "a"})
    "SELECT amount FROM s WHERE x = 'a';"
    """
    if "${" not in text:
        return text
    values = {name.upper(): value for name, value in variables.items()}

    def replace_in(piece: re.Match[str]) -> str:
        if piece.lastgroup == "comment":
            return piece[0]
        return _VARIABLE.sub(lambda found: value_of(found, piece.start(), piece.lastgroup, piece[0][0]), piece[0])

    def value_of(found: re.Match[str], offset: int, context: str | None, quote: str) -> str:
        if found[1]:
            return found[0][1:]
        value = values.get(found[2].strip().upper())
        if value is None:
            return found[0]
        if context == "bare":
            safe = _SAFE.fullmatch(value) is not None
            reason = "must be one name, number, boolean or quoted text"
        else:
            safe = quote not in value.replace(quote * 2, "")
            reason = f"holds a {quote} that would end the quotes around it"
        if not safe:
            start = offset + found.start()
            raise StatementError(
                f"the value of the variable {found[2]} {reason}: {value}",
                span=Lines(text).span(start, offset + found.end()),
                text=text,
            )
        return value

    return _PIECE.sub(replace_in, text)
