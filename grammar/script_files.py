"""Reads script files: checks that a file is a script, and joins lines that end in a backslash."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import StatementError
from ..limits import SCRIPT_BYTES_MAX
from ..paths import NotRegularError, open_descriptor
from .lexer import tokens
from .words import statement_words

__all__ = ["continued", "read_script"]


def read_script(path: Path, *, named_by_person: bool = False) -> str:
    """Read a script, and join the lines that continue in the next one.

    A file that does not look like a script is refused, and the error shows nothing of its content: another person may have
    given the path, and the file may be private.

    Args:
        named_by_person: the path was given on the command line.  Then it may be a pipe, and errors may quote its lines.

    Raises:
        StatementError: there is no such file, it is not a regular file, too large, not text, or not a script.
    """
    try:
        descriptor = open_descriptor(path, os.O_RDONLY | getattr(os, "O_NOCTTY", 0), pipes=named_by_person)
    except NotRegularError as error:
        raise StatementError(f"the script {path} cannot be read: it is not a regular file") from error
    except (OSError, ValueError) as error:
        raise StatementError(f"the script {path} cannot be read: {_reason(error)}") from error
    with open(descriptor, "rb") as file:
        if named_by_person and hasattr(os, "set_blocking"):  # a pipe is read until its other end is closed
            os.set_blocking(descriptor, True)
        try:
            content = file.read(SCRIPT_BYTES_MAX + 1)
        except OSError as error:
            raise StatementError(f"the script {path} cannot be read: {_reason(error)}") from error
    if len(content) > SCRIPT_BYTES_MAX:
        raise StatementError(f"the script {path} cannot be read: it has more than {SCRIPT_BYTES_MAX:,} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StatementError(f"the script {path} cannot be read: it is not UTF-8 at byte {error.start}") from None
    if not named_by_person and not _begins_as_script(text):
        raise StatementError(f"{path} is not a script: it does not begin with a statement")
    return continued(text)


def _reason(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)


def _begins_as_script(text: str) -> bool:
    for group, start, end in tokens(text):
        word = text[start:end].upper()
        if word != ";":
            return group == "end" or word == "(" or word in statement_words()
    return True


def continued(text: str) -> str:
    r"""The text with blanks in place of backslashes that continue a line: those at its end, outside of quotes, as in old
    scripts.

    >>> continued("SHOW \\\n STREAMS;")
    'SHOW  \n STREAMS;'
    """
    if "\\\n" not in text and "\\\r\n" not in text:
        return text
    places = [
        start
        for group, start, _ in tokens(text)
        if group == "bad" and text[start] == "\\" and text[start + 1 : start + 3].lstrip("\r").startswith("\n")
    ]
    pieces = list(text)
    for place in places:
        pieces[place] = " "
    return "".join(pieces)
