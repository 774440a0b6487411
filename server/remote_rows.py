"""Makes a push query on a server a `Subscription` here: a thread reads its Arrow stream into the local buffer."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from ..engine.results import Table
from ..engine.schema import Schema
from ..errors import ClientError, PenstockError
from ..runtime.batch import Batch
from ..runtime.subscriptions import Feed, Subscription
from ..storage.values.arrow_streams import from_arrow_stream
from .rowtexts import ERROR_KEY, SCHEMA_KEY
from .wire import column_of, error_of

_PAUSE_S = 0.01
"""The time in seconds between two checks of a slow reader's buffer.  While it is full, no more of the answer is read, so the
server waits."""


class _Chunks(io.RawIOBase):
    """A file object over the pieces of an answer, for Arrow's reader."""

    def __init__(self, pieces: Any) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def schema_of(sent: pa.Schema) -> tuple[Schema, Mapping[bytes, bytes]]:
    """The schema of an answer's rows, and the other metadata of its Arrow schema."""
    metadata: Mapping[bytes, bytes] = sent.metadata or {}
    return Schema(tuple(column_of(field) for field in json.loads(metadata[SCHEMA_KEY]))), metadata


def table_of(data: bytes) -> Table:
    """Read the answer to a pull query."""
    table = from_arrow_stream(data)
    table.validate(full=True)  # Arrow trusts what it reads: offsets beyond their buffer would crash the process
    schema, metadata = schema_of(table.schema)
    final = metadata.get(b"penstock.final_message")
    return Table(
        table.cast(schema.arrow()),
        schema,
        limit_reached=metadata.get(b"penstock.limit_reached") == b"true",
        final_message=None if final is None else final.decode(),
        rows_left_out=int(metadata.get(b"penstock.rows_left_out", 0)),
    )


def subscription_of(
    answer: Any, query_id: str, names: tuple[str, ...], limit: int | None, overflow: Literal["block", "drop"], opened: Any
) -> Subscription:
    """Make a subscription of an answer that is being received.

    Args:
        answer: the open response; the subscription closes it.
        opened: the reader of its Arrow stream, which has read the schema.
    """
    stop = threading.Event()

    def close() -> None:
        stop.set()
        _hang_up(answer)

    feed = Feed(limit=limit, overflow=overflow, on_close=close, on_abandon=stop.set)
    thread = threading.Thread(
        target=_read, args=(opened, answer, feed, stop, names), name="penstock-remote-rows", daemon=True
    )
    subscription = Subscription(names, feed, query_id=query_id)
    thread.start()
    return subscription


def _hang_up(answer: Any) -> None:
    """Shut down an answer's connection, so that the thread that waits for its next piece wakes and closes the answer."""
    stream = answer.extensions.get("network_stream")
    connection = None if stream is None else stream.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):  # it has ended already
            connection.shutdown(socket.SHUT_RDWR)


def _read(reader: Any, answer: Any, feed: Feed, stop: threading.Event, names: tuple[str, ...]) -> None:
    position = 0
    try:
        while not stop.is_set():
            while not feed.ready() and not stop.is_set() and not feed.finished and not feed.limit_reached:
                time.sleep(_PAUSE_S)
            if feed.limit_reached:
                break
            batch, metadata = reader.read_next_batch_with_custom_metadata()
            if metadata is not None and ERROR_KEY in metadata:
                raise error_of(json.loads(metadata[ERROR_KEY]))
            batch.validate(full=True)  # see `table_of`
            columns = tuple(batch.columns[2:])
            if len(columns) != len(names):
                raise ValueError(f"{len(columns)} columns instead of {len(names)}")
            schema = pa.schema(list(batch.schema)[2:])
            tombstones = np.asarray(batch.column(0).to_numpy(zero_copy_only=False), np.bool_)
            times = np.asarray(batch.column(1).to_numpy(), np.int64)
            positions = np.arange(position, position + len(times), dtype=np.int64)
            position += len(times)
            feed.receive(Batch(schema, 0, columns, times, positions, tombstones if tombstones.any() else None))
    except StopIteration:
        feed.end()
    except PenstockError as error:
        feed.fail(error)
    except Exception as error:
        if not stop.is_set():
            feed.fail(ClientError(f"the server ended the query's rows: {error}"))
    finally:
        answer.close()


def arrow_reader(pieces: Any) -> Any:
    """Make a reader of the Arrow stream in an answer's pieces.  Blocks until the schema has arrived."""
    return pa.ipc.open_stream(io.BufferedReader(_Chunks(pieces), 1 << 16))


__all__ = ["arrow_reader", "schema_of", "subscription_of", "table_of"]
