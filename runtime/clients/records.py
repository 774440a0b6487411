"""Converts records between Python values and the log's columns."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from ...errors import ClientError
from ...limits import TIMESTAMP_MS_MAX
from ...storage.log.protocol import HEADERS, FetchedRecords, Int64s, Records, TopicConfig
from ..batch import python_values

__all__ = ["ConsumedBatch", "Headers", "RawRecord", "raw_columns", "records_of_columns", "split", "to_python"]

Headers = Sequence[tuple[str, bytes | None]]


class RawRecord(NamedTuple):
    """A record as the log stores it: ``value`` is bytes, or a dict for typed topics; headers are (name, bytes) pairs."""

    key: bytes | None
    value: Any
    timestamp: int
    headers: tuple[tuple[str, bytes | None], ...]
    partition: int
    offset: int
    topic: str


@dataclass(frozen=True, slots=True)
class ConsumedBatch:
    """Records of one partition, as the log's columns (not copied).

    Attributes:
        records: n records; see `FetchedRecords`.
    """

    topic: str
    partition: int
    records: FetchedRecords

    def __len__(self) -> int:
        return len(self.records)

    def arrow(self) -> Any:
        """A `pyarrow.RecordBatch` of ``key`` (binary), ``value`` (binary or struct), ``timestamp`` (int64, ms), ``offset``
        (int64) and ``headers`` (a list of KEY, VALUE)."""
        found, n = self.records, len(self.records)
        keys = pa.nulls(n, pa.binary()) if found.keys is None else found.keys
        headers = pa.nulls(n, HEADERS) if found.headers is None else found.headers
        columns = [keys, found.values, pa.array(found.timestamps), pa.array(found.offsets), headers]
        return pa.RecordBatch.from_arrays(columns, ["key", "value", "timestamp", "offset", "headers"])


def to_python(topic: str, partition: int, found: FetchedRecords) -> list[RawRecord]:
    """Convert records that were read to Python values, one by one."""
    n = len(found)
    keys = [None] * n if found.keys is None else found.keys.to_pylist()
    values = python_values(found.values)
    timestamps, offsets = found.timestamps.tolist(), found.offsets.tolist()
    if found.headers is None:
        return [
            RawRecord(key, value, timestamp, (), partition, offset, topic)
            for key, value, timestamp, offset in zip(keys, values, timestamps, offsets, strict=True)
        ]
    headers = [tuple((h["KEY"], h["VALUE"]) for h in pairs or ()) for pairs in found.headers.to_pylist()]
    return [
        RawRecord(key, value, timestamp, pairs, partition, offset, topic)
        for key, value, timestamp, pairs, offset in zip(keys, values, timestamps, headers, offsets, strict=True)
    ]


def raw_columns(
    topic: str,
    config: TopicConfig,
    keys: Sequence[Any],
    values: Sequence[Any],
    timestamps: Sequence[Any],
    headers: Sequence[Headers],
) -> Records:
    """Convert Python values to records for a topic.

    Args:
        values: bytes, or dicts for a topic of typed values; None is a tombstone.
        timestamps: whole numbers, ms since the epoch.

    Raises:
        ClientError: the topic cannot hold one of them.
    """
    if config.value_type is not None:
        names = {field.name for field in config.value_type}
        for value in values:
            if isinstance(value, Mapping) and not value.keys() <= names:
                unknown = ", ".join(sorted(str(name) for name in value.keys() - names))
                raise ClientError(f"the topic {topic} holds values of {', '.join(sorted(names))}, not {unknown}")
    try:
        arrays = None if all(key is None for key in keys) else pa.array(keys, pa.binary())
        made = pa.array(values, pa.binary() if config.value_type is None else config.value_type)
        stamps = np.array([operator.index(stamp) for stamp in timestamps], np.int64)
        extra = None
        if any(headers):
            extra = pa.array([[{"KEY": k, "VALUE": v} for k, v in pairs] if pairs else None for pairs in headers], HEADERS)
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise ClientError(f"the topic {topic} cannot hold this record: {error}") from error
    if (stamps < 0).any():
        raise ClientError(f"the timestamp of a record cannot be negative: {int(stamps.min())}")
    _check_latest(stamps)
    return Records(arrays, made, stamps, extra)


def records_of_columns(topic: str, config: TopicConfig, rows: Any, now_ms: int) -> Records:
    """Convert many records at once, from an Arrow table (or what has ``__arrow_c_stream__``) or from dicts.

    Args:
        rows: columns (or items) ``key``, ``value``, ``timestamp``, ``headers``, all but the value optional.  For a topic of
            typed values the columns of an Arrow table may also be the value's fields themselves.
        now_ms: the timestamp of records without one.

    Raises:
        ClientError: the topic cannot hold them.
    """
    if hasattr(rows, "__arrow_c_stream__") or hasattr(rows, "__arrow_c_array__"):
        return _of_table(topic, config, rows, now_ms)
    if not isinstance(rows, Iterable) or isinstance(rows, str | bytes | Mapping):
        raise ClientError(f"records cannot be taken from a {type(rows).__name__}: give a list of dicts or an Arrow table")
    dicts = list(rows)
    for row in dicts:
        if not isinstance(row, Mapping):
            raise ClientError(f"a record must be a dict, not {type(row).__name__}")
        unknown = sorted(str(name) for name in row if name not in _NAMES)
        if unknown:
            raise ClientError(f"a record has no {unknown[0]!r}; it has {', '.join(_NAMES)}")
    return raw_columns(
        topic,
        config,
        [row.get("key") for row in dicts],
        [row.get("value") for row in dicts],
        [now_ms if row.get("timestamp") is None else row["timestamp"] for row in dicts],
        [row.get("headers") or () for row in dicts],
    )


_NAMES = ("key", "value", "timestamp", "headers")


def split(records: Records, chosen: Any, partitions: int) -> list[tuple[int, Records, Int64s]]:
    """Split records by partition; each part has its rows' numbers, ascending.

    Args:
        records: columns are Arrow arrays.
        chosen: int32[n], the partition of each.
    """
    n = len(records)
    if n and (chosen == chosen[0]).all():
        return [(int(chosen[0]), records, np.arange(n))]
    order = np.argsort(chosen, kind="stable")
    bounds = np.searchsorted(chosen[order], np.arange(partitions + 1))
    parts = []
    for number in range(partitions):
        rows = order[bounds[number] : bounds[number + 1]]
        if len(rows):
            index = pa.array(rows)
            keys = None if records.keys is None else records.keys.take(index)
            headers = None if records.headers is None else records.headers.take(index)
            parts.append((number, Records(keys, records.values.take(index), records.timestamps[rows], headers), rows))
    return parts


def _of_table(topic: str, config: TopicConfig, rows: Any, now_ms: int) -> Records:
    try:
        table = pa.table(rows) if hasattr(rows, "__arrow_c_stream__") else pa.Table.from_batches([pa.record_batch(rows)])
        table = table.combine_chunks()
        names = set(table.column_names)
        keys = _column(table, "key", pa.binary()) if "key" in names else None
        headers = _column(table, "headers", HEADERS) if "headers" in names else None
        stamps = _stamps(table, now_ms)
        wanted = config.value_type
        if "value" in names and (wanted is None or wanted.get_field_index("value") < 0):
            unknown = names - set(_NAMES)
            values = _column(table, "value", pa.binary() if wanted is None else wanted)
        elif wanted is None:
            raise ClientError(f"records for the topic {topic} need a column 'value'")
        else:
            unknown = names - set(_NAMES) - {field.name for field in wanted}
            columns = [
                _column(table, f.name, f.type) if f.name in names else pa.nulls(table.num_rows, f.type) for f in wanted
            ]
            values = pa.StructArray.from_arrays(columns, fields=[f.with_nullable(True) for f in wanted])
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise ClientError(f"the topic {topic} cannot hold these records: {error}") from error
    if unknown:
        raise ClientError(f"the topic {topic} has no place for the column {min(unknown)!r}")
    return Records(keys, values, stamps, headers)


def _column(table: Any, name: str, wanted: Any) -> Any:
    column = table.column(name)
    array = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])
    return array if array.type == wanted else array.cast(wanted)


def _stamps(table: Any, now_ms: int) -> Int64s:
    if "timestamp" not in table.column_names:
        return np.full(table.num_rows, now_ms, np.int64)
    column = table.column("timestamp")
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ms"), safe=False)
    stamps = np.asarray(column.cast(pa.int64()).fill_null(now_ms).to_numpy(), np.int64)
    if len(stamps) and int(stamps.min()) < 0:
        raise ClientError(f"the timestamp of a record cannot be negative: {int(stamps.min())}")
    _check_latest(stamps)
    return stamps


def _check_latest(stamps: Int64s) -> None:
    """Check timestamps.  Raises: ClientError, for one after the latest that a record can have."""
    if len(stamps) and int(stamps.max()) > TIMESTAMP_MS_MAX:
        raise ClientError(f"the timestamp of a record cannot be above {TIMESTAMP_MS_MAX}: {int(stamps.max())}")
