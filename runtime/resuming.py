"""Push queries that go on where their reader stopped: which record each row came from, and how far the reader is.

A row is done with when the reader asks for the next one or closes the subscription.  How far it is goes into the log, as
the positions of a consumer group, twice a second at most while rows are read, and when the subscription is closed; after a
crash the rows of the last half second may come again, and none is left out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..storage.log.protocol import Log, TopicPartition, Transaction
from .batch import Batch, Int64s
from .clients.coordinator import GROUP_PREFIX
from .metrics import Account
from .query.step_data import InputSlice
from .subscriptions import Feed

COMMIT_S = 0.5
"""How old the kept position of a reader that goes on reading may be."""


@dataclass(slots=True)
class Places:
    """Where the rows of a batch came from.

    Attributes:
        inputs: topic and partition, by number.
        input: int64[n], the number of each row's input.
        offset: int64[n], of each row's record.
        ends: where the inputs are read up to behind these rows, if no other rows are between.
        settled: the reader is done with all rows.
    """

    inputs: tuple[TopicPartition, ...]
    input: Int64s
    offset: Int64s
    ends: dict[TopicPartition, int] = field(default_factory=dict)
    settled: bool = False

    def done(self, rows: int) -> dict[TopicPartition, int]:
        """Where to read on once so many rows are done with; a record of which a row is left is read again."""
        if 0 < rows < len(self.offset):
            same = (self.input[:rows] == self.input[rows]) & (self.offset[:rows] == self.offset[rows])
            rows = int(np.flatnonzero(same)[0]) if same.any() else rows
        found: dict[TopicPartition, int] = {}
        for number in np.unique(self.input[:rows]).tolist():
            found[self.inputs[number]] = int(self.offset[:rows][self.input[:rows] == number][-1]) + 1
        return found | self.ends if rows >= len(self.offset) else found


class Resumption:
    """The ledger of a push query with a name: it begins where its reader stopped.

    Args:
        name: under which the reader's positions are kept.
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
        """The consumer group that keeps the positions: it is listed, can be reset and deleted as any other."""
        return f"{GROUP_PREFIX}subscription/{self._name}/{self._source}"

    def positions(self, source: str) -> Mapping[TopicPartition, int]:
        """See `Ledger`."""
        return self._log.positions(self.group)

    @property
    def kept(self) -> bool:
        """See `Ledger`: what is kept is how far the reader is, not the query."""
        return False

    def account(self) -> Account:
        """See `Ledger`."""
        return Account()

    def note(self, transaction: Transaction, places: Mapping[str, Mapping[TopicPartition, int]], account: Account) -> None:
        """See `Ledger`."""

    def groups(self, sources: Iterable[str]) -> Sequence[str]:
        """See `Ledger`."""
        return ()

    def forget(self, sources: Iterable[str]) -> None:
        """See `Ledger`."""

    def begin(self, feed: Feed, positions: Mapping[TopicPartition, int]) -> None:
        """The query starts; where it does is kept, so that what comes before the first row is read is not lost."""
        self._feed = feed
        self._done = dict(positions)
        self._keep(durable=True)

    # --- the query's side ------------------------------------------------------------------

    def note_slices(self, slices: Sequence[InputSlice]) -> None:
        """A step is computed; its rows come next.  The step before it is over, and so are the records that gave no row."""
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
        """Rows of the step in hand: the reader's, with where they came from."""
        assert self._feed is not None
        if not len(batch):
            return
        positions, numbers, offsets = self._records
        rows = np.searchsorted(positions, batch.positions)
        self._last = Places(self._inputs, numbers[rows], offsets[rows])
        self._feed.receive(batch, self._last)

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

    def failed(self) -> None:
        """The reader has broken off in the midst of the row that it was given last: that one comes again."""
        with self._lock:
            self._reading = None

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
