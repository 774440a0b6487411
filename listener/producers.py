"""Producer ids and sequence numbers.  With them, a batch that is sent twice is written once, and no batch is skipped.

A producer numbers its records per partition; the number after 2^31 - 1 is 0.  The last five batches per producer and
partition are remembered with their offsets, since a client has at most five in flight.  After a restart only the last number
is known: a repeated batch is still recognised then, but its offset is unknown.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..storage.log.protocol import TopicPartition
from .batches import ReceivedBatch
from .protocol import ErrorCode
from .state import Entry, ProducedTo

__all__ = ["Accepted", "ProducerStates", "RefusedBatch"]

_REMEMBERED = 5
_FORGOTTEN_S = 24 * 60 * 60.0
"""The time in seconds after its last batch for which a producer without a transactional id is remembered (Kafka's
``producer.id.expiration.ms``).
"""
_ID_BLOCK = 100
_EPOCH_MAX = 32_766
"""The highest epoch of a producer id.  A producer that needs a higher one gets a new id."""


class RefusedBatch(Exception):
    """A batch is not written: its producer may not write it, or has written it before.

    Attributes:
        code: the Kafka error to answer with; ``none`` for a repeated batch whose offset is known.
        offset: the offset of a repeated batch; -1 if it is not known.
    """

    def __init__(self, code: ErrorCode, message: str, offset: int = -1) -> None:
        super().__init__(message)
        self.code = code
        self.offset = offset


@dataclass(slots=True)
class _Written:
    """The newest batches of a producer in one partition, each as (first sequence number, last sequence number, offset)."""

    epoch: int
    used_s: float
    batches: deque[tuple[int, int, int]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))


@dataclass(frozen=True, slots=True)
class Accepted:
    """A batch that may be written, and the state that its producer has after the write."""

    producer_id: int
    epoch: int
    place: TopicPartition
    first: int
    last: int


class ProducerStates:
    """The state of all producers, see the module's text.

    Batches are checked and noted on the appender's thread.  All threads may ask for producer ids.

    Args:
        entries: the entries of `state.StateTopic`.
        seconds: a monotonic clock, in seconds.
    """

    def __init__(self, entries: Mapping[tuple[Any, ...], Any], seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._guard = threading.Lock()
        self._written: dict[int, dict[TopicPartition, _Written]] = {}
        self._epochs: dict[int, int] = {}
        self._pending: dict[tuple[int, TopicPartition], tuple[int, int]] = {}
        self._next_id = self._id_end = int(entries.get(("pid",), 1000))
        for key, value in entries.items():
            if key[0] == "producer":
                produced = ProducedTo(*value)
                written = _Written(produced.epoch, self._seconds())
                written.batches.append((produced.last_sequence, produced.last_sequence, -1))
                self._written.setdefault(key[1], {})[key[2], key[3]] = written

    # --- ids -------------------------------------------------------------------------------

    def new_id(self) -> tuple[int, list[Entry]]:
        """Return a producer id that was never used before, and the entries to write before it is used."""
        with self._guard:
            given = self._next_id
            self._next_id += 1
            if self._next_id <= self._id_end:
                return given, []
            self._id_end = self._next_id + _ID_BLOCK
            return given, [(("pid",), self._id_end)]

    def next_epoch(self, producer_id: int, epoch: int) -> tuple[int, int, list[Entry]]:
        """Return id and epoch of the next instance of a producer, and the entries to write before they are used.

        The id stays the same until its epochs are used up.
        """
        if epoch < _EPOCH_MAX:
            return producer_id, epoch + 1, []
        given, entries = self.new_id()
        return given, 0, entries

    def fence(self, producer_id: int, epoch: int) -> None:
        """Refuse batches of older epochs from now on."""
        with self._guard:
            self._epochs[producer_id] = epoch

    # --- batches ---------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a new transaction of the appender.  Batches that were accepted but not reported to `wrote` are forgotten."""
        self._pending.clear()

    def accept(self, batch: ReceivedBatch, place: TopicPartition) -> Accepted:
        """Check that a batch is the next one of its producer in a partition.

        Raises:
            RefusedBatch: it is a repeated one, an earlier one is missing, or its producer is fenced.
        """
        self.check_epoch(batch)
        producer_id, epoch = batch.producer_id, batch.producer_epoch
        written = self._written.get(producer_id, {}).get(place)
        pending = self._pending.get((producer_id, place))
        if pending is not None:
            known_epoch, last = pending
        elif written is not None:
            known_epoch, last = written.epoch, written.batches[-1][1]
        else:
            known_epoch, last = epoch, None
        if epoch < known_epoch:
            raise RefusedBatch(
                ErrorCode.invalid_producer_epoch, f"producer {producer_id} has the epoch {known_epoch} by now"
            )
        first = batch.base_sequence
        if epoch > known_epoch:
            last = -1  # numbers begin again with each epoch
        elif last is not None and written is not None and pending is None:
            self._check_repeated(written, batch)
        if last is not None and first != (last + 1) & 0x7FFFFFFF:
            wanted = (last + 1) & 0x7FFFFFFF
            message = f"producer {producer_id} sent number {first} to {place[0]}-{place[1]}, where {wanted} is next"
            raise RefusedBatch(ErrorCode.out_of_order_sequence_number, message)
        self._pending[producer_id, place] = (epoch, batch.last_sequence)
        return Accepted(producer_id, epoch, place, first, batch.last_sequence)

    def check_epoch(self, batch: ReceivedBatch) -> None:
        """Check the producer epoch of a batch.  Raises: RefusedBatch, if the producer is fenced."""
        with self._guard:
            newest = self._epochs.get(batch.producer_id, -1)
        if batch.producer_epoch < newest:
            raise RefusedBatch(
                ErrorCode.invalid_producer_epoch, f"producer {batch.producer_id} has the epoch {newest} by now"
            )

    @staticmethod
    def _check_repeated(written: _Written, batch: ReceivedBatch) -> None:
        for first, last, offset in written.batches:
            if batch.last_sequence == last and (first == batch.base_sequence or offset < 0):
                code = ErrorCode.none if offset >= 0 else ErrorCode.duplicate_sequence_number
                raise RefusedBatch(code, "the batch was written before", offset)
        newest = written.batches[-1][1]
        behind = (newest - batch.last_sequence) & 0x7FFFFFFF
        if behind < 1 << 30 and batch.base_sequence != (newest + 1) & 0x7FFFFFFF:
            raise RefusedBatch(ErrorCode.duplicate_sequence_number, "the batch was written before")

    def entries(self, accepted: Iterable[Accepted]) -> list[Entry]:
        """The entries to write in the commit of these batches."""
        last = {(a.producer_id, a.place): a for a in accepted}
        return [
            (("producer", a.producer_id, *a.place), [a.epoch, a.last])  # `state.ProducedTo`
            for a in last.values()
        ]

    def wrote(self, accepted: Accepted, offset: int) -> None:
        """Note that a batch was written at an offset; -1 if the offset is not to be remembered."""
        places = self._written.setdefault(accepted.producer_id, {})
        written = places.get(accepted.place)
        if written is None or written.epoch != accepted.epoch:
            written = places[accepted.place] = _Written(accepted.epoch, 0.0)
        written.used_s = self._seconds()
        written.batches.append((accepted.first, accepted.last, offset))

    def of(self, place: TopicPartition) -> list[tuple[int, int, int]]:
        """The producers that have written to a partition, each as (id, epoch, last sequence number)."""
        found = [(producer_id, places.get(place)) for producer_id, places in list(self._written.items())]
        return [(producer_id, w.epoch, w.batches[-1][1]) for producer_id, w in found if w is not None and w.batches]

    def forget(self, producer_id: int) -> list[Entry]:
        """Forget a producer; return the entries to write, which remove it from the topic."""
        with self._guard:
            self._epochs.pop(producer_id, None)
        places: Iterator[TopicPartition] = iter(self._written.pop(producer_id, {}))
        return [(("producer", producer_id, *place), None) for place in places]

    def expire(self) -> list[Entry]:
        """Forget producers without a transactional id that have not written for long; return the entries to write."""
        now_s = self._seconds()
        gone = [
            producer_id
            for producer_id, places in self._written.items()
            if producer_id not in self._epochs and all(now_s - w.used_s > _FORGOTTEN_S for w in places.values())
        ]
        return [entry for producer_id in gone for entry in self.forget(producer_id)]
