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
from ..engine.results import Result
from ..engine.settings import PROPERTIES, Settings, canonical_name
from ..engine.texts import with_places
from ..errors import StatementError
from ..grammar import ast
from ..grammar.parse import parse
from ..grammar.substitute import substitute
from .problems import BAD_REQUEST, BAD_STATEMENT, ApiError

T = TypeVar("T")
_THREADS = 16
_LONG_THREADS = 64
_PREFIX = "ksql.output.topic.name.prefix"
_PUSH_LIMIT = "ksql.max.push.queries"
_NO_LIMIT = str(2**31 - 1)
"""The server counts open push queries over all clients itself."""


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
            self._session = _session(database, {_PUSH_LIMIT: _NO_LIMIT, **properties}, {k: str(v) for k, v in variables.items()}, user)
        except StatementError as error:
            raise ApiError(BAD_REQUEST, str(error)) from error

    @property
    def settings(self) -> Settings:
        found: Settings = self._session.settings
        return found

    @property
    def topic_prefix(self) -> str:
        return self.settings[_PREFIX]

    @property
    def variables(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self._session.variables
        return found

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
        return self.settings.boolean("ksql.variable.substitution.enable")

    def execute(self, piece: Piece) -> Result:
        """Raises: PenstockError."""
        (result,) = self._session.execute(piece.text + ";")
        made: Result = result
        return made

    def keep(self, result: Result) -> None:
        """Let a result be read on after the request's session is closed: its reader closes it."""
        state = getattr(self._session, "state", None)
        if state is not None:
            state.reading.discard(getattr(result, "subscription", result))
            state.reading.discard(result)

    def close(self) -> None:
        """Forget what was set."""
        if hasattr(self._session, "close"):
            self._session.close()


def _parsed(text: str, whole: str) -> list[Any]:
    try:
        return parse(text)
    except StatementError as error:
        raise ApiError(BAD_STATEMENT, str(error.located(text)), statement=whole) from error


class _Swapped:
    """A session by hand: the database's own settings are put aside while a statement of it runs."""

    def __init__(self, database: Database, properties: Mapping[str, Any], variables: dict[str, str]) -> None:
        self._database = database
        self.settings = Settings()
        self.settings._database = database.settings._database
        for name, value in properties.items():
            self.settings.set(name, value)
        self.variables = {name.upper(): value for name, value in variables.items()}

    def execute(self, text: str) -> list[Result]:
        engine = self._database._engine
        with self._database._lock:
            before = engine.settings, engine.variables
            engine.settings, engine.variables = self.settings, self.variables
            try:
                return self._database.execute(text)
            finally:
                engine.settings, engine.variables = before


def _session(database: Any, properties: Mapping[str, Any], variables: dict[str, str], user: str | None) -> Any:
    if hasattr(database, "session"):
        return database.session(settings=properties, variables=variables, user=user)
    return _Swapped(database, properties, variables)


class Workers:
    """The threads that wait for the engine."""

    def __init__(self, threads: int = _THREADS) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="penstock-http")
        self._long = ThreadPoolExecutor(_LONG_THREADS, thread_name_prefix="penstock-http-tail")

    async def run(self, call: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """A blocking call on one of the threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, functools.partial(call, *arguments, **named))

    async def run_long(self, call: Callable[..., T], *arguments: Any) -> T:
        """A call that waits long for something outside: on threads of their own, so that others are not held up."""
        return await asyncio.get_running_loop().run_in_executor(self._long, functools.partial(call, *arguments))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._long.shutdown(wait=False, cancel_futures=True)


def is_property(name: str) -> bool:
    """Whether a request may set a property."""
    found = PROPERTIES.get(canonical_name(name))
    return found is not None and not found.at_connect


__all__ = ["Piece", "RequestSession", "Workers", "is_property"]
