"""Inserts rows: ``/inserts-stream`` takes rows in JSON and acknowledges each while more come; ``/v1/arrow`` takes Arrow
streams and inserts each request in one commit.

``/inserts-stream`` reads, inserts and acknowledges at the same time.  So a client may send all rows before it reads an
acknowledgement.  Rows that arrive during a commit are inserted together in the next one.
"""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import suppress
from typing import Any, Final
from urllib.parse import unquote

import pyarrow as pa

from ..engine.catalog import DataSource
from ..errors import PenstockError
from .access import Need, check_need
from .accounts import Account
from .arrow_bodies import read_tables
from .http import DELIMITED, JSON, Disconnected, Request, json_object
from .jsonrows import RowReader
from .problems import BAD_REQUEST, TOO_LARGE, ApiError, api_error
from .service import Service
from .telemetry import record_headers
from .tokens import write_token
from .values import encode

_BATCH_LINES: Final = 10_000
"""The largest number of rows in one commit."""
_WAITING_BYTES: Final = 8 * 1024 * 1024
"""The size of the rows that wait to be inserted, in bytes, from which on no more are read."""
_DRAIN_S: Final = 5.0
"""The time in seconds for which the rest of a request is read after a bad row, so that the client can read the error."""


def target(service: Service, name: Any, account: Account) -> DataSource:
    """Find the source to insert into.

    Names are folded to upper case unless they are in back-quotes.

    Raises:
        ApiError: there is no such source, or the account may not write to it.
    """
    if not isinstance(name, str) or not name:
        raise ApiError(BAD_REQUEST, "the member target is missing: the stream or table to insert into")
    catalog = service.database.catalog
    quoted = len(name) > 2 and name[0] == name[-1] == "`"
    wanted = name[1:-1].replace("``", "`") if quoted else name.upper()
    source = catalog.sources.get(wanted) or (None if quoted else catalog.sources.get(name))
    need = Need("write", (wanted,) if source is None else (source.name, source.topic), f"the source {wanted}")
    try:
        check_need(account, need)
    except ApiError as error:
        service.audit.refused(account.name, f"INSERT INTO {name}", error.message)
        raise
    if source is None:
        raise ApiError(BAD_REQUEST, f"there is no stream or table named {wanted}")
    if source.read_only or source.window is not None:
        raise ApiError(BAD_REQUEST, f"rows cannot be inserted into {source.name}: it is read-only or windowed")
    return source


class _Lines:
    """Splits a body into lines as it arrives."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._rest = b""
        self._ended = False
        self.ready: list[bytes] = []

    async def read(self, timeout_s: float | None) -> bool:
        """Read the next piece of the body; returns whether more may come after it."""
        if self._ended:
            return False
        part, more = await self._request.next_part(timeout_s)
        data = self._rest + part
        *lines, self._rest = data.split(b"\n")
        if not more:
            self._ended = True
            lines.append(self._rest)
            self._rest = b""
        elif len(self._rest) > self._request.body_bytes_max:
            raise ApiError(TOO_LARGE, f"a row is larger than {self._request.body_bytes_max:,} bytes")
        self.ready += [line for line in lines if line and not line.isspace()]
        return more


class _Inserting:
    """A request of ``/inserts-stream`` in progress."""

    def __init__(self, service: Service, request: Request, lines: _Lines, source: DataSource, content_type: str) -> None:
        self._service = service
        self._request = request
        self._lines = lines
        self._source = source
        self._reader = RowReader(source)
        self._session = service.database.session(headers=record_headers(request.headers))
        self._array = content_type == JSON
        self._arrived = asyncio.Event()
        """Set when there are lines to insert, or no more will come."""
        self._progress = asyncio.Event()
        """Set when rows were inserted, or no more will be inserted."""
        self._room = asyncio.Event()
        self._room.set()
        self._waiting_bytes = 0
        self._body_ended = False
        self._inserted = 0
        self._acknowledged = 0
        self._problem: ApiError | None = None
        self._finished = False

    async def run(self) -> int:
        """Insert all rows; returns their number."""
        reading = asyncio.ensure_future(self._read())
        inserting = asyncio.ensure_future(self._insert())
        try:
            if self._array:
                await self._request.write(b"[")
            await self._acknowledge()
            await inserting
            if self._problem is not None:
                await self._drain(reading)
            await reading
            await self._request.write(b"]" if self._array else b"", more=False)
        finally:
            for task in (reading, inserting):
                task.cancel()
                with suppress(asyncio.CancelledError, ApiError, Disconnected):
                    await task
            self._session.close()
        return self._inserted

    async def _read(self) -> None:
        """Read lines from the request; pause while `_WAITING_BYTES` wait to be inserted."""
        more = True
        try:
            while more:
                before = len(self._lines.ready)
                more = await self._lines.read(None)
                self._waiting_bytes += sum(map(len, self._lines.ready[before:]))
                self._arrived.set()
                if self._waiting_bytes > _WAITING_BYTES and self._problem is None:
                    self._room.clear()
                    await self._room.wait()
        except ApiError as error:
            self._problem = self._problem or error
        finally:
            self._body_ended = True
            self._arrived.set()

    async def _insert(self) -> None:
        """Commit the lines that have arrived, then those that have arrived meanwhile, until there are no more."""
        while self._problem is None:
            if not self._lines.ready:
                if self._body_ended:
                    break
                self._arrived.clear()
                await self._arrived.wait()
                continue
            lines, self._lines.ready = self._lines.ready[:_BATCH_LINES], self._lines.ready[_BATCH_LINES:]
            self._waiting_bytes -= sum(map(len, lines))
            if self._waiting_bytes <= _WAITING_BYTES:
                self._room.set()
            done, problem = await self._service.workers.run(self._commit, lines)
            self._inserted += done
            self._service.measures.rows_inserted += done
            self._problem = problem or self._problem
            self._progress.set()
        self._room.set()
        self._finished = True
        self._progress.set()

    def _commit(self, lines: list[bytes]) -> tuple[int, ApiError | None]:
        """Insert the rows before the first bad one; returns their number, and the error of the bad row."""
        rows, problem = self._reader.read_all(lines)
        name = self._source.name
        try:
            if rows:
                self._session.insert(name, rows, durable=True)
        except PenstockError as error:
            done, failure = 0, error
            for row in rows:  # one does not fit: those before it are inserted
                try:
                    self._session.insert(name, [row], durable=True)
                except PenstockError as found:
                    failure = found
                    break
                done += 1
            else:
                return done, None if problem is None else _row_error(problem)
            return done, _row_error(failure)
        return len(rows), None if problem is None else _row_error(problem)

    async def _acknowledge(self) -> None:
        """Acknowledge each row when it is durable; then send the error of a bad one."""
        while True:
            upto = self._inserted
            if upto > self._acknowledged:
                first, last = self._acknowledged, min(upto, self._acknowledged + _BATCH_LINES)
                before, after = (b",\n", b"") if self._array else (b"", b"\n")
                texts = [b'%b{"status":"ok","seq":%d}%b' % (before, seq, after) for seq in range(first, last)]
                if first == 0:
                    texts[0] = texts[0].removeprefix(before)
                self._acknowledged = last
                await self._request.write_each(texts)
                continue
            if self._finished:
                break
            self._progress.clear()
            await self._progress.wait()
        if self._problem is not None:
            entity = {
                "@type": "insert_error",
                "status": "error",
                "seq": self._inserted,
                "error_code": self._problem.code,
                "message": self._problem.message,
            }
            before = b",\n" if self._array and self._acknowledged else b""
            await self._request.write(before + encode(entity) + (b"" if self._array else b"\n"))

    async def _drain(self, reading: asyncio.Future[None]) -> None:
        """Read and drop the rest of the request."""
        deadline = time.monotonic() + _DRAIN_S
        while not reading.done() and time.monotonic() < deadline:
            self._lines.ready.clear()
            self._waiting_bytes = 0
            self._room.set()
            await asyncio.wait([reading], timeout=0.05)
        if not reading.done():
            reading.cancel()


def _row_error(error: PenstockError) -> ApiError:
    found = api_error(error)
    return ApiError(BAD_REQUEST if found.code // 100 == 400 else found.code, found.message)


async def inserts_stream(service: Service, request: Request, account: Account) -> None:
    """``POST /inserts-stream``: insert rows of JSON, a row per line after a first line that names the source."""
    content_type = request.accepts((DELIMITED, JSON), DELIMITED)
    lines = _Lines(request)
    more = True
    while more and not lines.ready:
        more = await lines.read(request.timeout_s)
    if not lines.ready:
        raise ApiError(BAD_REQUEST, "the first line is missing: an object with the member target")
    source = target(service, json_object(lines.ready.pop(0)).get("target"), account)
    request.lasts()
    await request.start(200, content_type)
    done = await _Inserting(service, request, lines, source, content_type).run()
    service.audit.changed(account.name, f"INSERT INTO {source.name}", rows=done)


async def insert_arrow(service: Service, request: Request, account: Account) -> None:
    """``POST /v1/arrow/{stream}``: insert an Arrow IPC stream in one commit.

    ``POST /v1/arrow`` takes several Arrow streams in sequence and inserts them in one commit.  The header
    ``penstock-streams`` names their sources, separated by commas.
    """
    single = request.path_parameters.get("stream")
    named = [single] if single is not None else request.headers.get("penstock-streams", "").split(",")
    sources = [target(service, unquote(name.strip()), account) for name in named]
    if len({s.name for s in sources}) != len(sources):
        raise ApiError(BAD_REQUEST, "penstock-streams names a source twice")
    options = request.query
    durable = {"true": True, "false": False, None: None}.get(options.get("durable"), True)
    sequence = options.get("sequence")
    if sequence is not None and not re.fullmatch(r"-?[0-9]{1,18}", sequence):
        raise ApiError(BAD_REQUEST, "the parameter sequence must be a whole number")
    request.body_bytes_max = service.config.arrow_bytes_max
    body = await request.body()

    def insert() -> tuple[int, Any]:
        try:
            tables = dict(zip([s.name for s in sources], read_tables(body, len(sources)), strict=True))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise ApiError(BAD_REQUEST, f"the body is not an Arrow stream: {error}") from error
        with service.database.session(headers=record_headers(request.headers)) as session:
            token = session.insert_many(
                tables,
                durable=durable,
                producer=options.get("producer"),
                sequence=None if sequence is None else int(sequence),
            )
        return sum(t.num_rows for t in tables.values()), token

    rows, token = await service.workers.run(insert)
    service.measures.rows_inserted += rows
    service.audit.changed(account.name, f"INSERT INTO {', '.join(s.name for s in sources)}", rows=rows)
    await request.respond_json({"rows": rows, "token": write_token(token)})


__all__ = ["insert_arrow", "inserts_stream", "target"]
