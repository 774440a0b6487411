"""Encodes batches to records and adds them to the step's transaction.

Rows go to the partition of their key: murmur2 over the key bytes, for windowed keys over the bytes without the window, as in
Kafka Streams.  Rows without a key stay in the partition of the task that made them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from ..errors import StorageError
from ..kernels.booleans import booleans
from ..kernels.gathering import take
from ..kernels.merging import merge, merge_queues, scatter
from ..kernels.texts import with_tails
from ..storage.log.partitioner import place
from ..storage.log.protocol import HEADERS, Log, Records, Transaction
from .batch import Batch, Bools, Int64s
from .dataflow import UNDO_HEADER, Sink
from .source import all_null

ReportUnwritten = Callable[[str, Int64s, tuple[str, ...], Batch], None]
"""``report(side, rows, reasons, batch)`` is called with rows that could not be written; ``side`` is "key" or "value"."""


@dataclass(frozen=True, slots=True)
class _Encoded:
    """The records of one task, their positions, and one partition for all of them or one for each."""

    records: Records
    positions: Int64s
    targets: int | Int64s


def _by_partition(parts: Sequence[_Encoded]) -> list[tuple[int, Records, Int64s]]:
    """The records for each partition in the order of their positions, with their ranks among all records."""
    positions = [e.positions for e in parts]
    ranks, _ = merge_queues(positions, positions, [False] * len(parts), sum(map(len, positions)))
    pieces: dict[int, list[tuple[Records, Int64s]]] = {}
    for one, own in zip(parts, ranks, strict=True):
        if isinstance(one.targets, int):
            pieces.setdefault(one.targets, []).append((one.records, own))
            continue
        for target, rows in enumerate(scatter(one.targets, int(one.targets.max()) + 1)):
            if len(rows):
                pieces.setdefault(target, []).append((_taken(one.records, rows), own[rows]))
    return [(target, *_merged(found)) for target, found in sorted(pieces.items())]


def _merged(parts: Sequence[tuple[Records, Int64s]]) -> tuple[Records, Int64s]:
    """Merge the records of several parts by rank."""
    if len(parts) == 1:
        return parts[0]
    records = Records(
        _concatenated([r.keys for r, _ in parts], parts),
        _concatenated([r.values for r, _ in parts], parts),
        np.concatenate([r.timestamps for r, _ in parts]),
        _concatenated([r.headers for r, _ in parts], parts),
    )
    ranks = np.concatenate([ranks for _, ranks in parts])
    order = merge([ranks for _, ranks in parts])
    return _taken(records, order), ranks[order]


def _concatenated(arrays: Sequence[Any], parts: Sequence[tuple[Records, Int64s]]) -> Any | None:
    kind = next((a.type for a in arrays if a is not None), None)
    if kind is None:
        return None
    return pa.concat_arrays([pa.nulls(len(r), kind) if a is None else a for a, (r, _) in zip(arrays, parts)])


def _taken(records: Records, rows: Int64s) -> Records:
    return Records(
        None if records.keys is None else take(records.keys, rows),
        take(records.values, rows),
        records.timestamps[rows],
        None if records.headers is None else take(records.headers, rows),
    )


@dataclass(slots=True)
class SinkWriter:
    """Writes the batches of one sink.  ``rows_out`` counts the rows written (or, without a topic, discarded)."""

    sink: Sink
    log: Log
    partitions: int
    rows_out: int = 0

    def write(self, transaction: Transaction, parts: Sequence[tuple[Batch, int]], report: ReportUnwritten) -> None:
        """Encode and append the output of the tasks: for each a batch and the task's partition.

        The records of all tasks are appended in the order of their positions, whatever their partitions, so the result does
        not depend on how the input was cut into steps.  Rows that cannot be encoded are skipped and reported.
        """
        parts = [(batch, partition) for batch, partition in parts if len(batch)]
        if self.sink.topic is None:
            self.rows_out += sum(len(batch) for batch, _ in parts)
            return
        if self.sink.window_store:
            parts = [(batch.filter(~all_null(batch.keys, 0, len(batch))), partition) for batch, partition in parts]
        encoded = [e for e in (self._encode(batch, partition, report) for batch, partition in parts) if len(e.records)]
        self.rows_out += sum(len(e.records) for e in encoded)
        if self.sink.window_store and encoded:
            placed = [(target, self._numbered(records, target), ranks) for target, records, ranks in _by_partition(encoded)]
            transaction.append_ranked(self.sink.topic, placed)
        elif len(encoded) == 1 and isinstance(encoded[0].targets, int):
            transaction.append(self.sink.topic, encoded[0].records, encoded[0].targets)
        elif encoded:
            transaction.append_ranked(self.sink.topic, _by_partition(encoded))

    def _numbered(self, records: Records, partition: int) -> Records:
        """Records with the keys of a window store.  Their numbers continue from the partition's end, to which only this
        query writes, so a crash does not change them.
        """
        assert self.sink.topic is not None
        count = len(records)
        tails = np.zeros(count, np.dtype([("time", ">i8"), ("number", ">u4")]))
        tails["time"] = records.timestamps
        first = self.log.end_offset(self.sink.topic, partition)
        tails["number"] = (first + np.arange(count, dtype=np.int64)) & 0x7FFFFFFF
        return replace(records, keys=_with_tails(records.keys, tails))

    def _as_topic(self, columns: list[Any], fields: list[Any], length: int) -> tuple[list[Any], list[Any]]:
        """The columns of the topic; null for those that the query has not got, which may have replaced one with others."""
        assert self.sink.topic is not None
        config = self.log.config(self.sink.topic)
        if config is None:
            raise StorageError(f"there is no topic {self.sink.topic!r}")
        have = {f.name: c for f, c in zip(fields, columns, strict=True)}
        wanted = list(config.value_type or ())
        return [have[f.name] if f.name in have else pa.nulls(length, f.type) for f in wanted], wanted

    def _encode(self, batch: Batch, partition: int, report: ReportUnwritten) -> _Encoded:
        keep = np.ones(len(batch), np.bool_)
        if self.sink.timestamp is not None:
            batch, keep = self._stamp(batch, keep, report)
        keys, plain_keys = self._keys(batch, keep, report)
        values = self._values(batch, keep, report)
        headers, timestamps, positions = batch.headers, batch.timestamps, batch.positions
        if batch.undo is not None:
            headers = _with_undo(headers, batch.undo)
        if not keep.all():
            mask = pa.array(keep)
            keys = None if keys is None else keys.filter(mask)
            plain_keys = None if plain_keys is None else plain_keys.filter(mask)
            values = values.filter(mask)
            headers = None if headers is None else headers.filter(mask)
            timestamps, positions = timestamps[keep], positions[keep]
        return _Encoded(Records(keys, values, timestamps, headers), positions, self._targets(plain_keys, partition))

    def _targets(self, plain_keys: Any | None, partition: int) -> int | Int64s:
        """The partition of all rows, or of each."""
        home = partition % self.partitions
        if self.partitions == 1 or plain_keys is None or not len(plain_keys):
            return home
        placed = place(plain_keys, len(plain_keys), self.partitions, home, hashed=self.log.partitions_of)
        return int(placed[0]) if (placed == placed[0]).all() else np.asarray(placed, np.int64)

    def _stamp(self, batch: Batch, keep: Bools, report: ReportUnwritten) -> tuple[Batch, Bools]:
        """Take the record timestamps from the sink's TIMESTAMP column; a row with a bad one is skipped."""
        assert self.sink.timestamp is not None
        values, failures = self.sink.timestamp(batch.columns, len(batch))
        reasons = {} if failures is None else dict(zip(failures.rows.tolist(), failures.reasons))
        missing = booleans(values.is_null())
        stamps = np.asarray(values.fill_null(0).to_numpy(zero_copy_only=False), np.int64)
        gone = batch.tombstone_mask()
        stamps = np.where(gone, batch.timestamps, stamps)
        wrong = (missing | (stamps < 0)) & ~gone
        if wrong.any():
            rows = np.nonzero(wrong)[0].astype(np.int64)
            texts = tuple(reasons.get(int(r), "the sink's timestamp column is null or negative") for r in rows)
            report("value", rows, texts, batch)
            keep = keep & ~wrong
        columns = batch
        return (
            Batch(
                columns.schema,
                columns.key_count,
                columns.columns,
                stamps,
                columns.positions,
                columns.tombstones,
                window_starts=columns.window_starts,
                window_ends=columns.window_ends,
                headers=columns.headers,
            ),
            keep,
        )

    def _keys(self, batch: Batch, keep: Bools, report: ReportUnwritten) -> tuple[Any | None, Any | None]:
        """The key bytes as written, and without the window (both None for a keyless sink)."""
        if self.sink.key_serde is None or batch.key_count == 0:
            return None, None
        schema = pa.schema(list(batch.schema)[: batch.key_count])
        absent = all_null(batch.keys, 0, len(batch)) if not self.sink.nulls_are_a_key else np.zeros(len(batch), np.bool_)
        encoded = self.sink.key_serde.encode(batch.keys, schema, absent if absent.any() else None)
        if encoded.malformed is not None:
            report("key", encoded.malformed.rows, encoded.malformed.reasons, batch)
            keep[encoded.malformed.rows] = False
        plain = encoded.data
        if self.sink.window is None or batch.window_starts is None:
            return plain, plain
        assert batch.window_ends is not None
        bounds = batch.window_starts.reshape(-1, 1)
        if self.sink.window == "SESSION":
            bounds = np.stack([batch.window_ends, batch.window_starts], axis=1)
        return _with_tails(plain, np.ascontiguousarray(bounds, ">i8")), plain

    def _values(self, batch: Batch, keep: Bools, report: ReportUnwritten) -> Any:
        fields = list(batch.schema)[batch.key_count :]
        if self.sink.value_serde is None:
            mask = None if batch.tombstones is None else pa.array(batch.tombstones)
            columns = list(batch.values)
            if self.sink.moves:
                columns, fields = self._as_topic(columns, fields, len(batch))
            return pa.StructArray.from_arrays(columns, fields=fields, mask=mask)
        absent = batch.tombstones if fields else batch.tombstone_mask()  # without columns, it says how many rows there are
        encoded = self.sink.value_serde.encode(batch.values, pa.schema(fields), absent)
        if encoded.malformed is not None:
            report("value", encoded.malformed.rows, encoded.malformed.reasons, batch)
            keep[encoded.malformed.rows] = False
        return encoded.data


def _with_tails(keys: Any, tails: Any) -> Any:
    """Append to each of n binary keys the bytes of its row of a NumPy array; null keys stay null."""
    return with_tails(keys, tails.reshape(len(tails), -1).view(np.uint8)) if len(tails) else keys


def _with_undo(headers: Any | None, undo: Bools) -> Any:
    """Add `UNDO_HEADER` to the headers of undo rows."""
    given = [[]] * len(undo) if headers is None else [h or [] for h in headers.to_pylist()]
    mark = {"KEY": UNDO_HEADER, "VALUE": b""}
    return pa.array([[*own, mark] if back else own for own, back in zip(given, undo.tolist(), strict=True)], HEADERS)
