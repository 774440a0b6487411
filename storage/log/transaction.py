"""A transaction on the log: gathers in memory, encodes in its own thread, and hands over to the `Committer`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ...errors import InternalError, StorageError
from .partitioner import partitions_of
from .protocol import Commit, Compression, Int64s, Records, TopicConfig, TopicPartition
from .record import PreparedFrame, concat_records, encode_frames, normalise, take_records, widen

if TYPE_CHECKING:
    from .local import LocalLog

__all__ = ["LocalTransaction", "Prepared"]


@dataclass(slots=True)
class _Part:
    records: Records
    arrivals: Int64s  # from the transaction's first record on


@dataclass(slots=True)
class Prepared:
    """What goes to one partition, as frames for one value type."""

    topic: str
    topic_id: int
    partition: int
    partitions: int  # of the topic, when its keys were placed
    value_type: Any | None
    records: Records
    arrivals: Int64s
    compression: Compression
    frames: list[PreparedFrame]

    def encode(self, value_type: Any) -> None:
        """Make the frames; again, with null fields added, if the topic's type has grown meanwhile."""
        if self.frames and value_type == self.value_type:
            return
        if value_type != self.value_type:
            values = widen(self.records.values, value_type)
            self.records = Records(self.records.keys, values, self.records.timestamps, self.records.headers)
            self.value_type = value_type
        self.frames = encode_frames(self.records, self.arrivals, value_type, compression=self.compression)


class LocalTransaction:
    """See `protocol.Transaction`."""

    def __init__(self, log: LocalLog) -> None:
        self._log = log
        self._parts: dict[tuple[str, int], list[_Part]] = {}
        self._topic_ids: dict[str, int] = {}
        self._counts: dict[str, int] = {}
        self._open = True
        self.rows = 0
        self.positions: dict[str, dict[TopicPartition, int]] = {}
        self.sequences: dict[str, int] = {}
        self.producer: tuple[str, int, Mapping[TopicPartition, int]] | None = None
        self._compression: Compression = "none"
        self.prepared: list[Prepared] = []

    def append(self, topic: str, records: Records, partition: int | None = None) -> None:
        """See `protocol.Transaction.append`."""
        config = self._config(topic, partition)
        count = config.partitions
        records = normalise(records, config.value_type)
        n = len(records)
        if n == 0:
            return
        arrivals = np.arange(self.rows, self.rows + n)
        self.rows += n
        if partition is None and count == 1:
            partition = 0
        if partition is not None:
            self._parts.setdefault((topic, partition), []).append(_Part(records, arrivals))
            return
        chosen = self._place(topic, records, count)
        order = np.argsort(chosen, kind="stable")
        placed = chosen[order]
        starts = np.flatnonzero(np.diff(placed, prepend=-1))  # only of partitions that get some: there may be thousands
        for rows in np.split(order, starts[1:]):
            number = int(chosen[rows[0]])
            if len(rows) == n:
                self._parts.setdefault((topic, number), []).append(_Part(records, arrivals))
            else:
                self._parts.setdefault((topic, number), []).append(_Part(take_records(records, rows), arrivals[rows]))

    def append_ranked(self, topic: str, parts: Sequence[tuple[int, Records, Int64s]]) -> None:
        """See `protocol.Transaction.append_ranked`."""
        first = self.rows
        for partition, records, ranks in parts:
            records = normalise(records, self._config(topic, partition).value_type)
            if len(records):
                self._parts.setdefault((topic, partition), []).append(_Part(records, first + ranks))
                self.rows += len(records)

    def _config(self, topic: str, partition: int | None) -> TopicConfig:
        self._check_open()
        known = self._log.topic(topic)
        count = known.config.partitions
        if partition is not None and not 0 <= partition < count:
            raise StorageError(f"the topic {topic!r} has the partitions 0 to {count - 1}, not {partition}")
        if self._topic_ids.setdefault(topic, known.id) != known.id:
            raise StorageError(f"the topic {topic!r} was deleted and created again during a transaction")
        if self._counts.setdefault(topic, count) != count:
            raise StorageError(f"the topic {topic!r} got partitions during a transaction", action="try it again")
        return known.config

    def _place(self, topic: str, records: Records, count: int) -> Any:
        if records.keys is None:
            chosen = np.full(len(records), -1, np.int32)
        else:
            chosen = partitions_of(records.keys, count)
        unkeyed = np.flatnonzero(chosen < 0)
        if len(unkeyed):
            turn = self._log.next_turn(topic, len(unkeyed))
            chosen[unkeyed] = (turn + np.arange(len(unkeyed))) % count
        return chosen

    def set_positions(self, group: str, positions: Mapping[TopicPartition, int]) -> None:
        """See `protocol.Transaction.set_positions`."""
        self._check_open()
        self.positions.setdefault(group, {}).update(positions)

    def set_sequence(self, producer_id: str, sequence: int) -> None:
        """See `protocol.Transaction.set_sequence`."""
        self._check_open()
        self.sequences[producer_id] = sequence

    def set_producer(self, producer_id: str, epoch: int, sequences: Mapping[TopicPartition, int] | None = None) -> None:
        """See `protocol.Transaction.set_producer`."""
        self._check_open()
        self.producer = (producer_id, epoch, sequences or {})

    def set_compression(self, compression: Compression) -> None:
        """See `protocol.Transaction.set_compression`."""
        self._check_open()
        self._compression = compression

    def commit(self, durable: bool = True) -> Commit:
        """See `protocol.Transaction.commit`."""
        self._check_open()
        self._open = False
        for (topic, partition), parts in self._parts.items():
            records = concat_records([p.records for p in parts])
            arrivals = parts[0].arrivals if len(parts) == 1 else np.concatenate([p.arrivals for p in parts])
            value_type = None if records.values.type == pa.binary() else records.values.type
            compression = self._log.topic(topic).config.compression
            if compression == "none":
                compression = self._compression
            count = self._counts[topic]
            prepared = Prepared(
                topic, self._topic_ids[topic], partition, count, value_type, records, arrivals, compression, []
            )
            prepared.encode(value_type)
            self.prepared.append(prepared)
        self._parts = {}
        return self._log.committer.commit(self, durable)

    def abort(self) -> None:
        """See `protocol.Transaction.abort`."""
        self._open = False
        self._parts = {}

    def _check_open(self) -> None:
        if not self._open:
            raise InternalError("a transaction was used after its end")
