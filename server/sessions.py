"""A request's own session: its properties and variables, its statements one by one, and the threads they run on.

The engine's calls block (a commit waits for the disk, a pull query for its rows), so they run on a pool of threads; what
comes back goes to the event loop.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from ..engine.database import Database
from ..engine.query_options import PROPERTIES
from ..engine.results import Result, Table
from ..engine.settings import Settings, canonical_name
from ..errors import StatementError
from ..grammar import ast
from ..grammar.lexer import with_places
from ..grammar.parse import parse
from ..grammar.substitute import substitute
from .problems import BAD_REQUEST, BAD_STATEMENT, ApiError

T = TypeVar("T")
_THREADS = 16
_WAITS_MAX = 64
_PREFIX = "ksql.output.topic.name.prefix"


@dataclass(frozen=True, slots=True)
class Piece:
    """A statement of a request, and its text with the variables replaced."""

    statement: ast.Statement
    text: str


class RequestSession:
    """What one request sets, and no other one sees.

    Args:
        properties: as SET takes them; names may have the prefix ``ksql.streams.``.
        variables: for ``${name}``.

    Raises:
        ApiError: a property does not exist, or has a value that it cannot have.
    """

    def __init__(
        self, database: Database, properties: Mapping[str, Any], variables: Mapping[str, Any], user: str | None = None
    ) -> None:
        try:
            self._session = database.session(properties, variables={k: _text(v) for k, v in variables.items()}, user=user)
        except StatementError as error:
            raise ApiError(BAD_REQUEST, str(error)) from error

    @property
    def settings(self) -> Settings:
        return self._session.settings

    @property
    def topic_prefix(self) -> str:
        return self.settings[_PREFIX]

    @property
    def variables(self) -> Mapping[str, str]:
        return self._session.variables

    def pieces(self, text: str) -> Iterator[Piece]:
        """The statements of a text.  All of it is parsed before the first one, but for what variables stand in.

        Raises:
            ApiError: a syntax error.
        """
        if "${" not in text:
            yield from [Piece(found.statement, found.text) for found in _parsed(text, text)]
            return
        for piece in with_places(text):
            replaced = substitute(piece, self.variables) if self._substitutes else piece
            yield from [Piece(found.statement, found.text) for found in _parsed(replaced, text)]

    @property
    def _substitutes(self) -> bool:
        return self.settings.options.variable_substitution

    def execute(self, piece: Piece) -> Result:
        """Raises: PenstockError."""
        (result,) = self._session.execute(piece.text + ";")
        return result

    def pull(self, piece: Piece, parameters: Any) -> Table:
        """Answer a SELECT that is answered once.  Raises: PenstockError."""
        return self._session.sql(piece.text, parameters=parameters)

    def close(self) -> None:
        """Forget what was set, and end what is still being read."""
        self._session.close()


def _text(value: Any) -> str:
    """A variable's value as DEFINE would be given it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parsed(text: str, whole: str) -> list[Any]:
    try:
        return parse(text)
    except StatementError as error:
        raise ApiError(BAD_STATEMENT, str(error.located(text)), statement=whole) from error


class Workers:
    """The threads that wait for the engine."""

    def __init__(self, threads: int = _THREADS) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="penstock-http")
        self._waits = ThreadPoolExecutor(_WAITS_MAX, thread_name_prefix="penstock-http-wait")

    async def run(self, call: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """A blocking call on one of the threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, functools.partial(call, *arguments, **named))

    async def run_long(self, call: Callable[..., T], *arguments: Any) -> T:
        """A call that waits long for queries: on threads of their own, so that others are not held up."""
        return await asyncio.get_running_loop().run_in_executor(self._waits, functools.partial(call, *arguments))

    def close(self) -> None:
        self._waits.shutdown(wait=False, cancel_futures=True)
        self._pool.shutdown(wait=False, cancel_futures=True)


def is_property(name: str) -> bool:
    """Whether a request may set a property."""
    found = PROPERTIES.get(canonical_name(name))
    return found is not None and not found.at_connect


__all__ = ["Piece", "RequestSession", "Workers", "is_property"]
