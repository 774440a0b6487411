"""Reads the records of a source one by one, with all of their columns, for ASSERT VALUES."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...runtime.dataflow import Source
from ...runtime.source import decode, to_batch
from ...storage.log.protocol import FetchedRecords
from ..catalog import DataSource
from ..serdes import key_schema, serdes_of, value_schema
from .context import Context


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """A record of a source's topic.

    Attributes:
        keys: the key columns; all None for a null key.
        values: all columns by name, with ROWTIME, ROWPARTITION, ROWOFFSET and window bounds; None for a tombstone.
        timestamp: of the record, in milliseconds.
        arrival: the record's place in the log's order over all topics.
        problem: why the record cannot be decoded; then there are no values.
    """

    keys: Mapping[str, Any]
    values: Mapping[str, Any] | None
    timestamp: int
    partition: int
    offset: int
    arrival: int
    problem: str | None = None


def next_record(context: Context, source: DataSource, after: int) -> SourceRecord | None:
    """The first record of a source's topic, over all partitions, that arrived after the place ``after``; None if there is
    none.
    """
    reader = _reader(context, source)
    found: SourceRecord | None = None
    for partition in range(context.log.topics()[source.topic].partitions):
        for records, row in _rows_after(context, source.topic, partition, after):
            if found is None or int(records.arrivals[row]) < found.arrival:
                found = _record(reader, source, records, row, partition)
            break
    return found


def _rows_after(context: Context, topic: str, partition: int, after: int) -> Iterator[tuple[FetchedRecords, int]]:
    for records in context.log.scan(topic, partition, context.log.start_offset(topic, partition)):
        first = int(np.searchsorted(records.arrivals, after, side="right"))
        for row in range(first, len(records)):
            yield records, row


def _reader(context: Context, source: DataSource) -> Source:
    key_serde, value_serde = serdes_of(source, context.schemas)
    extras = [("ROWTIME", "ROWTIME"), ("ROWPARTITION", "ROWPARTITION"), ("ROWOFFSET", "ROWOFFSET")]
    if source.window is not None:
        extras += [("WINDOWSTART", "WINDOWSTART"), ("WINDOWEND", "WINDOWEND")]
    for column in source.schema:
        if column.role in ("HEADERS", "HEADER"):
            extras.append((column.name, "HEADERS" if column.role == "HEADERS" else f"HEADER:{column.header}"))
    return Source(
        "assert",
        source.topic,
        False,
        key_serde,
        key_schema(source.schema),
        value_serde,
        value_schema(source.schema),
        tuple(extras),
        window=None if source.window is None else source.window.type,
        window_size_ms=None if source.window is None else source.window.size_ms,
    )


def _record(reader: Source, source: DataSource, records: FetchedRecords, row: int, partition: int) -> SourceRecord:
    chunk = decode(reader, records)
    batch, bad = to_batch(reader, partition, chunk, row, row + 1, np.zeros(1, np.int64))
    place = (int(records.timestamps[row]), partition, int(records.offsets[row]), int(records.arrivals[row]))
    if bad is not None:
        return SourceRecord({}, None, *place, problem=f"its {bad.sides[0]} cannot be read: {bad.reasons[0]}")
    values = {field.name: column[0].as_py() for field, column in zip(batch.schema, batch.columns, strict=True)}
    keys = {c.name: values[c.name] for c in source.schema.keys}
    return SourceRecord(keys, None if batch.tombstone_mask()[0] else values, *place)


__all__ = ["SourceRecord", "next_record"]
