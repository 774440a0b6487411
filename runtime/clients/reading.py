"""The partitions that a consumer reads, and its position in each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...errors import ClientError, StorageError
from ...storage.log.protocol import Log, OffsetReset, TopicPartition
from .records import ConsumedBatch

__all__ = ["Reading", "existing"]


class Reading:
    """Partitions with their positions.  Use it from one thread at a time.

    Attributes:
        owned: the partitions, each with a number that changes if it was lost and came back.
        positions: the offset of the next record; missing where there is no committed offset and no reset.
        paused: partitions that are not read at present.
    """

    def __init__(self, log: Log, reset: OffsetReset) -> None:
        self.owned: dict[TopicPartition, int] = {}
        self.positions: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()
        self._log = log
        self._reset: OffsetReset = reset
        self._turn = 0

    def take(self, places: Mapping[TopicPartition, int], committed: Mapping[TopicPartition, int]) -> None:
        """Read these partitions, too, from the committed offsets on."""
        self.owned.update(places)
        for place in sorted(places):
            self._begin(place, committed.get(place))

    def forget(self, places: Iterable[TopicPartition]) -> None:
        """Stop reading these partitions."""
        for place in places:
            self.owned.pop(place, None)
            self.positions.pop(place, None)
            self.paused.discard(place)

    def go_back(self, committed: Mapping[TopicPartition, int]) -> None:
        """Return to the committed offsets in all partitions."""
        for place in self.owned:
            self.positions.pop(place, None)
            self._begin(place, committed.get(place))

    def _begin(self, place: TopicPartition, committed: int | None) -> None:
        """Where reading begins: at the committed offset, or as ``auto_offset_reset`` says (``none``: see `position`)."""
        if committed is not None:
            self.positions[place] = committed
        elif self._reset == "earliest":
            self.positions[place] = self._log.start_offset(*place)
        elif self._reset == "latest":
            self.positions[place] = self._log.end_offset(*place)

    def position(self, place: TopicPartition) -> int:
        """The offset of the next record.  Raises: ClientError, if it is not known."""
        found = self.positions.get(place)
        if found is None:
            raise ClientError(
                f"there is no committed offset for {place[0]!r}, partition {place[1]}, and auto_offset_reset is none: "
                "seek() first"
            )
        return found

    def mine(self, place: TopicPartition) -> TopicPartition:
        """Check that a partition is read here.  Raises: ClientError."""
        if tuple(place) not in self.owned:
            raise ClientError(f"the partition {place!r} is not assigned to this consumer")
        return place[0], place[1]

    def fetch(self, rows_left: int) -> list[ConsumedBatch]:
        """Read the next records and advance the positions.  The partitions take turns at being first.

        Raises:
            ClientError: a partition has no position.
            OffsetOutOfRangeError: a partition's next record is gone, and the reset is ``none``.
            StorageError: a record is damaged.
        """
        places = sorted(p for p in self.owned if p not in self.paused)
        if not places:
            return []
        start = self._turn % len(places)
        self._turn += 1
        known = self._log.topics()
        positions = {p: self.position(p) for p in places if p[0] in known}
        _, ends = self._log.end_offsets(list(positions))
        batches: list[ConsumedBatch] = []
        for place in places[start:] + places[:start]:
            if place not in ends or positions[place] == ends[place] or rows_left == 0:
                continue
            try:
                records = self._log.read(*place, positions[place], rows_max=rows_left, reset=self._reset)
            except StorageError:
                if not batches:
                    raise
                break  # what was read before is returned; the next poll finds the same
            self.positions[place] = records.next_offset
            if len(records):
                batches.append(ConsumedBatch(*place, records))
                rows_left -= len(records)
        return batches


def existing(log: Log, place: TopicPartition) -> TopicPartition:
    """Check that the log has a partition.  Raises: ClientError."""
    try:
        topic, partition = place
        count = log.topics()[topic].partitions
    except (TypeError, ValueError, KeyError):
        raise ClientError(f"there is no topic partition {place!r}: give (topic, partition)") from None
    if not isinstance(partition, int) or not 0 <= partition < count:
        raise ClientError(f"the topic {topic!r} has the partitions 0 to {count - 1}, not {partition!r}")
    return topic, partition
