"""What a transaction asks for: batches of records by partition, positions, numbers.  What a commit is planned from."""

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
"""What a transaction has at most in a partition to share a frame with those that are committed along with it: encoding few
rows takes as long as encoding one, and that is the time that commits of one row are made of."""


@dataclass(slots=True)
class PartitionBatch:
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


def join(parts: Sequence[tuple[PartitionBatch, int]]) -> list[PreparedFrame]:
    """Frames of what several transactions append to one partition.

    Args:
        parts: of equal types and compression; with each the place of its transaction's first record among the records of
            all of them.
    """
    records = concat_records([part.records for part, _ in parts])
    arrivals = np.concatenate([part.arrivals + first for part, first in parts])
    kept = parts[0][0]
    return encode_frames(records, arrivals, kept.value_type, compression=kept.compression)


@dataclass(slots=True, eq=False)
class Contents:
    """A transaction that nothing is added to any more.

    Attributes:
        batches: what it appends, at most one to a partition.
        rows: in all of them.
        producer: id, epoch, and which number the first record in a partition must get.
        joins: whether it may share a commit record, and frames, with its neighbours in a group: those are yet to be made.
        metadata: of groups, see `protocol.Transaction.set_metadata`.
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
        """Of the frames that are made already."""
        return sum(frame.size for batch in self.batches for frame in batch.frames)
