"""The part of `RemoteDatabase` that is not SQL: topics, records, submitted scripts, producers' sequence numbers."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import msgspec
import pyarrow as pa

from ..engine.intake.keys import key_value
from ..engine.parameters import column_constant, with_values
from ..engine.results import Submitted, Table
from ..engine.statements.topics import PartitionDescription, TopicDescription
from ..engine.texts import pull_query
from ..engine.types import quoted
from ..errors import StatementError, UnsupportedError
from ..grammar.unparse import unparse, unparse_expression
from ..runtime.clients.records import RawRecord, to_python
from ..runtime.host import Token
from ..storage.log.protocol import FetchedRecords, OffsetReset
from ..storage.values.arrow_streams import from_arrow_stream, to_arrow_stream
from .http import ARROW
from .remote_connection import RemoteConnection
from .tokens import read_token
from .wire import result_of, typed

_Class = TypeVar("_Class")


class Wire(Protocol):
    """The methods of a remote database that `RemoteLog` uses."""

    _server: RemoteConnection

    def _request(self, text: str) -> dict[str, Any]: ...


class RemoteLog:
    """Methods of `Database` for the log of a server's database."""

    # --- records ---------------------------------------------------------------------------

    def produce(
        self: Wire,
        topic: str,
        *,
        key: bytes | None = None,
        value: Any = None,
        timestamp: int | None = None,
        headers: Sequence[tuple[str, bytes | None]] = (),
        partition: int | None = None,
        durable: bool | None = None,
        producer: str | None = None,
        sequence: int | None = None,
    ) -> Token:
        """See `Database.produce`."""
        body: dict[str, Any] = {
            "key": _text(key, "the key"),
            "headers": [[name, _text(data, f"the header {name}")] for name, data in headers],
            "timestamp": timestamp,
            "partition": partition,
            "durable": durable,
            "producer": producer,
            "sequence": sequence,
        }
        if isinstance(value, Mapping):
            body["columns"] = _columns(value)
        else:
            body["value"] = _text(value, "the value")
        return self._server.post(f"{_place(topic)}/records", body, lambda found: read_token(found["token"]))

    def consume(
        self: Wire, topic: str, *, offset: int | None = None, partition: int | None = None, reset: OffsetReset = "none"
    ) -> Iterator[RawRecord]:
        """See `Database.consume`.  One request fetches all records that the topic has now."""
        given = {"offset": offset, "partition": partition, "reset": reset}
        chosen = {name: str(value) for name, value in given.items() if value is not None}
        answer = self._server.send("GET", f"{_place(topic)}/records", params=chosen, headers={"accept": ARROW})
        with self._server.understood(answer.url.path):
            found = from_arrow_stream(answer.content)
            found.validate(full=True)  # Arrow trusts what it reads: offsets beyond their buffer would crash the process
            batches = found.to_batches()
        for batch in batches:
            with self._server.understood(answer.url.path):
                records = list(_records(topic, batch))
            yield from records

    def last_sequence(self: Wire, producer: str) -> int | None:
        """See `Database.last_sequence`."""
        path = f"/v1/producers/{quote(producer, safe='')}"
        return self._server.get(path, lambda found: msgspec.convert(found["sequence"], int | None))

    # --- topics ----------------------------------------------------------------------------

    def create_topic(
        self: Wire, name: str, *, partitions: int = 1, replicas: int = 1, config: Mapping[str, object] | None = None
    ) -> None:
        """See `Database.create_topic`."""
        if replicas != 1:
            raise StatementError("there is one server, so each partition has one replica")
        body = {"partitions": partitions, "config": None if config is None else dict(config)}
        self._server.send("POST", _place(name), json=body)

    def alter_topic(
        self: Wire, name: str, config: Mapping[str, object] | None = None, *, partitions: int | None = None
    ) -> None:
        """See `Database.alter_topic`."""
        body = {"partitions": partitions, "config": None if config is None else dict(config)}
        self._server.send("PATCH", _place(name), json=body)

    def delete_topic(self: Wire, name: str) -> None:
        """See `Database.delete_topic`."""
        self._server.send("DELETE", _place(name))

    def describe_topic(self: Wire, name: str) -> TopicDescription:
        """See `Database.describe_topic`."""
        return self._server.get(_place(name), _topic_of)

    # --- scripts ---------------------------------------------------------------------------

    def submit(self: Wire, text: str, name: str, *, path: str | Path | None = None) -> Submitted:
        """See `Database.submit`.  RUN SCRIPT is refused, since clients may not read files of the server."""
        return self._server.post("/v1/submit", {**self._request(text), "name": name}, _submitted_of)


class RemoteLookup:
    """Reads a table on a server by its key; see `KeyLookup`.  Each row is a request."""

    def __init__(self, database: Any, name: str) -> None:
        self._database = database
        self._source = database.catalog.source(name)
        if self._source.kind != "TABLE":
            raise StatementError(f"{name} is not a table, so it has no keys to look up")

    def get(self, *key: Any, window_start: int | None = None) -> dict[str, Any] | None:
        """See `KeyLookup.get`."""
        if (self._source.window is not None) != (window_start is not None):
            raise self._wrong_key()
        found = self._rows(key, [] if window_start is None else [("WINDOWSTART", window_start)])
        return found[0] if found else None

    def rows(self, *key: Any) -> list[dict[str, Any]]:
        """See `KeyLookup.rows`."""
        found = self._rows(key, [])
        return found if self._source.window is None else sorted(found, key=lambda row: int(row["WINDOWSTART"]))

    def _rows(self, key: Sequence[Any], more: list[tuple[str, Any]]) -> list[dict[str, Any]]:
        columns = [column.name for column in self._source.schema.keys]
        if len(key) != len(columns):
            raise self._wrong_key()
        conditions = [f"{name} = {value}" for name, value in more]
        for column, value in zip(self._source.schema.keys, key, strict=True):
            stored = key_value(value, column.type)
            if stored is None:
                return []
            conditions.append(f"{quoted(column.name)} = {unparse_expression(column_constant(stored, column.type))}")
        found: Table = self._database.sql(f"SELECT * FROM {quoted(self._source.name)} WHERE {' AND '.join(conditions)}")
        return found.to_dicts()

    def _wrong_key(self) -> StatementError:
        names = ", ".join(c.name for c in self._source.schema.keys)
        windowed = " and window_start" if self._source.window is not None else ""
        return StatementError(f"a row of {self._source.name} is found by {names}{windowed}")


HERE_ONLY: Mapping[str, str] = {
    "service_key": "is what processes of a service know each other by",
    "partition_rows": "answers other processes of a service",
    "advertise": "tells the processes of a service where the database's own process is reached",
    "advance": "moves the clock of a test",
    "backup": "writes files of the server's machine",
    "consumer": "is a member of a group in the database's own process: Kafka's clients reach a server's log from elsewhere",
    "lookup": "answers from what the database's own process remembers: use sql()",
    "drain": "works on the caller's thread: use wait_idle()",
    "duckdb": "runs DuckDB in the database's own process: use sql()",
    "producer": "writes in the database's own process: use produce() or insert(), or a client of Kafka",
    "register": "lets DuckDB read data of the database's own process",
    "unregister": "lets DuckDB read data of the database's own process",
    "is_behind": "asks the database's own process",
    "now_ms": "asks the clock of the database's own process",
}
"""Method of `Database` that a remote database lacks -> the reason, as a clause for the error's text."""
OBJECTS_HERE_ONLY = ("commit_measures", "functions", "groups", "log", "schema_registry", "statements_executed")


def here_only(cls: type[_Class]) -> type[_Class]:
    """A class decorator that adds the methods of `HERE_ONLY`.  Each raises UnsupportedError with the reason."""

    def refused(name: str, why: str) -> Any:
        def method(self: Any, *arguments: Any, **named: Any) -> Any:
            raise UnsupportedError(f"{name}() is not available over HTTP: it {why}")

        method.__name__ = name
        method.__doc__ = f"Raises: UnsupportedError: it {why}."
        return method

    def refused_property(name: str) -> Any:
        def get(self: Any) -> Any:
            raise UnsupportedError(f"{name} is not available over HTTP: it is an object of the database's own process")

        return property(get)

    for name, why in HERE_ONLY.items():
        setattr(cls, name, refused(name, why))
    for name in OBJECTS_HERE_ONLY:
        setattr(cls, name, refused_property(name))
    return cls


def bound(text: str, parameters: Sequence[Any] | Mapping[str, Any] | None) -> str:
    """Replace the parameters in a SELECT's text by literals.  Raises: StatementError, if they do not fit."""
    if parameters is None:
        return text
    try:
        return unparse(with_values(pull_query(text), parameters))
    except StatementError as error:
        raise error.located(text) from error.__cause__


def _records(topic: str, batch: pa.RecordBatch) -> Iterator[RawRecord]:
    if not batch.num_rows:
        return
    columns = {name: batch.column(name) for name in batch.schema.names}
    records = FetchedRecords(
        None if columns["key"].null_count == batch.num_rows else columns["key"],
        columns["value"],
        columns["timestamp"].to_numpy(),
        None if columns["headers"].null_count == batch.num_rows else columns["headers"],
        columns["offset"].to_numpy(),
    )
    yield from to_python(topic, columns["partition"][0].as_py(), records)


def _topic_of(found: Any) -> TopicDescription:
    names = ("partition", "start", "end", "segments", "bytes", "firstTimestamp", "lastTimestamp")
    partitions = tuple(PartitionDescription(*(p[name] for name in names)) for p in found["partitions"])
    return typed(TopicDescription(found["name"], partitions, found["config"], tuple(found["sources"])))


def _submitted_of(found: Any) -> Submitted:
    name, known = msgspec.convert((found["name"], found["known"]), tuple[str, tuple[str, ...]])
    return Submitted(name, known, tuple(result_of(r) for r in found["results"]))


def _place(topic: str) -> str:
    return f"/v1/topics/{quote(topic, safe='')}"


def _text(data: Any, what: str) -> str | None:
    if data is None:
        return None
    if not isinstance(data, bytes | bytearray | memoryview):
        raise StatementError(f"{what} is bytes, not {type(data).__name__}")
    return base64.b64encode(bytes(data)).decode()


def _columns(value: Mapping[str, Any]) -> str:
    try:
        table = pa.Table.from_pylist([dict(value)])
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise StatementError(f"the value is not one that a typed topic holds: {error}") from error
    return base64.b64encode(to_arrow_stream(table)).decode()


__all__ = ["RemoteLog", "RemoteLookup", "bound", "here_only"]
