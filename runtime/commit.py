"""The commit of a step, and recovery.

The five steps (docs/commit.md has them with what each crash leaves behind):

1. Operators process a batch; outputs and state changes gather in a transaction.          (`queries`)
2. They are appended to their partitions' segments.                                       (`storage.log`)
3. The touched files are made durable.                                                    (`storage.log`)
4. One commit record says that it happened: epoch, input positions, end offsets.          (`storage.log`)
5. Readers see it.                                                                        (`storage.log`)

A query's state changes travel in the same transaction as its outputs and its input positions, so all three always agree.
Recovery of a store is its newest checkpoint plus the changelog after it; nothing is processed again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from ..errors import StorageError
from ..limits import BATCH_ROWS_MAX, CHECKPOINT_CHANGES_MIN
from ..storage.layout import CHANGELOG_PREFIX, state_directory
from ..storage.log.protocol import Log, Records, TopicConfig, Transaction
from ..storage.state.store import StateStore
from .clock import now_ms

_LOGGER = logging.getLogger("penstock.commit")


class Checkpoints(Protocol):
    """Where checkpoints live; `storage.state.checkpoint` implements it on files."""

    def save(self, query_id: str, name: str, partition: int, offset: int, table: pa.Table) -> None:
        """Keep a store's contents as of changelog offset ``offset`` durably, and drop older checkpoints of it."""

    def newest(self, query_id: str, name: str, partition: int) -> tuple[int, pa.Table] | None:
        """The newest whole checkpoint: changelog offset and contents.

        Raises:
            StorageError: there is one, but it is damaged.
        """

    def queries(self) -> Sequence[str]:
        """The queries that have checkpoints."""

    def delete(self, query_id: str) -> None:
        """Drop all checkpoints of a query."""


@dataclass(slots=True)
class DurableStore:
    """One store and its changelog.

    Attributes:
        name: ``<node>-<store>``, unique in the query.
        changes: rows in the changelog since the newest checkpoint.
        pending: the checkpoint that is being written.
        columns: of the changelog, once it is known to hold the store's changes.
    """

    query_id: str
    name: str
    partition: int
    partitions: int
    store: StateStore
    changes: int = 0
    pending: Future[None] | None = None
    columns: pa.Schema | None = None

    @property
    def topic(self) -> str:
        return f"{CHANGELOG_PREFIX}{self.query_id}-{self.name}"


@dataclass(slots=True)
class StateKeeper:
    """The durable side of all stores of a query (step 1's changes, checkpoints, recovery)."""

    log: Log
    checkpoints: Checkpoints
    stores: list[DurableStore] = field(default_factory=list)
    executor: Executor | None = None

    def recover(self) -> None:
        """Bring every store to the newest commit.

        Raises:
            StorageError: a checkpoint or a changelog is damaged.
        """
        topics = self.log.topics()
        for durable in self.stores:
            offset = 0
            newest = self.checkpoints.newest(durable.query_id, durable.name, durable.partition)
            if newest is not None:
                offset, table = newest
                durable.store.restore(as_schema(table, durable.store.schema))
            self._check_reach(durable, topics, None if newest is None else offset)
            if durable.topic in topics:
                for changes in self._changes(durable, offset):
                    durable.changes += changes.num_rows
                    durable.store.apply_changes(as_schema(changes, durable.store.change_schema))
            durable.store.discard_changes()

    def _check_reach(self, durable: DurableStore, topics: Mapping[str, TopicConfig], checkpoint: int | None) -> None:
        """Whether checkpoint and changelog together hold all of a store.  Raises: StorageError."""
        start = end = 0
        if durable.topic in topics:
            start = self.log.start_offset(durable.topic, durable.partition)
            end = self.log.end_offset(durable.topic, durable.partition)
        if start <= (checkpoint or 0) <= end:
            return
        which = f"the store {durable.name} of {durable.query_id}, partition {durable.partition}"
        if checkpoint is None:
            what = f"there is no checkpoint of {which}"
        elif checkpoint < start:
            what = f"the checkpoint of {which} is too old (offset {checkpoint})"
        else:
            what = f"the checkpoint of {which} is newer (offset {checkpoint}) than the log"
        raise StorageError(
            f"{what}: its changelog {durable.topic} holds offsets {start} to {end}",
            path=f"{state_directory(durable.query_id)}/",
            action="restore state and log from one backup, or drop the query and create it again, which reads its sources "
            "anew",
        )

    def adopt(self, old: StateKeeper) -> None:
        """Go on with the state of the query that this one replaces: from memory, and under the same names on disk.

        Nothing is written, so there is no moment at which a crash could lose it: the changelog and the checkpoints go on
        to hold it, with the columns that they were written with.
        """
        previous = {(d.name, d.partition): d for d in old.stores}
        for durable in self.stores:
            before = previous.get((durable.name, durable.partition))
            if before is not None:
                durable.store.restore(as_schema(before.store.checkpoint(), durable.store.schema))
                durable.store.discard_changes()
                durable.changes = before.changes

    def _changes(self, durable: DurableStore, offset: int) -> Iterator[pa.RecordBatch]:
        end = self.log.end_offset(durable.topic, durable.partition)
        while offset < end:
            records = self.log.read(durable.topic, durable.partition, offset, rows_max=BATCH_ROWS_MAX)
            offset = records.next_offset
            if len(records):
                yield pa.RecordBatch.from_struct_array(records.values)

    def drain_changes(self, *, kept: bool) -> list[tuple[DurableStore, pa.RecordBatch]]:
        """What changed since the last call, by store; nothing if no state is ``kept``, which lets go of the changes."""
        drained: list[tuple[DurableStore, pa.RecordBatch]] = []
        for durable in self.stores:
            if not kept:
                durable.store.discard_changes()
                continue
            changes = durable.store.drain_changes()
            if changes is not None and changes.num_rows:
                durable.changes += changes.num_rows
                drained.append((durable, changes))
        return drained

    def append_changes(self, transaction: Transaction, drained: list[tuple[DurableStore, pa.RecordBatch]]) -> None:
        """Add drained changes to the step's transaction."""
        for durable, changes in drained:
            changes = as_schema(changes, self._ensure_topic(durable, changes.schema))
            values = pa.StructArray.from_arrays(changes.columns, fields=list(changes.schema))
            stamps = np.full(changes.num_rows, now_ms(), np.int64)
            transaction.append(durable.topic, Records(None, values, stamps), durable.partition)

    def _ensure_topic(self, durable: DurableStore, schema: pa.Schema) -> pa.Schema:
        """Have a changelog that can hold the changes; returns its columns, which may be more than theirs."""
        if durable.columns is not None:
            return durable.columns
        durable.columns = self._topic_for(durable, schema)
        return durable.columns

    def _topic_for(self, durable: DurableStore, schema: pa.Schema) -> pa.Schema:
        config = self.log.topics().get(durable.topic)
        if config is None:
            config = TopicConfig(durable.partitions, pa.struct(list(schema)), internal=True)
            self.log.create_topic(durable.topic, config)
            return schema
        have = list(config.value_type or [])
        names = {f.name for f in have}
        added = [f for f in schema if f.name not in names]
        if added:  # the query was replaced by one that keeps more columns
            have += added
            self.log.alter_topic(durable.topic, replace(config, value_type=pa.struct(have)))
        return pa.schema(have)

    @property
    def due(self) -> bool:
        """A store's changelog has outgrown it, and no checkpoint of it is being written."""
        return any(self._due(durable) for durable in self.stores)

    def _due(self, durable: DurableStore) -> bool:
        if durable.pending is not None:
            if not durable.pending.done():
                return False
            pending, durable.pending = durable.pending, None
            pending.result()
        return durable.changes >= max(CHECKPOINT_CHANGES_MIN, 2 * len(durable.store))

    def checkpoint_if_due(self) -> None:
        """After a commit: checkpoint stores whose changelog has outgrown them, in the background."""
        for durable in self.stores:
            if self._due(durable):
                self.checkpoint(durable)

    def checkpoint(self, durable: DurableStore) -> None:
        """Write a checkpoint as of the newest commit and let go of the changelog before it."""
        offset = 0
        if durable.topic in self.log.topics():
            offset = self.log.end_offset(durable.topic, durable.partition)
        table = durable.store.checkpoint()
        durable.changes = 0

        def write() -> None:
            self.checkpoints.save(durable.query_id, durable.name, durable.partition, offset, table)
            if durable.topic in self.log.topics():
                self.log.delete_before(durable.topic, durable.partition, offset)

        if self.executor is None:
            write()
        else:
            durable.pending = self.executor.submit(write)

    def settle(self) -> None:
        """Wait for checkpoints that are being written.

        Raises:
            StorageError: one could not be written.
        """
        for durable in self.stores:
            if durable.pending is not None:
                pending, durable.pending = durable.pending, None
                pending.result()

    def abandon(self) -> None:
        """Wait for checkpoints that are being written, and go on without those that fail: the changelog has it all."""
        for durable in self.stores:
            pending, durable.pending = durable.pending, None
            error = None if pending is None else pending.exception()
            if error is not None:
                _LOGGER.warning("no checkpoint of %s, partition %d: %s", durable.topic, durable.partition, error)

    def forget(self) -> None:
        """The query is gone: delete changelogs and checkpoints."""
        self.abandon()
        topics = self.log.topics()
        for topic in {d.topic for d in self.stores}:
            if topic in topics:
                self.log.delete_topic(topic)
        for query_id in {d.query_id for d in self.stores}:
            self.checkpoints.delete(query_id)


def as_schema(rows: Any, schema: pa.Schema) -> Any:
    """The columns of a table or batch by name, as ``schema`` wants them; null where there is none.

    A query that was replaced (CREATE OR REPLACE) finds state with the columns of the one before.
    """
    if rows.schema.equals(schema):
        return rows
    have = set(rows.schema.names)
    columns = [rows.column(f.name) if f.name in have else pa.nulls(rows.num_rows, f.type) for f in schema]
    return type(rows).from_arrays(columns, schema=schema)


class NoCheckpoints:
    """For an engine in memory, whose state ends with it."""

    def save(self, query_id: str, name: str, partition: int, offset: int, table: Any) -> None:
        """Nothing to keep."""

    def newest(self, query_id: str, name: str, partition: int) -> None:
        """There is never one."""
        return None

    def queries(self) -> Sequence[str]:
        """There are never any."""
        return ()

    def delete(self, query_id: str) -> None:
        """Nothing to drop."""
