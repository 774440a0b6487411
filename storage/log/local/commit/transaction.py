"""A transaction of the local log.  It gathers records in memory, encodes large batches in the caller's thread, and gives its
contents to the `Committer`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from .....errors import InternalError, StorageError
from .... import interrupts
from ...partitioner import place
from ...protocol import Commit, Committing, Compression, Int64s, Outcome, Records, TopicConfig, TopicPartition
from ...settings import LogSettings
from ..log_state import LogState
from ..segments.record import concat_records, normalise, take_records
from .committer import Committer
from .contents import Contents, PartitionBatch
from .in_flight import InFlight

__all__ = ["LocalCommitting", "LocalTransaction"]


@dataclass(slots=True)
class _Part:
    records: Records
    arrivals: Int64s  # from the transaction's first record on


@interrupts.doors(
    but={
        "positions",
        "sequences",
        "set_positions",
        "set_metadata",
        "set_sequence",
        "set_producer",
        "set_compression",
        "abort",
    }
)
class LocalTransaction:
    """See `protocol.Transaction`."""

    def __init__(
        self, state: LogState, committer: Committer, settings: LogSettings, next_turn: Callable[[str, int], int]
    ) -> None:
        self._state = state
        self._committer = committer
        self._settings = settings
        self._next_turn = next_turn
        self._parts: dict[tuple[str, int], list[_Part]] = {}
        self._topic_ids: dict[str, int] = {}
        self._counts: dict[str, int] = {}
        self._open = True
        self._rows = 0
        self._compression: Compression = "none"
        self._contents = Contents()

    @property
    def rows(self) -> int:
        """The number of records appended so far."""
        return self._rows

    @property
    def positions(self) -> Mapping[str, Mapping[TopicPartition, int]]:
        """Group -> the positions that `set_positions` was given."""
        return self._contents.positions

    @property
    def sequences(self) -> Mapping[str, int]:
        """Producer id -> the sequence number that `set_sequence` was given."""
        return self._contents.sequences

    def append(self, topic: str, records: Records, partition: int | None = None) -> None:
        """See `protocol.Transaction.append`."""
        config = self._config(topic, partition)
        count = config.partitions
        records = normalise(records, config.value_type)
        n = len(records)
        if n == 0:
            return
        arrivals = np.arange(self._rows, self._rows + n)
        self._rows += n
        if partition is None and count == 1:
            partition = 0
        if partition is not None:
            self._parts.setdefault((topic, partition), []).append(_Part(records, arrivals))
            return
        chosen = self._place(topic, records, count)
        order = np.argsort(chosen, kind="stable")
        placed = chosen[order]
        starts = np.flatnonzero(np.diff(placed, prepend=-1))  # only of partitions that get some: there may be thousands
        for rows in np.split(order, starts[1:]):
            number = int(chosen[rows[0]])
            if len(rows) == n:
                self._parts.setdefault((topic, number), []).append(_Part(records, arrivals))
            else:
                self._parts.setdefault((topic, number), []).append(_Part(take_records(records, rows), arrivals[rows]))

    def append_ranked(self, topic: str, parts: Sequence[tuple[int, Records, Int64s]]) -> None:
        """See `protocol.Transaction.append_ranked`."""
        first = self._rows
        for partition, records, ranks in parts:
            records = normalise(records, self._config(topic, partition).value_type)
            if len(records):
                self._parts.setdefault((topic, partition), []).append(_Part(records, first + ranks))
                self._rows += len(records)

    def _config(self, topic: str, partition: int | None) -> TopicConfig:
        self._check_open()
        known = self._state.topic(topic)
        count = known.config.partitions
        if partition is not None and not 0 <= partition < count:
            raise StorageError(f"the topic {topic!r} has the partitions 0 to {count - 1}, not {partition}")
        if self._topic_ids.setdefault(topic, known.id) != known.id:
            raise StorageError(
                f"the topic {topic!r} was deleted and created again during a transaction",
                action="begin the transaction again",
            )
        if self._counts.setdefault(topic, count) != count:
            raise StorageError(f"the topic {topic!r} got partitions during a transaction", action="try it again")
        return known.config

    def _place(self, topic: str, records: Records, count: int) -> Any:
        return place(
            records.keys, len(records), count, lambda free: (self._next_turn(topic, free) + np.arange(free)) % count
        )

    def set_positions(self, group: str, positions: Mapping[TopicPartition, int]) -> None:
        """See `protocol.Transaction.set_positions`."""
        self._check_open()
        self._contents.positions.setdefault(group, {}).update(positions)

    def set_metadata(self, group: str, metadata: str) -> None:
        """See `protocol.Transaction.set_metadata`."""
        self._check_open()
        self._contents.metadata[group] = metadata

    def set_sequence(self, producer_id: str, sequence: int) -> None:
        """See `protocol.Transaction.set_sequence`."""
        self._check_open()
        self._contents.sequences[producer_id] = sequence

    def set_producer(self, producer_id: str, epoch: int, sequences: Mapping[TopicPartition, int] | None = None) -> None:
        """See `protocol.Transaction.set_producer`."""
        self._check_open()
        self._contents.producer = (producer_id, epoch, sequences or {})

    def set_compression(self, compression: Compression) -> None:
        """See `protocol.Transaction.set_compression`."""
        self._check_open()
        self._compression = compression

    def commit(self, durable: bool = True) -> Commit:
        """See `protocol.Transaction.commit`."""
        return self.begin_commit(durable).result()

    def begin_commit(self, durable: bool = True, after: Committing | None = None) -> LocalCommitting:
        """See `protocol.Transaction.begin_commit`."""
        contents = self.prepare()
        committer = self._committer
        if after is not None and not isinstance(after, LocalCommitting):
            raise InternalError("a transaction follows one of another log")
        if durable and not contents.joins and contents.bytes > self._settings.in_flight_bytes_min:
            return LocalCommitting(committer, committer.begin(contents, None if after is None else after.begun))
        if after is not None:
            after.result()
        outcomes: list[Outcome | None] = []
        committer.commit([(contents, durable)], outcomes)
        (outcome,) = outcomes
        if isinstance(outcome, BaseException):
            raise outcome
        if outcome is None:
            raise InternalError("a transaction was given up")
        return LocalCommitting(committer, InFlight(outcome, 0, 0, outcome))

    def prepare(self) -> Contents:
        """Complete the transaction and encode its large batches.  Nothing may be appended afterwards.

        Raises:
            StorageError: a topic does not exist any more, or a record is larger than a frame can be.
        """
        self._check_open()
        self._open = False
        contents = self._contents
        contents.rows = self._rows
        for (topic, partition), parts in self._parts.items():
            records = concat_records([p.records for p in parts])
            arrivals = parts[0].arrivals if len(parts) == 1 else np.concatenate([p.arrivals for p in parts])
            value_type = None if records.values.type == pa.binary() else records.values.type
            compression = self._state.topic(topic).config.compression
            if compression == "none":
                compression = self._compression
            count = self._counts[topic]
            contents.batches.append(
                PartitionBatch(
                    topic, self._topic_ids[topic], partition, count, value_type, records, arrivals, compression, []
                )
            )
        self._parts = {}
        contents.joins = contents.producer is None and all(batch.small for batch in contents.batches)
        if not contents.joins:
            for batch in contents.batches:
                batch.encode()
        return contents

    def abort(self) -> None:
        """See `protocol.Transaction.abort`."""
        self._open = False
        self._parts = {}

    def _check_open(self) -> None:
        self._state.check_process()
        if not self._open:
            raise InternalError("a transaction was used after its end")


@interrupts.doors(but={"done"})
class LocalCommitting:
    """See `protocol.Committing`."""

    def __init__(self, committer: Committer, begun: InFlight) -> None:
        self._committer = committer
        self.begun = begun

    @property
    def done(self) -> bool:
        """See `protocol.Committing.done`."""
        return self.begun.outcome is not None

    def result(self) -> Commit:
        """See `protocol.Committing.result`."""
        self._committer.check_process()
        outcome = self._committer.complete(self.begun)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome
