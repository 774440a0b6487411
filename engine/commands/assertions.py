"""ASSERT TOPIC and ASSERT SCHEMA: wait for something to be there, or gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...errors import StatementError, UnsupportedError
from ...grammar import ast
from ...grammar.unparse import unparse
from ..analysis.durations import milliseconds
from ..analysis.with_clause import WithClause
from ..results import Message
from .context import Engine

_PROPERTIES = frozenset({"PARTITIONS", "REPLICAS"})


def assert_topic(engine: Engine, statement: ast.AssertTopic) -> Message:
    """Raises: StatementError, if it does not hold within the time given."""
    clause = WithClause(statement.properties, _PROPERTIES)
    wanted = {"partitions": clause.integer("PARTITIONS"), "replicas": clause.integer("REPLICAS")}

    def problem() -> str | None:
        exists = engine.topic(statement.topic) is not None
        if not statement.exists:
            return f"the topic {statement.topic} exists" if exists else None
        if not exists:
            return f"there is no topic {statement.topic}"
        have = {"partitions": engine.partitions(statement.topic), "replicas": engine.replicas(statement.topic)}
        for what, count in wanted.items():
            if count is not None and count != have[what]:
                return f"the topic {statement.topic} has {have[what]} {what}, not {count}"
        return None

    _wait(engine, problem, statement.timeout, "topic", statement)
    state = "exists" if statement.exists else "does not exist"
    return Message(
        "assert topic", f"topic {statement.topic} {state}", unparse(statement), details={"topic": statement.topic}
    )


def assert_schema(engine: Engine, statement: ast.AssertSchema) -> Message:
    """Raises: StatementError, if it does not hold within the time given."""
    if statement.subject is None and statement.schema_id is None:
        raise StatementError("ASSERT SCHEMA needs a SUBJECT or an ID", span=statement.span)
    parts = [f"subject {statement.subject}"] if statement.subject is not None else []
    parts += [f"id {statement.schema_id}"] if statement.schema_id is not None else []
    what = "schema of " + " and ".join(parts)

    def problem() -> str | None:
        found = _schema_exists(engine, statement.subject, statement.schema_id)
        if found == statement.exists:
            return None
        return f"there is {'a' if found else 'no'} {what}"

    _wait(engine, problem, statement.timeout, "schema", statement)
    return Message("assert schema", f"{what} {'exists' if statement.exists else 'does not exist'}", unparse(statement))


def _schema_exists(engine: Engine, subject: str | None, schema_id: int | None) -> bool:
    schemas: Any = engine.schemas
    if schemas is None:
        return False
    if subject is not None:
        ids = [schemas.version(subject, v).id for v in schemas.versions(subject)] if subject in schemas.subjects() else []
        return bool(ids) and (schema_id is None or schema_id in ids)
    ids = [schemas.version(s, v).id for s in schemas.subjects() for v in schemas.versions(s)]
    return schema_id in ids


def _wait(
    engine: Engine, problem: Callable[[], str | None], timeout: ast.Duration | None, what: str, statement: ast.Node
) -> None:
    """Look again at every commit until the time is up."""
    import time

    default = int(engine.properties[f"ksql.assert.{what}.default.timeout.ms"])
    allowed_ms = default if timeout is None else milliseconds(timeout)
    deadline = time.monotonic() + allowed_ms / 1000
    while (found := problem()) is not None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise StatementError(found, span=statement.span)
        engine.log.wait(engine.log.epoch, min(left, 0.1))


def refuse_test_assertion(statement: ast.AssertValues | ast.AssertSource) -> Message:
    """Raises: UnsupportedError: they belong to test scripts."""
    raise UnsupportedError(
        "this ASSERT belongs to test scripts",
        span=statement.span,
        suggestion="Compare what a query gives: SELECT ..; or ASSERT TOPIC ..;",
    )
