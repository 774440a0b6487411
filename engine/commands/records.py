"""Columns -> the records of a source: what INSERT VALUES and `Database.insert` write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...errors import ClientError, StatementError
from ...runtime.clients.records import raw_columns
from ...runtime.clock import now_ms
from ...runtime.host import Token
from ...runtime.source import all_null
from ...storage.log.protocol import Records, TopicConfig, Transaction
from ...storage.log.record import slice_records
from ..catalog import DataSource
from ..intake import columns_of
from ..serdes import Layout, Side, layout_of
from .context import Engine


def check_writable(source: DataSource) -> None:
    """Section 3, INSERT VALUES.  Raises: StatementError, for a source that rows cannot be written to."""
    if source.read_only:
        raise StatementError(f"{source.name} is read-only: it was made by CREATE SOURCE")
    if source.window is not None:
        raise StatementError(f"{source.name} is windowed, and rows cannot be inserted into windows")
    if any(c.role in ("HEADERS", "HEADER") for c in source.schema):
        raise StatementError(f"{source.name} has header columns, which cannot be written")


def to_records(engine: Engine, source: DataSource, columns: Mapping[str, Any], timestamps: npt.NDArray[np.int64]) -> Records:
    """Encode rows for a source's topic.

    Args:
        columns: Arrow arrays of the source's types, by name; missing ones are null.
        timestamps: int64[n] ms.

    Raises:
        StatementError: a row cannot be written in the source's formats.
    """
    n = len(timestamps)
    layout = _layout(engine, source)

    def arrays_of(side: Side) -> list[Any]:
        return [columns[name] if name in columns else pa.nulls(n, type_) for name, type_ in side.fields]

    keys = None
    if layout.key is not None and layout.key.serde is not None:
        arrays = arrays_of(layout.key)
        absent = None if any(not array.null_count for array in arrays) else all_null(tuple(arrays), 0, n)
        encoded = layout.key.serde.encode(arrays, layout.key.schema, absent)
        _refuse(encoded.malformed, source, "key")
        keys = encoded.data
    if layout.value.serde is None:
        values = _typed(engine, layout, columns, n)
    else:
        encoded = layout.value.serde.encode(arrays_of(layout.value), layout.value.schema, None)
        _refuse(encoded.malformed, source, "value")
        values = encoded.data
    return Records(keys, values, timestamps)


def _layout(engine: Engine, source: DataSource) -> Layout:
    """The source's layout, kept until the catalog has another source of this name."""
    known = engine.layouts.get(source.name)
    if known is None or known.source is not source:
        known = layout_of(source, engine.schemas)
        if known.lasting:
            engine.layouts[source.name] = known
    return known


def _typed(engine: Engine, layout: Layout, columns: Mapping[str, Any], n: int) -> Any:
    """The struct array of a typed topic, which may have more fields than this source."""
    config = engine.topic(layout.source.topic)
    if config is None:
        raise StatementError(f"there is no topic {layout.source.topic}")
    wanted: Any = config.value_type
    own = {name for name, _ in layout.value.fields}
    fields = list(wanted)
    arrays = [columns[f.name] if f.name in own and f.name in columns else pa.nulls(n, f.type) for f in fields]
    if not arrays:
        return pa.array([{}] * n, wanted)
    return pa.StructArray.from_arrays(arrays, fields=fields)


def _refuse(malformed: Any, source: DataSource, side: str) -> None:
    if malformed is not None and len(malformed.rows):
        format_ = source.key_format if side == "key" else source.value_format
        raise StatementError(
            f"row {int(malformed.rows[0]) + 1} cannot be written to {source.name}: its {side} does not fit "
            f"{format_.name}: {malformed.reasons[0]}"
        )


def from_python(engine: Engine, name: str, rows: Any) -> tuple[str, Records, None]:
    """Rows as `Database.insert` takes them -> topic, records, no partition in particular.

    Raises:
        StatementError: there is no such source, or a row does not fit it.
    """
    if not isinstance(name, str):
        raise StatementError(f"a stream or table is named by text, not {type(name).__name__}")
    target = engine.catalog.sources.get(name) or engine.catalog.source(name.upper())
    check_writable(target)
    now = now_ms()
    made = None
    if type(rows) is list and 0 < len(rows) <= _COMBINED_ROWS_MAX:
        made = engine.combiner.ask(target, (rows, now), partial(_made_together, engine, target))
    if made is None:
        made = _made(engine, target, *columns_of(rows, target, now))
    return target.topic, made, None


_COMBINED_ROWS_MAX = 16
"""Rows of one caller that are made into records together with those of others; more are worth the calls into Arrow."""


def _made(engine: Engine, target: DataSource, arrays: Mapping[str, Any], timestamps: npt.NDArray[np.int64]) -> Records:
    for column in target.schema.keys if target.kind == "TABLE" and len(timestamps) else ():
        if column.name not in arrays or arrays[column.name].null_count:
            raise StatementError(f"{target.name} is a table, and a row has no value for its key {column.name}")
    return to_records(engine, target, arrays, timestamps)


def _made_together(engine: Engine, target: DataSource, requests: Sequence[tuple[list[Any], int]]) -> list[Records]:
    """The records of several callers' rows.  Raises: StatementError, if not all of them are plain and right."""
    if len(requests) == 1:
        ((rows, at),) = requests
        return [_made(engine, target, *columns_of(rows, target, at))]
    counts = [len(rows) for rows, _ in requests]
    now = np.repeat(np.array([at for _, at in requests], np.int64), counts)
    arrays, timestamps = columns_of([row for rows, _ in requests for row in rows], target, now, exact=True)
    return _cut(_made(engine, target, arrays, timestamps), counts)


def _cut(records: Records, counts: Sequence[int]) -> list[Records]:
    ends = list(accumulate(counts))
    return [slice_records(records, end - count, end) for end, count in zip(ends, counts, strict=True)]


def raw(engine: Engine, topic: str, config: TopicConfig, key: Any, value: Any, timestamp: Any, headers: Any) -> Records:
    """One record as `Database.produce` takes it.

    Raises:
        StatementError: the topic cannot hold it.
    """
    made: Records | None = engine.combiner.ask(
        config, (key, value, timestamp, headers), partial(_raw_together, topic, config)
    )
    if made is not None:
        return made
    try:
        return raw_columns(topic, config, [key], [value], [timestamp], [headers])
    except ClientError as error:
        raise StatementError(str(error)) from error


def _raw_together(topic: str, config: TopicConfig, requests: Sequence[tuple[Any, Any, Any, Any]]) -> list[Records]:
    keys, values, timestamps, headers = zip(*requests, strict=True)
    return _cut(raw_columns(topic, config, keys, values, timestamps, headers), [1] * len(requests))


def write(
    engine: Engine,
    topic: str,
    records: Records,
    *,
    partition: int | None = None,
    durable: bool | None = None,
    also: Callable[[Transaction], None] | None = None,
    producer: str | None = None,
    sequence: int | None = None,
) -> Token:
    """Append records in a commit of their own: see `write_all`."""
    return write_all(engine, [(topic, records, partition)], durable=durable, also=also, producer=producer, sequence=sequence)


def write_all(
    engine: Engine,
    parts: Sequence[tuple[str, Records, int | None]],
    *,
    durable: bool | None = None,
    also: Callable[[Transaction], None] | None = None,
    producer: str | None = None,
    sequence: int | None = None,
) -> Token:
    """Append to any number of topics in one commit.

    Args:
        parts: topic, records, and the partition (None: that of each record's key).
        durable: return when it is on disk, or as soon as it is visible; None: as penstock.durability says.
        also: adds to the transaction what shall happen with it or not at all.
        producer, sequence: who writes, and a number that rises from write to write; a number that is not above the
            producer's last one is a retry, which writes nothing.

    Raises:
        StatementError: only one of producer and sequence is given.
        StorageError: the disk failed; nothing was written.
    """
    if (producer is None) != (sequence is None):
        raise StatementError("producer and sequence go together")
    if durable is None:
        durable = engine.settings["penstock.durability"] == "durable"
    topics = list(dict.fromkeys(topic for topic, _, _ in parts))
    engine.host.admit(topics)
    transaction = engine.log.transaction()
    for topic, records, partition in parts:
        transaction.append(topic, records, partition)
    if also is not None:
        also(transaction)
    if producer is None or sequence is None:
        return Token.of(transaction.commit(durable))
    transaction.set_sequence(producer, sequence)
    commit = transaction.commit(durable)
    if commit.ends:
        return Token.of(commit)
    # A retry: the first attempt lies somewhere before the present ends.
    known = engine.log.topics()
    places = [(topic, number) for topic in topics for number in range(known[topic].partitions)]
    return Token(dict(engine.log.end_offsets(places)[1]))
