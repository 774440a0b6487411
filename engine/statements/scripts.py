"""Reads the statements of scripts.  Variables are replaced, and so is RUN SCRIPT, by the statements of the other script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import Span, StatementError, StorageError
from ...grammar import ast
from ...grammar.lexer import Lines, tokens, with_places
from ...grammar.parse import parse
from ...grammar.script_files import read_script
from ...grammar.substitute import substitute
from ...grammar.words import reserved_words
from ...limits import SCRIPT_DEPTH_MAX
from ...paths import named_path
from ..session_state import SessionState
from ..settings import canonical_name

_SUBSTITUTION = "ksql.variable.substitution.enable"


@dataclass(frozen=True, slots=True)
class Script:
    """The text that a statement's spans refer to, and its file if it has one."""

    text: str
    path: Path | None

    def locate(self, error: StatementError, statement: ast.Statement) -> StatementError:
        """Give an error its place.

        If the error has only the place of the whole statement, it gets the place of the name in it that the message
        mentions.
        """
        if error.text is None and error.span in (None, statement.span):
            error.span = _name_in(error.message, self.text, statement.span)
        return error.located(self.text, None if self.path is None else str(self.path))


def statements_of(
    session: SessionState, text: str, path: Path | None, around: tuple[Path, ...] = ()
) -> Iterator[tuple[ast.Statement, Script]]:
    """The statements of a script, and of the scripts that it runs.

    Args:
        session: the variables are its own, with the values that they have when a statement is next.
        path: the file of the text.
        around: the resolved paths of the scripts that run this one, outermost first.

    Raises:
        StatementError: the text cannot be parsed, or a script that it runs cannot be read.
    """
    parsed = _parsed(session, text)
    while True:
        try:
            statement, source = next(parsed)
        except StopIteration:
            return
        except StatementError as error:
            raise error.located(text, None if path is None else str(path)) from error.__cause__
        script = Script(source, path)
        if not isinstance(statement, ast.RunScript):
            yield statement, script
            continue
        try:
            inner, content = _read(statement, path, around)
        except StatementError as error:
            raise script.locate(error, statement) from error.__cause__
        yield from statements_of(session, content, inner, (*around, inner.resolve()))


def _parsed(session: SessionState, text: str) -> Iterator[tuple[ast.Statement, str]]:
    """The statements of a script, each with the text that its spans refer to.  Variables are replaced.

    Everything up to the next RUN SCRIPT is parsed before the first statement is returned.  Statements after a RUN SCRIPT may
    use the variables that the other script defines.
    """
    if "${" not in text:
        yield from [(parsed.statement, text) for parsed in parse(text)]
        return
    pieces = with_places(text)
    while pieces:
        variables = dict(session.variables)
        replacing = session.settings.options.variable_substitution
        ready: list[tuple[ast.Statement, str]] = []
        while pieces:
            piece = pieces.pop(0)
            replaced = substitute(piece, variables) if replacing else piece
            for parsed in parse(replaced):
                ready.append((parsed.statement, replaced))
                match parsed.statement:
                    case ast.Define(name=name, value=value):
                        variables[name.upper()] = value
                    case ast.Undefine(name=name):
                        variables.pop(name.upper(), None)
                    case ast.SetProperty(name=name, value=value) if canonical_name(name) == _SUBSTITUTION:
                        if not isinstance(value, str):
                            raise StatementError(
                                f"{name} decides how this text is read, and takes no parameter",
                                span=parsed.statement.span,
                                suggestion="Write 'true' or 'false'.",
                            )
                        replacing = value.strip().lower() == "true"
                    case ast.UnsetProperty(name=name) if canonical_name(name) == _SUBSTITUTION:
                        replacing = True
            if ready and isinstance(ready[-1][0], ast.RunScript):
                break
        yield from ready


def _name_in(message: str, text: str, whole: Span) -> Span:
    """The place of the first name or quoted text of a statement that a message mentions; otherwise of the whole
    statement.
    """
    named = set(re.findall(r"[\w.@-]+", message))
    for group, start, end in tokens(text, whole.start):
        if group == "end" or start >= whole.end:
            break
        token = text[start:end]
        name = token[1:-1] if token[0] in "`\"'" else token.upper()
        if name in named and (token[0] in "`\"'" or (group == "IDENTIFIER" and name not in reserved_words())):
            return Lines(text).span(start, end)
    return whole


def _read(statement: ast.RunScript, path: Path | None, around: tuple[Path, ...]) -> tuple[Path, str]:
    """The file of RUN SCRIPT, relative to the script that runs it, and its text.

    Raises:
        StatementError: it cannot be read, or it would run itself.
    """
    try:
        found = named_path(statement.path)
    except StorageError as error:
        raise StatementError(f"the script cannot be read: {error}", span=statement.span) from error
    if path is not None and not found.is_absolute():
        found = path.parent / found
    if found.resolve() in around or (path is not None and found.resolve() == path.resolve()):
        raise StatementError(
            f"the script {found} would run itself",
            span=statement.span,
            suggestion="Remove the RUN SCRIPT that leads back to this script.",
        )
    if len(around) >= SCRIPT_DEPTH_MAX:
        raise StatementError(f"scripts run each other more than {SCRIPT_DEPTH_MAX} levels deep", span=statement.span)
    try:
        return found, read_script(found)
    except StatementError as error:
        raise StatementError(error.message, span=statement.span) from error
