"""Push queries that resume where their reader stopped: the record that each row came from, and the reader's position.

A row is done when the reader asks for the next one or closes the subscription.  The reader's position goes into the log, as
the offsets of a consumer group: at most twice a second while rows are read, and when the subscription is closed.  After a
crash the rows of the last half second may come again, and none is missing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..storage.log.protocol import Log, TopicPartition
from .batch import Batch, Int64s
from .clients.coordinator import GROUP_PREFIX
from .query.ledger import NoLedger
from .query.step_data import InputSlice
from .subscriptions import Feed

COMMIT_S = 0.5
"""The longest time, in seconds, between commits of the position of a reader that goes on reading."""


@dataclass(slots=True)
class Places:
    """The records from which the rows of a batch came.

    Attributes:
        inputs: topic and partition, by number.
        input: int64[n], the number of each row's input.
        offset: int64[n], of each row's record.
        ends: the offsets after these rows, up to which the inputs are read if no other rows come in between.
        settled: whether the reader is done with all rows.
    """

    inputs: tuple[TopicPartition, ...]
    input: Int64s
    offset: Int64s
    ends: dict[TopicPartition, int] = field(default_factory=dict)
    settled: bool = False

    def done(self, rows: int) -> dict[TopicPartition, int]:
        """The offsets at which to continue after so many rows.

        A record is read again unless the reader is done with all its rows.
        """
        if 0 < rows < len(self.offset):
            same = (self.input[:rows] == self.input[rows]) & (self.offset[:rows] == self.offset[rows])
            rows = int(np.flatnonzero(same)[0]) if same.any() else rows
        found: dict[TopicPartition, int] = {}
        for number in np.unique(self.input[:rows]).tolist():
            found[self.inputs[number]] = int(self.offset[:rows][self.input[:rows] == number][-1]) + 1
        return found | self.ends if rows >= len(self.offset) else found


class Resumption(NoLedger):
    """The ledger of a push query with a name: it begins where its reader stopped.

    The position of the reader is kept, and nothing else of the query.

    Args:
        name: of the reader, for its positions.
    """

    def __init__(self, log: Log, name: str, source: str) -> None:
        self._log = log
        self._name = name
        self._source = source
        self._lock = threading.Lock()
        self._feed: Feed | None = None
        self._inputs: tuple[TopicPartition, ...] = ()
        self._ends: dict[TopicPartition, int] = {}
        nothing = np.zeros(0, np.int64)
        self._records = nothing, nothing, nothing
        self._last: Places | None = None
        self._reading: tuple[Places, int] | None = None
        self._done: dict[TopicPartition, int] = {}
        self._kept_s = 0.0

    @property
    def group(self) -> str:
        """The consumer group with the positions; it is listed, and can be reset and deleted like any other."""
        return f"{GROUP_PREFIX}subscription/{self._name}/{self._source}"

    def positions(self, source: str) -> Mapping[TopicPartition, int]:
        """See `Ledger`."""
        return self._log.positions(self.group)

    def begin(self, feed: Feed, positions: Mapping[TopicPartition, int]) -> None:
        """Note the start of the query.  Its position is kept, so that records before the first row is read are not lost."""
        self._feed = feed
        self._done = dict(positions)
        self._keep(durable=True)

    # --- the query's side ------------------------------------------------------------------

    def note_slices(self, slices: Sequence[InputSlice]) -> None:
        """Note a computed step, whose rows come next.  The step before it is over, with its records that gave no row."""
        with self._lock:
            if self._last is None or self._last.settled:
                self._done.update(self._ends)
            else:
                self._last.ends.update(self._ends)
        self._inputs = tuple((item.input.source.topic, item.input.partition) for item in slices)
        self._ends = {place: item.next_offset for place, item in zip(self._inputs, slices, strict=True)}
        positions = np.concatenate([item.positions for item in slices])
        numbers = np.repeat(np.arange(len(slices)), [len(item.positions) for item in slices])
        offsets = np.concatenate([_offsets(item) for item in slices])
        order = np.argsort(positions, kind="stable")
        self._records = positions[order], numbers[order], offsets[order]

    def receive(self, batch: Batch) -> None:
        """Note rows of the present step for the reader, and the records that they came from."""
        assert self._feed is not None
        if not len(batch):
            return
        positions, numbers, offsets = self._records
        rows = np.searchsorted(positions, batch.positions)
        self._last = Places(self._inputs, numbers[rows], offsets[rows])
        self._feed.receive(batch, self._last)

    # --- the reader's side -----------------------------------------------------------------

    def giving(self, places: Places | None, row: int) -> None:
        """Note that the reader gets a row, and so is done with those before it."""
        with self._lock:
            self._settle()
            if places is not None:
                self._reading = (places, row + 1)
                self._done.update(places.done(row) if row else {})
            due = time.monotonic() - self._kept_s >= COMMIT_S
        if due:
            self._keep(durable=False)

    def asking(self) -> None:
        """Note that the reader asks for more, and so is done with what it has got."""
        with self._lock:
            self._settle()

    def failed(self) -> None:
        """Note that the reader failed in the middle of its last row; that row comes again."""
        with self._lock:
            self._reading = None

    def close(self) -> None:
        """Note that the reader has stopped, and is done with its last row."""
        with self._lock:
            self._settle()
        self._keep(durable=True)

    def _settle(self) -> None:
        if self._reading is not None:
            places, rows = self._reading
            self._reading = None
            self._done.update(places.done(rows))
            places.settled = rows >= len(places.offset)

    def _keep(self, *, durable: bool) -> None:
        with self._lock:
            done, self._kept_s = dict(self._done), time.monotonic()
        if not done:
            return
        transaction = self._log.transaction()
        transaction.set_positions(self.group, done)
        transaction.commit(durable)


def _offsets(item: InputSlice) -> Int64s:
    """The offset of each record that a step took of an input."""
    if item.chunk is None:
        return np.zeros(0, np.int64)
    offsets: Int64s = item.chunk.records.offsets[item.start : item.stop]
    return offsets
