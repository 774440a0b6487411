"""What a query is doing: its positions, its lag, the account of its rows, its state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from ...errors import LogRefusedError, StorageError
from ...storage.log.protocol import TopicPartition
from ..dataflow import Source
from ..metrics import Progress, RowCounts, Tally
from .assembly import Assembly
from .sharing import Sharing
from .stepping import Steps

State = Literal["RUNNING", "PAUSED", "ERROR", "TERMINATED"]


class Status:
    """Reads a query's status from any thread, without waiting for its step unless a method says so.

    Args:
        life: its state, and what it failed with.
    """

    def __init__(
        self,
        assembly: Assembly,
        steps: Steps,
        sharing: Sharing | None,
        life: Callable[[], tuple[State, BaseException | None]],
    ) -> None:
        self._assembly = assembly
        self._steps = steps
        self._sharing = sharing
        self._life = life

    @property
    def positions(self) -> dict[TopicPartition, int]:
        """The committed position per input partition; the smaller one if two sources read the topic."""
        return self._assembly.inputs.positions

    def has_taken_in(self, targets: Mapping[TopicPartition, int]) -> bool:
        """Whether its inputs were processed and committed up to these offsets, in other processes too.

        Raises:
            StorageError: what other processes committed cannot be read.
        """
        if not self.is_in_place:
            return False
        positions = self.positions
        if any(positions.get(place, end) < end for place, end in targets.items()):
            return False
        if self._sharing is None:
            return True
        missing = {place: end for place, end in targets.items() if place not in positions and end}
        topics = {topic for topic, _ in missing}
        found: dict[TopicPartition, int] = {}
        for source in (n for n in self._assembly.dataflow.nodes if isinstance(n, Source) and n.topic in topics):
            for place, offset in self._assembly.ledger.positions(source.name).items():
                found[place] = min(offset, found.get(place, offset))
        return all(self._is_empty(place, found.get(place, 0), end) for place, end in missing.items())

    def _is_empty(self, place: TopicPartition, offset: int, end: int) -> bool:
        """Whether a partition holds no record between two offsets: the marks of commits are none."""
        log = self._assembly.log
        start = max(offset, log.start_offset(*place)) if offset < end else end
        return start >= end or not len(log.read(*place, start, rows_max=1))

    @property
    def reading(self) -> dict[str, dict[TopicPartition, int]]:
        """Where each source is read on, by name; for a transient query: it commits nothing."""
        found: dict[str, dict[TopicPartition, int]] = {}
        for entry in self._assembly.inputs:
            found.setdefault(entry.source.name, {})[entry.source.topic, entry.partition] = entry.offset
        return found

    @property
    def keeps_stores(self) -> bool:
        """Whether what the query puts out depends on earlier records, too."""
        return bool(self._assembly.keeper.stores)

    @property
    def changelogs(self) -> list[str]:
        """The topics that hold the changes of its stores."""
        return [d.topic for d in self._assembly.keeper.stores]

    @property
    def tallies(self) -> Sequence[Tally]:
        """What each node of the dataflow has done, steps whose commit failed included.  Waits for the step in hand.

        Raises:
            StatementError: see `Steps.between_steps`.
        """
        with self._steps.between_steps():
            self._assembly.computer.take_seconds()
            return [replace(tally) for tally in self._assembly.tallies]

    @property
    def unread(self) -> list[tuple[Source, int, int, int]]:
        """For each partition of each input: its source, the partition, the committed position, and the records that wait."""
        inputs = self._assembly.inputs
        _, ends = self._assembly.log.end_offsets(inputs.places)
        return [
            (i.source, i.partition, i.committed, max(0, ends[i.source.topic, i.partition] - i.committed)) for i in inputs
        ]

    @property
    def is_in_place(self) -> bool:
        """Whether it is known which partitions are this process's, and it has their state."""
        return self._sharing is None or not self._sharing.moved

    @property
    def lag(self) -> int:
        """How many records the inputs hold that the query has not taken in.

        At least 1 while its partitions are being given out, or cannot be read.
        """
        try:
            lag = self._assembly.inputs.lag
        except LogRefusedError:
            return 1
        return lag if self.is_in_place else max(1, lag)

    @property
    def has_missed(self) -> bool:
        """Whether its inputs hold records that have not come to this process yet, or nobody can say that now: the log is
        asked where they end."""
        if self._sharing is not None and self._sharing.trouble is not None:
            return True
        log = self._assembly.log
        try:
            return any(log.end_offset(*place) > offset for place, offset in self.positions.items())
        except StorageError:
            return True

    @property
    def account(self) -> RowCounts:
        """What became of its input, as committed."""
        return self._assembly.committer.account

    @property
    def progress(self) -> Progress:
        """All of it at once."""
        keeper = self._assembly.keeper
        stores = [d.store for d in keeper.stores]
        state, error = self._life()
        trouble = error or (None if self._sharing is None else self._sharing.trouble)
        try:
            lag = self.lag
        except StorageError as unreadable:  # the topic is gone, and the query has not noticed or stands still for it
            lag, trouble = 1, trouble or unreadable
        return Progress(
            state,
            lag,
            self.account,
            sum(len(s) for s in stores),
            sum(s.size_bytes for s in stores),
            self._steps.count,
            None if trouble is None else str(trouble),
            keeper.stream_time,
            *self._lateness(),
        )

    def _lateness(self) -> tuple[tuple[int, ...], int]:
        operators = [operator for task in self._assembly.computer.tasks for operator in task.operators.values()]
        found = [lateness for o in operators if (lateness := o.context.counters.lateness) is not None]
        if not found:
            return (), 0
        counts = np.sum([lateness.counts for lateness in found], axis=0)
        return tuple(counts.tolist()), sum(lateness.total_ms for lateness in found)
