"""Push queries that go on where their reader stopped: which record each row came from, and how far the reader is.

A row is done with when the reader asks for the next one or closes the subscription.  How far it is goes into the log, as
the positions of a consumer group, twice a second at most while rows are read, and when the subscription is closed; after a
crash the rows of the last half second may come again, and none is left out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..storage.log.protocol import Log, TopicPartition
from .batch import Batch, Int64s
from .query.ledger import NoLedger
from .query.taken import Taken
from .subscriptions import Feed

COMMIT_S = 0.5
"""How old the kept position of a reader that goes on reading may be."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the rows of a batch came from.

    Attributes:
        inputs: topic and partition, by number.
        input: int64[n], the number of each row's input.
        offset: int64[n], of each row's record.
        ends: where all inputs are read up to behind the step.
    """

    inputs: tuple[TopicPartition, ...]
    input: Int64s
    offset: Int64s
    ends: dict[TopicPartition, int]

    def done(self, rows: int) -> dict[TopicPartition, int]:
        """Where to read on once so many rows are done with; a record of which a row is left is read again."""
        if 0 < rows < len(self.offset) and (self.input[rows], self.offset[rows]) == (
            self.input[rows - 1],
            self.offset[rows - 1],
        ):
            same = (self.input[:rows] == self.input[rows]) & (self.offset[:rows] == self.offset[rows])
            rows = int(np.flatnonzero(same)[0]) if same.any() else rows
        found: dict[TopicPartition, int] = {}
        for number in np.unique(self.input[:rows]).tolist():
            found[self.inputs[number]] = int(self.offset[:rows][self.input[:rows] == number][-1]) + 1
        return found | self.ends if rows >= len(self.offset) else found


class Resumption(NoLedger):
    """The ledger of a push query with a name: it begins where its reader stopped.

    Args:
        name: under which the reader's positions are kept.
    """

    __slots__ = ("_done", "_feed", "_kept_s", "_lock", "_log", "_name", "_pending", "_reading", "_source")

    def __init__(self, log: Log, name: str, source: str) -> None:
        self._log = log
        self._name = name
        self._source = source
        self._lock = threading.Lock()
        self._feed: Feed | None = None
        self._pending: list[Batch] = []
        self._reading: tuple[Places, int] | None = None
        self._done: dict[TopicPartition, int] = {}
        self._kept_s = 0.0

    @property
    def group(self) -> str:
        """The consumer group that keeps the positions."""
        return f"subscription/{self._name}/{self._source}"

    def positions(self, source: str) -> Mapping[TopicPartition, int]:
        """See `Ledger`."""
        return self._log.positions(self.group) if source == self._source else {}

    def begin(self, feed: Feed, positions: Mapping[TopicPartition, int]) -> None:
        """The query starts; where it does is kept, so that what comes before the first row is read is not lost."""
        self._feed = feed
        self._done = dict(positions)
        self._keep(durable=True)

    # --- the query's side ------------------------------------------------------------------

    def receive(self, batch: Batch) -> None:
        """Rows of the step in hand; the reader gets them when it is known where they came from."""
        self._pending.append(batch)

    def taken(self, taken: Sequence[Taken]) -> None:
        """The step is computed; this is what it took."""
        pending, self._pending = self._pending, []
        inputs = tuple((item.input.source.topic, item.input.partition) for item in taken)
        ends = {place: item.next_offset for place, item in zip(inputs, taken, strict=True)}
        positions = np.concatenate([item.positions for item in taken])
        numbers = np.repeat(np.arange(len(taken)), [len(item.positions) for item in taken])
        offsets = np.concatenate(
            [
                np.zeros(0, np.int64) if item.chunk is None else item.chunk.records.offsets[item.start : item.stop]
                for item in taken
            ]
        )
        order = np.argsort(positions, kind="stable")
        positions, numbers, offsets = positions[order], numbers[order], offsets[order]
        assert self._feed is not None
        filled = [batch for batch in pending if len(batch)]
        for number, batch in enumerate(filled, 1):
            rows = np.searchsorted(positions, batch.positions)
            behind = ends if number == len(filled) else {}
            self._feed.receive(batch, Places(inputs, numbers[rows], offsets[rows], behind))
        if not filled:
            with self._lock:
                if self._reading is None and not self._feed.held:
                    self._done.update(ends)

    # --- the reader's side -----------------------------------------------------------------

    def giving(self, places: Places | None, row: int) -> None:
        """The reader is given a row: those before it are done with."""
        with self._lock:
            self._settle()
            if places is not None:
                self._reading = (places, row + 1)
                self._done.update(places.done(row) if row else {})
            due = time.monotonic() - self._kept_s >= COMMIT_S
        if due:
            self._keep(durable=False)

    def asking(self) -> None:
        """The reader asks for more: what it was given is done with."""
        with self._lock:
            self._settle()

    def close(self) -> None:
        """The reader has stopped, and is done with the row that it was given last."""
        with self._lock:
            self._settle()
        self._keep(durable=True)

    def _settle(self) -> None:
        if self._reading is not None:
            places, rows = self._reading
            self._reading = None
            self._done.update(places.done(rows))

    def _keep(self, *, durable: bool) -> None:
        with self._lock:
            done, self._kept_s = dict(self._done), time.monotonic()
        if not done:
            return
        transaction = self._log.transaction()
        transaction.set_positions(self.group, done)
        transaction.commit(durable)
