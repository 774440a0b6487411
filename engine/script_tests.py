"""Tests written as SQL: what `penstock test` runs.

A file has tests one after the other.  A test begins with its name, may say which error it expects, and ends before the next
name::

    --@test: orders are summed up per customer
    CREATE STREAM orders (customer STRING KEY, total INT) WITH (KAFKA_TOPIC = 'orders', VALUE_FORMAT = 'JSON');
    CREATE TABLE spend AS SELECT customer, SUM(total) AS total FROM orders GROUP BY customer;
    INSERT INTO orders (customer, total) VALUES ('ann', 5);
    ASSERT VALUES spend (customer, total) VALUES ('ann', 5);

    --@test: a table needs its key
    --@expected.error: StatementError
    --@expected.message: PRIMARY KEY
    CREATE TABLE t (a INT) WITH (KAFKA_TOPIC = 't');

A file without a name is one test with the name of the file.  Each test has an engine of its own, in memory.  Every topic has
one partition, and is created when a statement names it.  Every update is emitted, and the clock stands at 0.  Queries
process each statement's records before the next statement is executed.  They read what is written after their creation,
unless the test sets ``auto.offset.reset``.

``expected.error`` names an error class of Penstock's or of ksqlDB's.  Of ksqlDB's classes, ``AssertionError`` means a failed
ASSERT, and any other one a statement that is refused.  ``expected.message`` is a text that the message must contain,
whatever the case of letters.  With a class of ksqlDB's, the message has ksqlDB's wording, so it is only compared on request.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .. import errors
from ..errors import AssertionFailedError, PenstockError, Span, StatementError, UnsupportedError
from ..grammar.lexer import Lines, tokens
from ..runtime.clock import ManualClock
from .database import Database, connect
from .functions.registry import Registry
from .results import PushResult

_DIRECTIVE = re.compile(r"^--@([\w.]+):[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_KNOWN = ("test", "expected.error", "expected.message")
_SETTINGS = {
    "processing.order": "arrival",
    "cache.max.bytes.buffering": "0",
    "penstock.topic.auto.create": "true",
    "penstock.threads": "0",
}


@dataclass(frozen=True, slots=True)
class ScriptTest:
    """One test of a file.

    Attributes:
        line: the line of its name.
        text: its statements, on the same lines as in the file.
        error, message: the error that it must end with; None: it must end without one.
    """

    name: str
    path: Path | None
    line: int
    text: str
    error: str | None = None
    message: str | None = None

    @property
    def asserts(self) -> bool:
        """Whether it has an ASSERT or expects an error.  Otherwise it passes if its statements raise no error."""
        if self.error is not None or self.message is not None:
            return True
        return any(self.text[start:end].upper() == "ASSERT" for _, start, end in tokens(self.text))


@dataclass(frozen=True, slots=True)
class TestResult:
    """The result of a test.  ``failure`` is None if it passed; ``line`` is where it failed."""

    __test__ = False

    test: ScriptTest
    failure: str | None
    line: int
    seconds: float

    @property
    def passed(self) -> bool:
        return self.failure is None


@dataclass(slots=True)
class _Draft:
    name: str
    line: int
    start: int
    directives: dict[str, str] = field(default_factory=dict)


def read_tests(text: str, path: Path | None = None) -> list[ScriptTest]:
    """Read the tests of a file.

    Raises:
        StatementError: a directive does not exist or is in the wrong place, or there is no test.
    """
    lines = Lines(text)
    whole = path.stem if path is not None else "script"
    drafts = [_Draft(whole, 1, 0)]
    for found in _directives(text):
        span = lines.span(found.start(), found.end())
        name, value = found[1], found[2]
        if name == "test":
            drafts.append(_Draft(value, span.line, found.start()))
        elif name not in _KNOWN:
            raise _located(f"there is no directive {name}", span, text, path, f"There are {', '.join(_KNOWN)}.")
        elif name in drafts[-1].directives:
            raise _located(f"{name} is given twice", span, text, path)
        else:
            drafts[-1].directives[name] = value
    drafts = drafts[1:] or drafts
    made: list[ScriptTest] = []
    for number, draft in enumerate(drafts):
        end = drafts[number + 1].start if number + 1 < len(drafts) else len(text)
        # blank lines keep the line numbers of the file
        body = "\n" * text.count("\n", 0, draft.start) + text[draft.start : end]
        made.append(
            ScriptTest(
                draft.name,
                path,
                draft.line,
                body,
                draft.directives.get("expected.error"),
                draft.directives.get("expected.message"),
            )
        )
    return made


def _directives(text: str) -> Iterator[re.Match[str]]:
    """The lines outside of quoted texts that begin with ``--@``."""
    quoted = [(start, end) for _, start, end in tokens(text) if text[start : start + 1] in ("'", '"', "`")]
    for found in _DIRECTIVE.finditer(text):
        if not any(start < found.start() < end for start, end in quoted):
            yield found


def _located(message: str, span: Span, text: str, path: Path | None, suggestion: str | None = None) -> StatementError:
    error = StatementError(message, span=span, text=text, suggestion=suggestion)
    return error.located(text, None if path is None else str(path))


def run_test(
    test: ScriptTest,
    settings: Mapping[str, object] | None = None,
    *,
    foreign_messages: bool = False,
    registry: Callable[[], Registry] | None = None,
) -> TestResult:
    """Run one test in an engine of its own.

    Args:
        settings: the initial properties.
        foreign_messages: also compare the messages of expected errors in ksqlDB's wording.
        registry: makes the functions that the test may call; by default the built-in ones.
    """
    began = time.perf_counter()
    failure, line = _run(test, settings or {}, foreign_messages, None if registry is None else registry())
    return TestResult(test, failure, line, time.perf_counter() - began)


def _run(
    test: ScriptTest, settings: Mapping[str, object], foreign_messages: bool, registry: Registry | None
) -> tuple[str | None, int]:
    """The failure and its line; None and 0 if the test passed."""
    try:
        with connect(
            None, clock=ManualClock(0), one_partition=True, registry=registry, settings={**_SETTINGS, **settings}
        ) as database:
            _execute(database, test)
    except PenstockError as error:
        span = error.span if isinstance(error, StatementError) else None
        own = isinstance(error, StatementError) and error.path == (None if test.path is None else str(test.path))
        line = span.line if span is not None and own else test.line
        if own and isinstance(error, StatementError):
            error.path = None  # the report names the file
        return _compared(test, error, foreign_messages), line
    if test.error is None and test.message is None:
        return None, test.line
    wanted = test.error or f"an error that says: {test.message}"
    return f"it ran through, but {wanted} was expected", test.line


def _execute(database: Database, test: ScriptTest) -> None:
    for result in database.steps(test.text, path=test.path):
        if isinstance(result, PushResult):
            result.subscription.close()
        database.drain()


def _compared(test: ScriptTest, error: PenstockError, foreign_messages: bool) -> str | None:
    """Why an error is not the expected one; None if it is the expected one."""
    if test.error is None and test.message is None:
        return str(error)
    name = (test.error or "PenstockError").rsplit(".", 1)[-1]
    own = getattr(errors, name, None)
    if own is not None:
        wanted: type[PenstockError] = own
        fits = isinstance(error, wanted)
    elif name == "AssertionError":
        fits = isinstance(error, AssertionFailedError)
    else:
        fits = not isinstance(error, UnsupportedError)
    if not fits:
        return f"expected {test.error}, but there was {type(error).__name__}: {error}"
    compare = test.message is not None and (own is not None or foreign_messages)
    if compare and str(test.message).lower() not in str(error).lower():
        return f"expected an error that says: {test.message}\nbut it says: {error}"
    return None
