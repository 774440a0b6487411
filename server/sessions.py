"""The session of a request (properties, variables, statements), and the threads on which statements run.

Calls of the engine block (a commit waits for the disk, a pull query for its rows), so they run on a pool of threads, and the
event loop waits for their results.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ..engine.analysis.durations import milliseconds
from ..engine.database import Database
from ..engine.query_options import PROPERTIES
from ..engine.results import Message, Result, Submitted, Table
from ..engine.settings import Settings, canonical_name
from ..engine.statements.examine import Examiner
from ..errors import AssertionFailedError, StatementError
from ..grammar import ast
from ..grammar.lexer import Lines, with_places
from ..grammar.parse import parse
from ..grammar.substitute import substitute
from ..grammar.unparse import unparse
from ..storage import interrupts
from .problems import BAD_REQUEST, BAD_STATEMENT, TIMED_OUT, ApiError

T = TypeVar("T")
R = TypeVar("R")
_THREADS = 16
_WAITS_MAX = 64
_LOOK_S = 0.05
"""The time in seconds between two tries of an ASSERT."""
_GRACE_S = 1.0
"""The time in seconds that an answer waits, beyond its time limit, for a call that is being interrupted."""
_PREFIX = "ksql.output.topic.name.prefix"


@dataclass(frozen=True, slots=True)
class RequestStatement:
    """A statement of a request, and its text, in which variables are replaced."""

    statement: ast.Statement
    text: str


class RequestSession:
    """The settings of one request, which no other request sees.

    Args:
        properties: name -> value, as for SET; a name may have the prefix ``ksql.streams.``.
        variables: name -> value for ``${name}``.
        headers: the headers of records that the session writes.

    Raises:
        ApiError: a property does not exist, or its value is not allowed.
    """

    def __init__(
        self,
        database: Database,
        properties: Mapping[str, Any],
        variables: Mapping[str, Any],
        user: str | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        texts = {k: _text(v) for k, v in variables.items()}
        try:
            self._session = database.session(properties, variables=texts, user=user, headers=headers)
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

    def pieces(self, text: str) -> Iterator[RequestStatement]:
        """Split a text into statements.  All are parsed before the first one runs, except those with variables.

        Raises:
            ApiError: the text has a syntax error.
        """
        if "${" not in text:
            yield from [RequestStatement(found.statement, found.text) for found in _parsed(text, text)]
            return
        for piece in with_places(text):
            replaced = substitute(piece, self.variables) if self._substitutes else piece
            yield from [RequestStatement(found.statement, found.text) for found in _parsed(replaced, text)]

    @property
    def _substitutes(self) -> bool:
        return self.settings.options.variable_substitution

    def execute(self, piece: RequestStatement) -> Result:
        """Execute a statement.  Raises: PenstockError."""
        if isinstance(piece.statement, ast.AssertTopic | ast.AssertSchema):
            try:
                return self._asserted(piece.statement)
            except StatementError as error:  # of a text that nobody wrote
                error.text, error.span = piece.text, Lines(piece.text).span(0, len(piece.text))
                raise
        (result,) = self._session.execute(piece.text + ";")
        return result

    def _asserted(self, statement: ast.AssertTopic | ast.AssertSchema) -> Result:
        """Run an ASSERT with a timeout by repeated tries.

        The engine executes one statement at a time, so an ASSERT that waits inside it would hold up all others.
        """
        options = self.settings.options
        topic = isinstance(statement, ast.AssertTopic)
        default = options.assert_topic_timeout_ms if topic else options.assert_schema_timeout_ms
        allowed_ms = default if statement.timeout is None else milliseconds(statement.timeout)
        at_once = unparse(replace(statement, timeout=ast.Duration(0, "MILLISECOND"))) + ";"
        end_s = time.monotonic() + allowed_ms / 1000
        while True:
            try:
                (result,) = self._session.execute(at_once)
                return replace(result, statement=unparse(statement)) if isinstance(result, Message) else result
            except AssertionFailedError:
                if time.monotonic() >= end_s:
                    raise
            interrupts.check()
            time.sleep(min(_LOOK_S, max(0.0, end_s - time.monotonic())))

    def pull(self, piece: RequestStatement, parameters: Any) -> Table:
        """Run a pull query.  Raises: PenstockError."""
        return self._session.sql(piece.text, parameters=parameters)

    def explain(self, text: str) -> None:
        """Check a statement as EXPLAIN does.  Raises: PenstockError."""
        self._session.execute(text + ";")

    def examiner(self) -> Examiner:
        """Make an examiner, which finds faults in statements without executing them."""
        return self._session.examiner()

    def submit(self, text: str, name: str) -> Submitted:
        """Execute a script, of which each statement is executed once under this name.  Raises: PenstockError."""
        return self._session.submit(text, name)

    def close(self) -> None:
        """Drop the settings, and end the queries that are still being read."""
        self._session.close()


def _text(value: Any) -> str:
    """Convert a variable's value to text, as for DEFINE."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parsed(text: str, whole: str) -> list[Any]:
    try:
        return parse(text)
    except StatementError as error:
        raise ApiError(BAD_STATEMENT, str(error.located(text)), statement=whole) from error


class Workers:
    """The pool of threads for calls of the engine.

    Args:
        seconds_max: the longest time for one call, in seconds; then the engine interrupts it as soon as it can.
    """

    def __init__(self, seconds_max: float, threads: int = _THREADS) -> None:
        self._seconds_max = seconds_max
        self.waiting = 0
        """The number of calls that run or wait for a thread."""
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="penstock-http")
        self._waits = ThreadPoolExecutor(_WAITS_MAX, thread_name_prefix="penstock-http-wait")

    async def run(self, call: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Run a blocking call on one of the threads.

        Raises:
            ApiError: the call took too long.  It may run on until it can be interrupted.
        """
        loop = asyncio.get_running_loop()
        self.waiting += 1
        limited = functools.partial(self._limited, functools.partial(call, *arguments, **named))
        done = loop.run_in_executor(self._pool, functools.partial(copy_context().run, limited))
        done.add_done_callback(self._done)
        try:
            async with asyncio.timeout(self._seconds_max + _GRACE_S):
                return await done
        except TimeoutError as error:
            raise ApiError(TIMED_OUT, f"the statement took longer than {self._seconds_max:g} s") from error

    def _limited(self, call: Callable[[], R]) -> R:
        try:
            with interrupts.time_limit(self._seconds_max):
                return call()
        except interrupts.TimeLimitReached as error:
            raise ApiError(TIMED_OUT, f"the statement took longer than {self._seconds_max:g} s") from error

    def _done(self, done: asyncio.Future[Any]) -> None:
        self.waiting -= 1
        if not done.cancelled():
            done.exception()  # seen, also where nobody waits for it any more

    async def run_long(self, call: Callable[..., T], *arguments: Any) -> T:
        """Run a call that may wait long for queries on separate threads, so that it does not hold up other calls."""
        return await asyncio.get_running_loop().run_in_executor(self._waits, functools.partial(call, *arguments))

    def close(self) -> None:
        self._waits.shutdown(wait=False, cancel_futures=True)
        self._pool.shutdown(wait=False, cancel_futures=True)


def is_property(name: str) -> bool:
    """Whether a request may set a property."""
    found = PROPERTIES.get(canonical_name(name))
    return found is not None and not found.at_connect


__all__ = ["RequestStatement", "RequestSession", "Workers", "is_property"]
