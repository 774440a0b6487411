"""The contents of a transaction: batches of records by partition, positions, sequence numbers.  `append_plan` plans commits
from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...protocol import Compression, Int64s, Records, TopicPartition
from ..segments.record import PreparedFrame, concat_records, encode_frames, widen

__all__ = ["Contents", "PartitionBatch", "join"]

_JOINED_ROWS_MAX = 64
_JOINED_BYTES_MAX = 16 * 1024
"""A transaction with at most so many bytes in a partition shares a frame there with others.  To encode a few rows takes as
long as to encode one, and is most of the time of a one-row commit.
"""


@dataclass(slots=True)
class PartitionBatch:
    """The records for one partition, as frames for one value type."""

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
        """Whether the batch is small enough to share a frame with other transactions."""
        values = self.records.values
        return len(values) <= _JOINED_ROWS_MAX and (
            values.get_total_buffer_size() <= _JOINED_BYTES_MAX or values.nbytes <= _JOINED_BYTES_MAX  # (a slice's own part)
        )

    def widen(self, value_type: Any) -> None:
        """Convert the records to the topic's present type if it has got new fields meanwhile: they are null.

        The frames must then be encoded again.
        """
        if value_type == self.value_type:
            return
        values = widen(self.records.values, value_type)
        self.records = Records(self.records.keys, values, self.records.timestamps, self.records.headers)
        self.value_type = value_type
        self.frames = []

    def encode(self) -> None:
        """Encode the frames, unless that was done."""
        if not self.frames:
            self.frames = encode_frames(self.records, self.arrivals, self.value_type, compression=self.compression)


def join(parts: Sequence[tuple[PartitionBatch, int]]) -> list[PreparedFrame]:
    """Encode frames with the records of several transactions for one partition.

    Args:
        parts: batches with equal types and compression, each with the number in the run of its transaction's first record.
    """
    records = concat_records([part.records for part, _ in parts])
    arrivals = np.concatenate([part.arrivals + first for part, first in parts])
    kept = parts[0][0]
    return encode_frames(records, arrivals, kept.value_type, compression=kept.compression)


@dataclass(slots=True, eq=False)
class Contents:
    """A transaction that is complete: nothing is added to it any more.

    Attributes:
        batches: what it appends, at most one batch per partition.
        rows: the number of records in all batches.
        producer: id, epoch, and for partitions the sequence number that the first record there must have.
        joins: whether it may share frames and a commit record with its neighbours in a group.  Then its frames are not
            encoded yet.
        metadata: group -> text, see `protocol.Transaction.set_metadata`.
    """

    batches: list[PartitionBatch] = field(default_factory=list)
    rows: int = 0
    positions: dict[str, dict[TopicPartition, int]] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)
    producer: tuple[str, int, Mapping[TopicPartition, int]] | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    joins: bool = False

    @property
    def bytes(self) -> int:
        """The number of bytes of the encoded frames."""
        return sum(frame.size for batch in self.batches for frame in batch.frames)
