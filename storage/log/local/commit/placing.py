"""Where the frames of a group of transactions go: epochs, offsets, arrivals, segments, and the entries for the journal.

Step 2 of docs/commit.md, up to the point at which anything is written.  Small transactions that follow each other share
frames and one commit record; each keeps an epoch, offsets and arrivals of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from .....errors import OutOfOrderSequenceError, ProducerFencedError, StorageError
from ....files import File
from ...protocol import Commit
from ...settings import LogSettings
from ..manifest import Appended, Committed, Entry, Produced, SegmentState
from ..segments.partition import Partition
from ..segments.record import PreparedFrame
from ..segments.segment import Segment, segment_header
from .staging import Line
from .transaction import Prepared, join

if TYPE_CHECKING:
    from ..local_log import LocalLog
    from .transaction import LocalTransaction

__all__ = ["Pending", "Plan"]


@dataclass(slots=True)
class Pending:
    """An entry that the journal does not have yet, and the bytes it stands for (in the order of ``appended``)."""

    entry: Entry
    writes: list[tuple[Segment, int, list[Any]]] = field(default_factory=list)
    """Segment, bytes, and these bytes: none if they are too many to be embedded (holding them would only take memory)."""


@dataclass(slots=True)
class Tail:
    """Where the next frame of a partition goes, while a group is planned."""

    partition: Partition
    segment: Segment | None
    position: int
    placed: int
    """The offset after the last frame that has its place."""
    end: int
    """The offset after the last record that has its offset."""
    segment_bytes: int
    fresh: bool = False


@dataclass(slots=True)
class Run:
    """Transactions of a group, one behind the other, that share a commit record: all of them happen, or none."""

    entry: Committed
    first_arrival: int
    parts: dict[tuple[str, int], list[tuple[Prepared, int]]] = field(default_factory=dict)
    """What they append by topic and partition, and which of the run's records is the first of that transaction."""


class Plan:
    """Where a group's frames go.  Nothing outside changes until the group is through.

    Args:
        line: what it goes behind; `extend` puts it there.
    """

    def __init__(self, line: Line, log: LocalLog, settings: LogSettings) -> None:
        self.tails: dict[tuple[str, int], Tail] = {}
        self.writes: dict[Segment, tuple[File, int, list[Any]]] = {}
        self.bytes = 0
        self.pendings: list[Pending] = []
        self._run: Run | None = None
        self._open = False
        """Whether another may join the run."""
        self._log = log
        self._segment_bytes_max = settings.segment_bytes_max
        self._embedded_bytes_max = settings.embedded_bytes_max
        self._line = line
        self._epoch = line.epoch
        self._arrival = line.arrival
        self._sequences: dict[str, int] = {}
        self._numbers: dict[tuple[str, str, int], int] = {}

    @property
    def fresh_directories(self) -> list[str]:
        """Those that get segments."""
        return [tail.partition.directory for tail in self.tails.values() if tail.fresh]

    def extend(self) -> None:
        """What comes next goes behind this."""
        line = self._line
        line.epoch, line.arrival = self._epoch, self._arrival
        line.tails.update(self.tails)
        line.sequences.update(self._sequences)
        line.numbers.update(self._numbers)

    def add(self, transaction: LocalTransaction) -> Commit:
        """Give a transaction its epoch, arrivals and offsets.

        Raises:
            ProducerFencedError, OutOfOrderSequenceError: see `protocol.Transaction.set_producer`.
            StorageError: a topic is gone.
        """
        prepared = transaction.prepared
        for part in prepared:
            topic = self._log.topic(part.topic)
            if topic.id != part.topic_id:
                raise StorageError(f"the topic {part.topic!r} was deleted and created again during a transaction")
            if part.partitions != len(topic.partitions) and part.records.keys is not None:
                raise StorageError(f"the topic {part.topic!r} got partitions during a transaction", action="try it again")
            part.widen(topic.config.value_type)
        for producer, sequence in transaction.sequences.items():
            last = self._sequence(producer)
            if last is not None and sequence <= last:
                return Commit(self._epoch, {})  # a retry of what has happened
        starts = {(p.topic, p.partition): self._tail(p.topic, p.partition).end for p in prepared}
        produced = self._numbered(transaction, starts)
        if not prepared and not transaction.positions and not transaction.sequences:
            return Commit(self._epoch, {})
        run = self._joined(transaction)
        entry = run.entry
        for group, positions in transaction.positions.items():
            entry.positions.setdefault(group, []).extend((t, p, o) for (t, p), o in positions.items())
        self._sequences.update(transaction.sequences)
        entry.sequences.update(transaction.sequences)
        entry.produced = produced
        ends = {}
        for part in prepared:
            place = (part.topic, part.partition)
            run.parts.setdefault(place, []).append((part, self._arrival - run.first_arrival))
            tail = self.tails[place]
            tail.end += len(part.records)
            ends[place] = tail.end
        self._arrival += transaction.rows
        entry.next_arrival = self._arrival
        return Commit(self._epoch, ends, starts)

    def _sequence(self, producer: str) -> int | None:
        line = self._line
        for known in (self._sequences, line.sequences, line.manifest.sequences):
            if producer in known:
                return known[producer]
        return None

    def _joined(self, transaction: LocalTransaction) -> Run:
        """The run that a transaction belongs to: that of those before it, if it may share frames, or one of its own."""
        run = self._run
        if run is None or not (transaction.joins and self._open):
            self.close()
            run = self._run = Run(Committed(self._epoch, self._arrival, [], {}, {}), self._arrival)
            self._open = transaction.joins
        self._epoch += 1  # each has an epoch of its own; what they share bears the last one
        run.entry.epoch = self._epoch
        return run

    def close(self) -> None:
        """Give all frames their places.

        Raises:
            StorageError: a record is larger than a frame can be.
        """
        run, self._run = self._run, None
        if run is None:
            return
        pending = Pending(run.entry)
        for (topic, number), parts in run.parts.items():
            for _, alike in groupby(parts, lambda part: (part[0].records.values.type, part[0].compression)):
                together = list(alike)
                part, first = together[0]
                if len(together) == 1:
                    part.encode()
                    frames = part.frames
                else:
                    frames, first = join(together), 0
                for frame in frames:
                    self._place(pending, topic, number, part.value_type, frame, run.first_arrival + first)
        self.pendings.append(pending)

    def _numbered(self, transaction: LocalTransaction, starts: dict[tuple[str, int], int]) -> Produced | None:
        """The numbers that a producer's records get.

        Raises:
            ProducerFencedError, OutOfOrderSequenceError: see `protocol.Transaction.set_producer`.
        """
        if transaction.producer is None:
            return None
        producer, epoch, wanted = transaction.producer
        line = self._line
        state = line.manifest.producers.get(producer)
        if state is None or state.epoch != epoch:
            raise ProducerFencedError(
                f"the producer {producer!r} was opened again: this one (epoch {epoch}) writes nothing any more"
            )
        batches = []
        for part in transaction.prepared:
            place = (producer, part.topic, part.partition)
            last = self._numbers.get(place, line.numbers.get(place))
            first = (state.last(part.topic, part.partition) if last is None else last) + 1
            asked = wanted.get((part.topic, part.partition), first)
            if asked != first:
                raise OutOfOrderSequenceError(
                    f"the producer {producer!r} sends number {asked} to {part.topic!r}, partition {part.partition}, "
                    f"where {first} is next"
                )
            newest = first + len(part.records) - 1
            batches.append((part.topic, part.partition, first, newest, starts[part.topic, part.partition]))
        self._numbers.update({(producer, topic, number): last for topic, number, _, last, _ in batches})
        return Produced(producer, batches)

    def _place(
        self, pending: Pending, topic: str, number: int, value_type: Any | None, frame: PreparedFrame, arrival: int
    ) -> None:
        assert isinstance(pending.entry, Committed)
        tail = self._tail(topic, number)
        segment = tail.segment
        full = segment is not None and tail.position + frame.size > tail.segment_bytes
        chunks: list[Any] = []
        if segment is None or full or segment.value_type != value_type:
            segment = tail.segment = tail.partition.segment_of(SegmentState(tail.placed, 0, 0, tail.placed, 0))
            file = segment.create(value_type)
            tail.position = 0
            tail.fresh = True
            self.writes[segment] = (file, 0, [])
            chunks.append(segment_header(topic, number, tail.placed, segment.generation, value_type))
        elif segment not in self.writes:
            self.writes[segment] = (segment.file, tail.position, [])
        chunks.append(frame.header(pending.entry.epoch, tail.placed, arrival + frame.first_arrival))
        chunks.append(frame.body)
        length = sum(len(c) for c in chunks)
        end = tail.placed + frame.offset_span
        pending.entry.appended.append(
            Appended(topic, number, segment.base_offset, segment.generation, tail.position, length, end, frame.timestamp_max)
        )
        pending.writes.append((segment, length, chunks if length <= self._embedded_bytes_max else []))
        self.writes[segment][2].extend(chunks)
        self.bytes += length
        tail.position += length
        tail.placed = end

    def _tail(self, topic: str, number: int) -> Tail:
        known = self.tails.get((topic, number))
        if known is None:
            known = self.tails[topic, number] = self._found_tail(topic, number)
        return known

    def _found_tail(self, topic: str, number: int) -> Tail:
        ahead = self._line.tails.get((topic, number))
        if ahead is not None:
            return replace(ahead, fresh=False)
        of = self._log.topic(topic)
        partition = of.partitions[number]
        state = partition.state
        last = state.segments[-1] if state.segments else None
        segment_bytes = of.config.segment_bytes or self._segment_bytes_max
        if last is None or last.sealed:
            return Tail(partition, None, 0, state.end, state.end, segment_bytes)
        return Tail(partition, partition.segment_of(last), last.length, state.end, state.end, segment_bytes)
