"""Messages of Kafka's client as `FetchedRecords`, and the timestamps that its client cannot send.

librdkafka takes a timestamp of 0 for "now", and brokers refuse negative ones.  Such records are sent with the timestamp
1 and their own one in the header `TIMESTAMP_HEADER`, which is not shown to readers of the log.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from ..protocol import HEADERS, FetchedRecords

__all__ = ["TIMESTAMP_HEADER", "cut", "joined", "record_bytes", "records_of", "without"]

TIMESTAMP_HEADER = "penstock.timestamp"
_NUMBER = re.compile(rb"-?[0-9]{1,18}")
"""What the log writes into it; whoever else uses that name keeps the header."""


def records_of(messages: Sequence[Any]) -> FetchedRecords:
    """Messages of one partition, none of them an error, in the order of their offsets."""
    offsets = np.fromiter((m.offset() for m in messages), np.int64, len(messages))
    stamps = np.fromiter((m.timestamp()[1] for m in messages), np.int64, len(messages))
    keys = pa.array([m.key() for m in messages], pa.binary())
    values = pa.array([m.value() for m in messages], pa.binary())
    headers: Any = None
    heads = [m.headers() for m in messages]
    if any(heads):
        listed: list[Any] = []
        for row, found in enumerate(heads):
            kept = []
            for name, value in found or ():
                if name == TIMESTAMP_HEADER and value is not None and _NUMBER.fullmatch(value):
                    stamps[row] = int(value)
                else:
                    kept.append({"KEY": name, "VALUE": value})
            listed.append(kept)
        if any(listed):
            headers = pa.array(listed, HEADERS)
    return FetchedRecords(
        None if keys.null_count == len(keys) else keys,
        values,
        stamps,
        headers,
        offsets,
        offsets,
        int(offsets[-1]),
        int(offsets[-1]) + 1,
    )


def record_bytes(records: FetchedRecords) -> np.ndarray[Any, Any]:
    """int64[n]: what each record's key and value take."""
    sizes = np.zeros(len(records), np.int64)
    for column in (records.keys, records.values):
        if column is not None:
            ends = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
            sizes += np.diff(ends)
    return sizes


def cut(records: FetchedRecords, start: int, stop: int) -> FetchedRecords:
    """Rows ``start`` to ``stop``; not copied."""
    if start == 0 and stop == len(records):
        return records
    window = slice(start, stop)
    following = records.next_offset if stop == len(records) else int(records.offsets[stop])
    return replace(
        records,
        keys=None if records.keys is None else records.keys[window],
        values=records.values[window],
        timestamps=records.timestamps[window],
        headers=None if records.headers is None else records.headers[window],
        offsets=records.offsets[window],
        arrivals=records.arrivals[window],
        next_offset=following,
    )


def without(offset: int) -> FetchedRecords:
    """No records; reading goes on at ``offset``."""
    nothing = np.zeros(0, np.int64)
    return FetchedRecords(None, pa.array([], pa.binary()), nothing, None, nothing, nothing, 0, offset)


def joined(pieces: Sequence[FetchedRecords]) -> FetchedRecords:
    """Pieces that follow each other, as one."""
    if len(pieces) == 1:
        return pieces[0]

    def column(name: str, kind: Any) -> Any:
        parts = [getattr(p, name) for p in pieces]
        if all(part is None for part in parts):
            return None
        return pa.concat_arrays([pa.nulls(len(p), kind) if c is None else c for p, c in zip(pieces, parts, strict=True)])

    offsets = np.concatenate([p.offsets for p in pieces])
    return FetchedRecords(
        column("keys", pa.binary()),
        column("values", pa.binary()),
        np.concatenate([p.timestamps for p in pieces]),
        column("headers", HEADERS),
        offsets,
        offsets,
        pieces[-1].epoch,
        pieces[-1].next_offset,
    )
