"""Endpoints for Penstock's own client: ``/v1/topics/{name}``, its ``/records``, ``/v1/submit`` and ``/v1/producers``."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, Final, Literal, cast

import pyarrow as pa

from ..engine.results import Description, Listing, Message
from ..errors import PenstockError
from ..grammar import ast
from ..storage.log.protocol import HEADERS
from .access import Need, check, check_need, topic_need
from .accounts import Account
from .arrow_bodies import read_row
from .http import ARROW, Request
from .problems import BAD_REQUEST, ApiError, api_error
from .service import Service
from .sessions import RequestSession
from .statements import SqlRequest
from .telemetry import record_headers
from .tokens import write_token
from .wire import result_json

_ROWS_MAX: Final = 10_000
"""The largest number of records in one piece of an answer."""
_WORDS: Final = {int: "a whole number", bool: "true or false", str: "a text"}
"""Type of a member -> its name in errors."""


class LogApi:
    """The endpoints of one server."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def change(self, request: Request, account: Account) -> None:
        """``POST``, ``PATCH`` and ``DELETE`` of ``/v1/topics/{name}``."""
        topic, method = request.path_parameters["name"], request.scope["method"]
        body = await request.json() if method in ("POST", "PATCH") else {}
        found = await self._service.workers.run(self._change, method, topic, body, account)
        await request.respond_json(found)

    def _change(self, method: str, topic: str, body: dict[str, Any], account: Account) -> Any:
        database = self._service.database
        self._need("write", topic, account)
        config, partitions = body.get("config"), body.get("partitions")
        if not isinstance(config, dict | None) or not isinstance(partitions, int | None) or isinstance(partitions, bool):
            raise ApiError(BAD_REQUEST, "config must be an object, and partitions a number")
        match method:
            case "POST":
                self._of_engine(database.create_topic, topic, partitions=partitions or 1, config=config)
            case "PATCH":
                self._of_engine(database.alter_topic, topic, config, partitions=partitions)
            case _:
                self._of_engine(database.delete_topic, topic)
        done = {"POST": "CREATE", "PATCH": "ALTER", "DELETE": "DELETE"}[method]
        self._service.audit.changed(account.name, f"{done} TOPIC {topic}")
        return {}

    async def produce(self, request: Request, account: Account) -> None:
        """``POST /v1/topics/{name}/records``: append one record.

        The request's members are all optional: ``key`` and ``value`` in base64, ``timestamp`` (ms), ``headers`` as pairs of
        name and base64, ``partition``, ``durable``, ``producer`` and ``sequence``.  For a typed topic ``columns`` takes the
        place of ``value``: an Arrow stream of one row, in base64.
        """
        topic, body = request.path_parameters["name"], await request.json()
        token = await self._service.workers.run(self._produce, topic, body, account, record_headers(request.headers))
        await request.respond_json({"token": write_token(token)})

    def _produce(self, topic: str, body: dict[str, Any], account: Account, trace: tuple[tuple[str, bytes], ...]) -> Any:
        self._need("write", topic, account)
        try:
            columns = body.get("columns")
            value = _bytes(body.get("value")) if columns is None else read_row(base64.b64decode(columns, validate=True))
            headers = [(str(name), _bytes(data)) for name, data in body.get("headers") or ()]
            how = {name: body.get(name) for name in ("timestamp", "partition", "durable", "producer", "sequence")}
            key = _bytes(body.get("key"))
            for name, kind in (
                ("timestamp", int),
                ("partition", int),
                ("durable", bool),
                ("producer", str),
                ("sequence", int),
            ):
                given = how[name]
                if given is not None and (not isinstance(given, kind) or (kind is int and isinstance(given, bool))):
                    raise ValueError(f"{name} must be {_WORDS[kind]}")
        except (ValueError, TypeError, pa.ArrowException) as error:
            raise ApiError(BAD_REQUEST, f"this is not a record: {error}") from error
        database = self._service.database
        token = self._of_engine(database.produce, topic, key=key, value=value, headers=headers or trace, **how)
        self._service.audit.changed(account.name, f"PRODUCE {topic}", rows=1)
        self._service.measures.rows_inserted += 1
        return token

    async def consume(self, request: Request, account: Account) -> None:
        """``GET /v1/topics/{name}/records``: the records that the topic holds now, as an Arrow stream.

        The parameters ``partition``, ``offset`` and ``reset`` are those of `Database.consume`.
        """
        topic = request.path_parameters["name"]
        self._need("read", topic, account)
        places = {name: _number(request.query.get(name), name) for name in ("partition", "offset")}
        reset = request.query.get("reset", "none")
        if reset not in ("none", "earliest", "latest"):
            raise ApiError(BAD_REQUEST, "reset must be none, earliest or latest")
        pieces = self._pieces(topic, places["partition"], places["offset"], reset)
        run = self._service.workers.run
        first: bytes = await run(lambda: next(pieces))
        await request.start(200, ARROW)
        request.lasts()
        await request.write(first)
        while (piece := await run(lambda: next(pieces, b""))) != b"":
            await request.write(piece)
        await request.write(b"", more=False)

    def _pieces(self, topic: str, partition: int | None, offset: int | None, reset: str) -> Iterator[bytes]:
        """Yield the pieces of the Arrow stream.  The first one is made only if topic and offset exist."""
        database, log = self._service.database, self._service.database.log
        count = len(self._of_engine(database.describe_topic, topic).partitions)
        if partition is not None and partition not in range(count):
            raise ApiError(BAD_REQUEST, f"the topic {topic} has the partitions 0 to {count - 1}")
        config = log.config(topic)
        values = pa.binary() if config is None or config.value_type is None else config.value_type
        fields: list[Any] = [
            pa.field("partition", pa.int32()),
            pa.field("offset", pa.int64()),
            pa.field("timestamp", pa.int64()),
            pa.field("key", pa.binary()),
            pa.field("value", values),
            pa.field("headers", HEADERS),
        ]
        schema = pa.schema(fields)
        sink = _Sink()
        with pa.ipc.new_stream(cast(Any, sink), schema) as writer:
            for number in range(count) if partition is None else [partition]:
                end = log.end_offset(topic, number)
                place = log.start_offset(topic, number) if offset is None else offset
                chosen = cast(Literal["none", "earliest", "latest"], "earliest" if offset is None else reset)
                while True:
                    found = self._of_engine(log.read, topic, number, place, rows_max=_ROWS_MAX, reset=chosen)
                    writer.write_batch(_batch(found, number, schema))
                    yield sink.taken()
                    place = found.next_offset
                    if place >= end:
                        break
        yield sink.taken()

    # --- scripts ---------------------------------------------------------------------------

    def submit(self, request: SqlRequest, name: Any, account: Account) -> dict[str, Any]:
        """``POST /v1/submit``: execute a script; under one name each statement is executed once.  Raises: ApiError."""
        service = self._service
        if not isinstance(name, str) or not name:
            raise ApiError(BAD_REQUEST, "the member name is missing: that of the script")
        asked = (service.database, request.properties, request.variables, account.name, request.headers)
        session, ahead = RequestSession(*asked), RequestSession(*asked)
        try:
            for piece in ahead.pieces(request.sql):
                try:
                    check(account, piece.statement, service.database.catalog, ahead.topic_prefix)
                except ApiError as error:
                    service.audit.refused(account.name, piece.text, error.message)
                    raise
                if isinstance(piece.statement, ast.SetProperty | ast.UnsetProperty | ast.Define | ast.Undefine):
                    ahead.execute(piece)  # what stands behind may be made of it
            done = session.submit(request.sql, name)
            service.audit.changed(account.name, request.sql, script=name)
            results = [r for r in done.results if isinstance(r, Message | Listing | Description)]
            return {"name": done.name, "known": list(done.known), "results": [result_json(r) for r in results]}
        except PenstockError as error:
            raise api_error(error, request.sql) from error
        finally:
            session.close()
            ahead.close()

    def last_sequence(self, producer: str, account: Account) -> dict[str, Any]:
        """``GET /v1/producers/{producer}``: the sequence number of the producer's last commit."""
        check_need(account, Need("write"))
        return {"sequence": self._service.database.last_sequence(producer)}

    # --- what they share -------------------------------------------------------------------

    def _need(self, role: str, topic: str, account: Account) -> None:
        try:
            check_need(account, topic_need(role, topic, self._service.database.catalog))
        except ApiError as error:
            self._service.audit.refused(account.name, f"{role.upper()} TOPIC {topic}", error.message)
            raise

    @staticmethod
    def _of_engine(call: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return call(*arguments, **named)
        except PenstockError as error:
            raise api_error(error) from error


class _Sink:
    """A file object that keeps the pieces which an Arrow writer writes."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: all pieces are here already."""

    def close(self) -> None:
        """Do nothing: the pieces can still be taken."""

    def taken(self) -> bytes:
        found, self._parts = b"".join(self._parts), []
        return found


def _batch(found: Any, partition: int, schema: Any) -> Any:
    count = len(found)
    columns = [
        pa.array([partition] * count, pa.int32()),
        pa.array(found.offsets, pa.int64()),
        pa.array(found.timestamps, pa.int64()),
        pa.nulls(count, pa.binary()) if found.keys is None else found.keys,
        found.values,
        pa.nulls(count, HEADERS) if found.headers is None else found.headers,
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _bytes(text: Any) -> bytes | None:
    """Decode base64; None stays None.  Raises: ValueError, TypeError, if it is something else."""
    return None if text is None else base64.b64decode(text, validate=True)


def _number(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ApiError(BAD_REQUEST, f"{name} must be a whole number")
    return int(text)


__all__ = ["LogApi"]
