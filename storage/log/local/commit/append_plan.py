"""Plans the commit of a group of transactions: epochs, offsets, arrivals, places in segments, and journal entries.

This is the part of step 2 of docs/commit.md before the first write.  Small transactions that follow each other share frames
and one commit record; each keeps an epoch, offsets and arrivals of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from .....errors import OutOfOrderSequenceError, ProducerFencedError, StorageError
from ....files import File
from ...protocol import Commit
from ...settings import LogSettings
from ..log_state import LogState
from ..manifest import Appended, Committed, Entry, Produced, SegmentState
from ..segments.record import PreparedFrame
from ..segments.segment import Segment, segment_header
from .contents import Contents, PartitionBatch, join
from .log_end import LogEnd, Tail

__all__ = ["AppendPlan", "Pending"]


@dataclass(slots=True)
class Pending:
    """An entry that is not in the journal yet, and the bytes in segments that it makes count.

    ``writes`` has the order of the entry's ``appended``.
    """

    entry: Entry
    writes: list[tuple[Segment, int, list[Any]]] = field(default_factory=list)
    """(segment, number of bytes, the bytes in pieces).  The pieces are left out if they are too many to be embedded in the
    journal."""


@dataclass(slots=True)
class Run:
    """Consecutive transactions of a group that share a commit record, so either all of them happen or none."""

    entry: Committed
    first_arrival: int
    parts: dict[tuple[str, int], list[tuple[PartitionBatch, int]]] = field(default_factory=dict)
    """(topic, partition) -> what each transaction appends there, with the number in the run of its first record."""


class AppendPlan:
    """The places of the frames of a group of transactions.  Making a plan changes nothing else, until `extend` is called.

    Args:
        end: the end of the log, behind which the plan begins.
    """

    def __init__(self, end: LogEnd, state: LogState, settings: LogSettings) -> None:
        self.tails: dict[tuple[str, int], Tail] = {}
        self.writes: dict[Segment, tuple[File, int, list[Any]]] = {}
        self.bytes = 0
        self.pendings: list[Pending] = []
        self._run: Run | None = None
        self._open = False
        """Whether another transaction may join the run."""
        self._state = state
        self._segment_bytes_max = settings.segment_bytes_max
        self._embedded_bytes_max = settings.embedded_bytes_max
        self._end = end
        self._epoch = end.epoch
        self._arrival = end.arrival
        self._sequences: dict[str, int] = {}
        self._numbers: dict[tuple[str, str, int], int] = {}

    @property
    def fresh_directories(self) -> list[str]:
        """The directories in which the plan creates segments."""
        return [tail.partition.directory for tail in self.tails.values() if tail.fresh]

    def extend(self) -> None:
        """Move the end of the log behind this plan."""
        end = self._end
        end.epoch, end.arrival = self._epoch, self._arrival
        end.tails.update(self.tails)
        end.sequences.update(self._sequences)
        end.numbers.update(self._numbers)

    def add(self, contents: Contents) -> Commit:
        """Give a transaction its epoch, arrivals and offsets.

        Raises:
            ProducerFencedError, OutOfOrderSequenceError: see `protocol.Transaction.set_producer`.
            StorageError: a topic was deleted or has got partitions since the transaction began.
        """
        batches = contents.batches
        for part in batches:
            topic = self._state.topic(part.topic)
            if topic.id != part.topic_id:
                raise StorageError(
                    f"the topic {part.topic!r} was deleted and created again during a transaction",
                    action="begin the transaction again",
                )
            if part.partitions != len(topic.partitions) and part.records.keys is not None:
                raise StorageError(f"the topic {part.topic!r} got partitions during a transaction", action="try it again")
            part.widen(topic.config.value_type)
        for producer, sequence in contents.sequences.items():
            last = self._sequence(producer)
            if last is not None and sequence <= last:
                return Commit(self._epoch, {})  # a retry of what has happened
        starts = {(p.topic, p.partition): self._tail(p.topic, p.partition).end for p in batches}
        produced = self._numbered(contents, starts)
        if not (batches or contents.positions or contents.sequences or contents.metadata):
            return Commit(self._epoch, {})
        run = self._joined(contents)
        entry = run.entry
        for group, positions in contents.positions.items():
            entry.positions.setdefault(group, []).extend((t, p, o) for (t, p), o in positions.items())
        entry.metadata.update(contents.metadata)
        self._sequences.update(contents.sequences)
        entry.sequences.update(contents.sequences)
        entry.produced = produced
        ends = {}
        for part in batches:
            place = (part.topic, part.partition)
            run.parts.setdefault(place, []).append((part, self._arrival - run.first_arrival))
            tail = self.tails[place]
            tail.end += len(part.records)
            ends[place] = tail.end
        self._arrival += contents.rows
        entry.next_arrival = self._arrival
        return Commit(self._epoch, ends, starts)

    def _sequence(self, producer: str) -> int | None:
        end = self._end
        for known in (self._sequences, end.sequences, end.manifest.sequences):
            if producer in known:
                return known[producer]
        return None

    def _joined(self, contents: Contents) -> Run:
        """Return the run that a transaction joins: the present run if both may share frames, otherwise a new one."""
        run = self._run
        if run is None or not (contents.joins and self._open):
            self.close()
            run = self._run = Run(Committed(self._epoch, self._arrival, [], {}, {}), self._arrival)
            self._open = contents.joins
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

    def _numbered(self, contents: Contents, starts: dict[tuple[str, int], int]) -> Produced | None:
        """The sequence numbers of a transaction's records, as its producer counts them; None without a producer.

        Args:
            starts: (topic, partition) -> the offset of the transaction's first record there.

        Raises:
            ProducerFencedError, OutOfOrderSequenceError: see `protocol.Transaction.set_producer`.
        """
        if contents.producer is None:
            return None
        producer, epoch, wanted = contents.producer
        end = self._end
        state = end.manifest.producers.get(producer)
        if state is None or state.epoch != epoch:
            raise ProducerFencedError(
                f"the producer {producer!r} was opened again: this one (epoch {epoch}) can no longer write"
            )
        batches = []
        for part in contents.batches:
            place = (producer, part.topic, part.partition)
            last = self._numbers.get(place, end.numbers.get(place))
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
        chunks.extend(frame.body)
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
        ahead = self._end.tails.get((topic, number))
        if ahead is not None:
            return replace(ahead, fresh=False)
        of = self._state.topic(topic)
        partition = of.partitions[number]
        state = partition.state
        last = state.segments[-1] if state.segments else None
        segment_bytes = of.config.segment_bytes or self._segment_bytes_max
        if last is None or last.sealed:
            return Tail(partition, None, 0, state.end, state.end, segment_bytes)
        return Tail(partition, partition.segment_of(last), last.length, state.end, state.end, segment_bytes)
