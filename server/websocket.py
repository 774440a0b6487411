"""``/ws/query``: sends a query's rows over a WebSocket, one text frame per row."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

from .accounts import Account
from .http import Receive, Scope, Send, json_object, until_disconnect
from .problems import BAD_REQUEST, COMMAND_TIMED_OUT, ApiError
from .push import PrintReader, PushReader
from .queries import Queries, StartedQuery, print_lines, schema_of
from .service import Service
from .statements import sql_request
from .values import encode, field_json, row_texts

_DONE, _BAD, _FAILED, _BEHIND = 1000, 1003, 1011, 1013
_REASON_BYTES_MAX = 123
"""The longest reason in a close frame, in bytes."""


async def answer(service: Service, queries: Queries, scope: Scope, receive: Receive, send: Send, account: Account) -> None:
    """Serve one WebSocket from its opening to its end."""
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    started = False
    opened: StartedQuery | None = None
    try:
        parameters = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        if "request" not in parameters:
            raise ApiError(BAD_REQUEST, "the parameter request is missing")
        body = json_object(parameters["request"].encode())
        asked = sql_request(body, service.config.statement_chars_max)
        opened = await queries.open(asked, account)
        started = True
        gone = asyncio.ensure_future(until_disconnect(receive))
        sending = asyncio.ensure_future(_send_rows(service, opened, send, account, asked.sql))
        try:
            await asyncio.wait([gone, sending], return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                return
            await sending
        finally:
            for task in (gone, sending):
                task.cancel()
                with suppress(asyncio.CancelledError, ApiError):
                    await task
        await _text(send, {"error": "done"})
        await _close(send, _DONE, "done")
    except ApiError as error:
        await _text(send, {"error": error.message})
        code = _BEHIND if error.code == COMMAND_TIMED_OUT else _FAILED if started or error.status >= 500 else _BAD
        await _close(send, code, error.message)
    finally:
        if opened is not None:
            opened.session.close()


async def _send_rows(service: Service, opened: StartedQuery, send: Send, account: Account, sql: str) -> None:
    if opened.printed is not None:
        query_id = f"print_{id(opened)}"
        service.opened(query_id, PrintReader(opened.printed, account.name))
        try:
            async for line in print_lines(opened.printed):
                await _text(send, line)
        finally:
            service.ended(query_id)
        return
    if opened.table is not None:
        schema = schema_of(opened.table)
        await _text(send, [field_json(c) for c in schema])
        for text in row_texts(opened.table.arrow().columns, [c.type for c in schema]):
            await _row(send, text, tombstone=False)
        return
    assert opened.push is not None
    push = opened.push
    query_id = push.query_id or ""
    reader = PushReader(push.subscription, push.schema, query_id, account.name)
    service.opened(query_id, reader, sql)
    try:
        await _text(send, [field_json(c) for c in push.schema])
        types = [c.type for c in push.schema]
        while (rows := await reader.next()) is not None:
            texts = row_texts(rows.batch.columns.columns, types)
            for text, gone in zip(texts, rows.batch.tombstones.tolist(), strict=True):
                await _row(send, text, tombstone=gone)
            service.measures.rows_pushed += len(rows)
    finally:
        service.ended(query_id)
        reader.close()


async def _row(send: Send, text: bytes, *, tombstone: bool) -> None:
    end = ',"tombstone":true}}' if tombstone else "}}"
    await send({"type": "websocket.send", "text": '{"row":{"columns":' + text.decode() + end})


async def _text(send: Send, value: Any) -> None:
    await send({"type": "websocket.send", "text": encode(value).decode()})


async def _close(send: Send, code: int, reason: str) -> None:
    cut = reason.encode()[:_REASON_BYTES_MAX].decode(errors="ignore")
    await send({"type": "websocket.close", "code": code, "reason": cut})


__all__ = ["answer"]
