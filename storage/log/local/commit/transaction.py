"""A transaction on the log: gathers in memory, encodes what is large in its own thread, hands over to the `Committer`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from .....errors import InternalError, StorageError
from .... import interrupts
from ...partitioner import place
from ...protocol import Commit, Compression, Int64s, Outcome, Records, TopicConfig, TopicPartition
from ..segments.record import PreparedFrame, concat_records, encode_frames, normalise, take_records, widen
from .staging import Staged

if TYPE_CHECKING:
    from ..local_log import LocalLog
    from .committer import Committer

__all__ = ["LocalCommitting", "LocalTransaction", "Prepared", "join"]

_JOINED_ROWS_MAX = 64
_JOINED_BYTES_MAX = 16 * 1024
"""What a transaction has at most in a partition to share a frame with those that are committed along with it: encoding few
rows takes as long as encoding one, and that is the time that commits of one row are made of."""


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

    @property
    def small(self) -> bool:
        """Whether it may share a frame with what others append to the partition."""
        values = self.records.values
        return len(values) <= _JOINED_ROWS_MAX and (
            values.get_total_buffer_size() <= _JOINED_BYTES_MAX or values.nbytes <= _JOINED_BYTES_MAX  # (a slice's own part)
        )

    def widen(self, value_type: Any) -> None:
        """Add null fields if the topic's type has grown meanwhile; the frames are then to be made again."""
        if value_type == self.value_type:
            return
        values = widen(self.records.values, value_type)
        self.records = Records(self.records.keys, values, self.records.timestamps, self.records.headers)
        self.value_type = value_type
        self.frames = []

    def encode(self) -> None:
        """Make the frames, unless they are there."""
        if not self.frames:
            self.frames = encode_frames(self.records, self.arrivals, self.value_type, compression=self.compression)


def join(parts: Sequence[tuple[Prepared, int]]) -> list[PreparedFrame]:
    """Frames of what several transactions append to one partition.

    Args:
        parts: of equal types and compression; with each the place of its transaction's first record among the records of
            all of them.
    """
    records = concat_records([part.records for part, _ in parts])
    arrivals = np.concatenate([part.arrivals + first for part, first in parts])
    kept = parts[0][0]
    return encode_frames(records, arrivals, kept.value_type, compression=kept.compression)


@interrupts.doors(but={"set_positions", "set_sequence", "set_producer", "set_compression", "abort"})
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
        self.joins = False
        """Whether it may share a commit record, and frames, with its neighbours in a group: those are yet to be made."""

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
        return place(
            records.keys, len(records), count, lambda free: (self._log.next_turn(topic, free) + np.arange(free)) % count
        )

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
        return self.begin_commit(durable).result()

    def begin_commit(self, durable: bool = True) -> LocalCommitting:
        """See `protocol.Transaction.begin_commit`."""
        self.prepare()
        committer = self._log.committer
        if durable and not self.joins and self._bytes > self._log.settings.staged_bytes_min:
            return LocalCommitting(committer, committer.stage(self))
        outcomes: list[Outcome | None] = []
        committer.commit([(self, durable)], outcomes)
        (outcome,) = outcomes
        if isinstance(outcome, BaseException):
            raise outcome
        if outcome is None:
            raise InternalError("a transaction was given up")
        return LocalCommitting(committer, Staged(outcome, 0, 0, outcome))

    @property
    def _bytes(self) -> int:
        return sum(frame.size for part in self.prepared for frame in part.frames)

    def prepare(self) -> None:
        """Nothing is appended any more: encode what is large.

        Raises:
            StorageError: a topic is gone; a record is larger than a frame can be.
        """
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
            self.prepared.append(
                Prepared(topic, self._topic_ids[topic], partition, count, value_type, records, arrivals, compression, [])
            )
        self._parts = {}
        self.joins = self.producer is None and all(part.small for part in self.prepared)
        if not self.joins:
            for part in self.prepared:
                part.encode()

    def abort(self) -> None:
        """See `protocol.Transaction.abort`."""
        self._open = False
        self._parts = {}

    def _check_open(self) -> None:
        self._log.check_process()
        if not self._open:
            raise InternalError("a transaction was used after its end")


@interrupts.doors(but={"done"})
class LocalCommitting:
    """See `protocol.Committing`."""

    def __init__(self, committer: Committer, staged: Staged) -> None:
        self._committer = committer
        self._staged = staged

    @property
    def done(self) -> bool:
        """See `protocol.Committing.done`."""
        return self._staged.outcome is not None

    def result(self) -> Commit:
        """See `protocol.Committing.result`."""
        self._committer.check_process()
        outcome = self._committer.land(self._staged)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome
