"""``POST /v1/check``, for editors: finds the statements of a text and their faults with positions.  Nothing is executed."""

from __future__ import annotations

import re
from typing import Any

from ..engine.catalog import Catalog
from ..engine.statements.examine import SyntaxExaminer
from ..errors import PenstockError, Span, StatementError
from ..grammar import ast
from ..grammar.lexer import split
from ..grammar.parse import parse
from ..grammar.substitute import substitute
from .access import check
from .accounts import Account
from .problems import BAD_REQUEST, ApiError
from .service import Service
from .sessions import RequestSession, RequestStatement
from .wire import error_parts

_EXPLAIN = "EXPLAIN "
_EXPLAINED = ast.Query | ast.TableQuery | ast.CreateAsSelect | ast.InsertSelect


def check_text(service: Service, body: dict[str, Any], account: Account) -> dict[str, Any]:
    """Answer the request ``{"text": ".."}``, with properties and variables as for ``/ksql``.

    The answer has ``statements``, each with ``start`` and ``end`` (offsets in the text) and a ``kind``: ``pull`` or ``push``
    (a query for ``/query-stream``), ``print``, ``set``, ``unset``, ``define``, ``undefine`` (these with ``name`` and
    ``value``), ``statement``, or ``wrong``.  The answer also has ``problems``, each with ``start``, ``end``, ``message``,
    and ``suggestion`` or None.

    A statement that uses a name which an earlier statement of the text creates is checked for its syntax only.

    A request may have ``statements``, a list of texts of one statement each, in place of ``text``.  Then the answer has
    ``faults``: the parts from which Penstock's client makes errors.

    Raises:
        ApiError: the request is not valid.
    """
    text, statements = body.get("text"), body.get("statements")
    if statements is not None:
        if not isinstance(statements, list) or not all(isinstance(item, str) for item in statements):
            raise ApiError(BAD_REQUEST, "statements must be a list of texts")
        text = "".join(statements)
    if not isinstance(text, str):
        raise ApiError(BAD_REQUEST, "the member text is missing")
    if len(text) > service.config.statement_chars_max:
        raise ApiError(BAD_REQUEST, f"the text is longer than {service.config.statement_chars_max:,} characters")
    properties, variables = body.get("streamsProperties") or {}, body.get("sessionVariables") or {}
    if not isinstance(properties, dict) or not isinstance(variables, dict):
        raise ApiError(BAD_REQUEST, "streamsProperties and sessionVariables must be objects")
    session = RequestSession(service.database, properties, variables, account.name)
    try:
        if statements is not None:
            # suggestions would show an account with prefixes what it may not see, so it gets faults of syntax only
            examiner = SyntaxExaminer() if account.role == "none" else session.examiner()
            return {"faults": [error_parts(fault) for fault in examiner.faults(statements)]}
        return _Text(service, session, account).check(text)
    finally:
        session.close()


class _Text:
    def __init__(self, service: Service, session: RequestSession, account: Account) -> None:
        self._service = service
        self._session = session
        self._account = account
        self._made: set[str] = set()
        self._problems: list[dict[str, Any]] = []

    def check(self, text: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = []
        position = 0
        for piece in split(text):
            start = text.index(piece, position)
            position = start + len(piece)
            try:
                shown = substitute(piece, self._session.variables) if "${" in piece else piece
                parsed = parse(shown)
            except StatementError as error:
                self._report(error, piece, start, exact="${" not in piece)
                found.append({"start": start, "end": position, "kind": "wrong"})
                continue
            if not parsed:
                continue  # a comment, or a lone semicolon
            statement = parsed[0].statement
            found.append({"start": start, "end": position, **_kind(statement)})
            self._check_meaning(statement, parsed[0].text, piece, start)
            self._set(statement, parsed[0].text, piece, start)
            if isinstance(statement, ast.CreateSource | ast.CreateAsSelect | ast.CreateType | ast.DropSource | ast.DropType):
                self._made.add(statement.name)
        return {"statements": found, "problems": self._problems}

    def _check_meaning(self, statement: ast.Statement, shown: str, piece: str, start: int) -> None:
        """Check names and types by EXPLAIN, which runs nothing."""
        if not isinstance(statement, _EXPLAINED) or _names(shown) & self._made:
            return
        catalog: Catalog = self._service.database.catalog
        try:
            check(self._account, statement, catalog, self._session.topic_prefix)
        except ApiError as error:
            self._problems.append(_problem(start, start + len(piece), error.message, None))
            return
        (explained,) = parse(_EXPLAIN + shown + ";")
        try:
            self._session.explain(explained.text)
        except PenstockError as error:
            self._report(error, piece, start, exact=piece.startswith(shown), shift=len(_EXPLAIN))

    def _set(self, statement: ast.Statement, shown: str, piece: str, start: int) -> None:
        """Apply SET or DEFINE to the statements after it, in a session that ends with the check."""
        if isinstance(statement, ast.SetProperty | ast.UnsetProperty | ast.Define | ast.Undefine):
            try:
                self._session.execute(RequestStatement(statement, shown))
            except PenstockError as error:
                self._report(error, piece, start, exact=piece.startswith(shown))

    def _report(self, error: PenstockError, piece: str, start: int, *, exact: bool, shift: int = 0) -> None:
        """Add an error to the problems.

        Args:
            piece: the statement's text.
            start: the statement's offset in the text of the request.
            exact: the error's span counts in the text as typed; otherwise the whole statement is marked.
            shift: the number of characters to add to the span.
        """
        span: Span | None = error.span if exact else None
        suggestion = getattr(error, "suggestion", None)
        message = getattr(error, "message", None) or str(error)
        if span is None:
            self._problems.append(_problem(start, start + len(piece), message, suggestion))
            return
        first = min(max(0, span.start - shift), len(piece))
        last = min(max(first, span.end - shift), len(piece))
        self._problems.append(_problem(start + first, start + max(last, first), message, suggestion))


_WORD = re.compile(r"`((?:[^`]|``)+)`|([A-Za-z_][\w@]*)")


def _names(text: str) -> set[str]:
    """All words of a text that could be names, spelt as in the catalog (in upper case unless quoted)."""
    return {m[1].replace("``", "`") if m[1] is not None else m[2].upper() for m in _WORD.finditer(text)}


def _problem(start: int, end: int, message: str, suggestion: str | None) -> dict[str, Any]:
    return {"start": start, "end": end, "message": message, "suggestion": suggestion}


def _kind(statement: ast.Statement) -> dict[str, Any]:
    match statement:
        case ast.TableQuery() | ast.Query(emit=None):
            return {"kind": "pull"}
        case ast.Query():
            return {"kind": "push"}
        case ast.Print(topic=topic):
            return {"kind": "print", "name": topic}
        case ast.SetProperty(name=name, value=value):
            return {"kind": "set", "name": name, "value": value}
        case ast.UnsetProperty(name=name):
            return {"kind": "unset", "name": name}
        case ast.Define(name=name, value=value):
            return {"kind": "define", "name": name, "value": value}
        case ast.Undefine(name=name):
            return {"kind": "undefine", "name": name}
    return {"kind": "statement"}


__all__ = ["check_text"]
