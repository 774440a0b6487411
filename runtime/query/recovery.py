"""The durable side of a query's state: changelogs, checkpoints, and recovery from both.

State changes travel in the same transaction as outputs and input positions (`commit`), so all three always agree.  A
store is recovered from its newest checkpoint and the changelog after it; no record is processed again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from ...errors import StorageError
from ...limits import BATCH_ROWS_MAX, CHECKPOINT_CHANGES_MIN
from ...storage.layout import CHANGELOG_PREFIX, state_directory
from ...storage.log.keyed_rows import KeyedRows
from ...storage.log.protocol import Commit, Log, OffsetReset, Records, TopicPartition, Transaction
from ...storage.state.interval_store import IntervalStore
from ...storage.state.keyed_store import KeyedStore
from ...storage.state.scalar_store import ScalarStore
from ...storage.state.store import SLOT, Capture, StateStore
from ..clock import now_ms
from .changelog import DELETIONS_KNOWN_MS, Expiring, changelog_config, without_places

_LOGGER = logging.getLogger("penstock.commit")
_LENT_BYTES_MIN = 256 * 1024
"""Frames smaller than this are not mapped, since they are copied out of the map anyway."""
_ANEW = "DROP what the query fills and create it again, which reads its sources from the beginning"


class SavedState(Protocol):
    """A checkpoint that was read."""

    @property
    def offset(self) -> int:
        """The changelog offset: changes from there on are not in it."""
        ...

    @property
    def base(self) -> int:
        """The offset of its base; equal to ``offset`` if there is no delta."""
        ...

    @property
    def table(self) -> pa.Table: ...

    @property
    def delta(self) -> pa.Table | None: ...


class Checkpoints(Protocol):
    """Where checkpoints are kept; `storage.state.checkpoint` keeps them in files."""

    def save(self, query_id: str, name: str, partition: int, offset: int, table: pa.Table, base: int | None = None) -> None:
        """Save a store's contents as of a changelog offset, durably, and delete the checkpoints that it replaces.

        Args:
            base: ``table`` is a delta to the base at this offset; None: it is a base.
        """

    def newest(self, query_id: str, name: str, partition: int) -> SavedState | None:
        """The newest whole checkpoint; None without one.

        Raises:
            StorageError: it is damaged.
        """
        ...

    def rows(self) -> int:
        """The approximate number of rows of all checkpoints."""
        ...

    def queries(self) -> Sequence[str]:
        """The queries that have checkpoints."""
        ...

    def delete(self, query_id: str) -> None:
        """Drop all checkpoints of a query."""


@dataclass(slots=True)
class DurableStore:
    """One store and its changelog.

    Attributes:
        name: ``<node>-<store>``, unique in the query.
        changes: the number of changelog rows since the newest checkpoint.
        base: the changelog offset of the checkpoint that a delta may refer to; None if the next one must be whole.
        pending: the checkpoint being written.
        end: the changelog offset up to which it was restored.
        columns: those of the changelog; None until it was checked that they can hold the store's changes.
        compacted: whether the changelog is compacted; valid when ``columns`` is set.
        expiring: knows which rows of a shared changelog have expired; None if rows do not expire.
    """

    query_id: str
    name: str
    partition: int
    partitions: int
    store: StateStore
    changes: int = 0
    base: int | None = None
    pending: Future[None] | None = None
    end: int = 0
    columns: pa.Schema | None = None
    compacted: bool = False
    expiring: Expiring | None = None

    @property
    def topic(self) -> str:
        return f"{CHANGELOG_PREFIX}{self.query_id}-{self.name}"


@dataclass(slots=True)
class StateKeeper:
    """The durable side of all stores of a query."""

    log: Log
    checkpoints: Checkpoints
    stores: list[DurableStore] = field(default_factory=list)
    executor: Executor | None = None
    standby: Callable[[str, int], DurableStore | None] = lambda name, partition: None
    """Gives the standby copy of a store: this process kept it up to date while another process had the partition."""

    def recover(self, done: Callable[[int], None] = lambda rows: None) -> None:
        """Restore every store as of the newest commit, several at the same time.

        Args:
            done: called on any thread with the number of rows of checkpoints and changelogs processed since its last
                call.

        Raises:
            StorageError: a checkpoint or a changelog is damaged.
        """
        workers = min(len(self.stores), os.cpu_count() or 1)
        if workers < 2:
            for durable in self.stores:
                self._recover(durable, done)
            return
        with ThreadPoolExecutor(workers, thread_name_prefix="penstock-recover") as pool:
            running = [pool.submit(copy_context().run, self._recover, durable, done) for durable in self.stores]
        for future in running:  # all have ended
            future.result()

    def recover_one(self, durable: DurableStore) -> None:
        """`recover`, of one store that need not be among ``stores``.  Raises: StorageError."""
        self._recover(durable, lambda rows: None)

    def _take_over(self, durable: DurableStore, standby: DurableStore, done: Callable[[int], None]) -> None:
        """Go on from a standby copy of a store."""
        self.log.settle([(durable.topic, durable.partition)])
        table = standby.store.checkpoint()
        done(table.num_rows)
        durable.changes, durable.base, durable.end = standby.changes, None, standby.end
        durable.expiring = standby.expiring

        def changes() -> Iterator[pa.RecordBatch]:
            for batch in self.changes_after(durable, standby.end):
                durable.changes += batch.num_rows
                yield as_schema(batch, durable.store.change_schema)
                done(batch.num_rows)

        durable.store.restore(as_schema(table, durable.store.schema), changes())
        _LOGGER.info("%s, partition %d: from a standby at %d", durable.topic, durable.partition, standby.end)

    def _recover(self, durable: DurableStore, done: Callable[[int], None]) -> None:
        store = durable.store
        standby = self.standby(durable.name, durable.partition)
        if standby is not None and self.log.config(durable.topic) is not None:
            if self._knows_deletions(standby, standby.end):
                self._take_over(durable, standby, done)
                return
            _LOGGER.warning("the standby of %s, partition %d, is too old", durable.topic, durable.partition)
        if self._shared and isinstance(store, IntervalStore):
            durable.expiring = Expiring(store)
        saved = self.checkpoints.newest(durable.query_id, durable.name, durable.partition)
        durable.changes, durable.base = 0, None
        if self._shared:
            saved = self._within_reach(durable, saved)
        else:
            self._check_reach(durable, None if saved is None else saved.offset)
        table = None if saved is None else as_schema(saved.table, store.schema)
        if durable.expiring is not None and saved is not None:
            durable.expiring.written(saved.offset, table)

        def changes() -> Iterator[pa.RecordBatch]:
            if saved is not None:
                done(saved.table.num_rows)
                if saved.delta is not None:
                    yield from as_schema(saved.delta, store.change_schema).to_batches(max_chunksize=BATCH_ROWS_MAX)
                    done(saved.delta.num_rows)
            if self.log.config(durable.topic) is not None:
                for batch in self.changes_after(durable, 0 if saved is None else saved.offset):
                    durable.changes += batch.num_rows
                    yield as_schema(batch, store.change_schema)
                    done(batch.num_rows)

        store.restore(table, changes())
        if saved is not None and store.delta_rows is not None:
            durable.base = saved.base

    @property
    def _shared(self) -> bool:
        """Whether the changelog has the whole state, for other processes too.  A checkpoint is then only a copy."""
        return self.log.capabilities.shared

    def _within_reach(self, durable: DurableStore, saved: SavedState | None) -> SavedState | None:
        """The checkpoint, if the changelog can bring it up to date; else None, and the changelog alone has the state."""
        if self.log.config(durable.topic) is None:
            durable.end = 0
            return None
        self.log.settle([(durable.topic, durable.partition)])
        if saved is not None and saved.offset > self.log.end_offset(durable.topic, durable.partition):
            _LOGGER.warning("the checkpoint of %s, partition %d, is not of this log", durable.topic, durable.partition)
            saved = None
        if saved is not None and not self._knows_deletions(durable, saved.offset):
            saved = None
        durable.end = 0 if saved is None else saved.offset
        return saved

    def _knows_deletions(self, durable: DurableStore, offset: int) -> bool:
        """Whether a copy of a store as of an offset of its changelog can be brought up to date: every key that has gone
        since still has its tombstone."""
        place = (durable.topic, durable.partition)
        if KeyedRows.of(self.log.config(durable.topic)) is None or offset >= self.log.end_offset(*place):
            return True
        return self.log.offset_for_time(*place, now_ms() - DELETIONS_KNOWN_MS) <= offset

    def _check_reach(self, durable: DurableStore, checkpoint: int | None) -> None:
        """Whether checkpoint and changelog together hold all of a store.  Raises: StorageError."""
        start = end = 0
        if self.log.config(durable.topic) is not None:
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
            action=f"restore state and log from one backup, or {_ANEW}",
        )

    @property
    def stream_time(self) -> int | None:
        """The smallest stream time (ms) of the operators on a partition; None if none has one."""
        scalars = (durable.store for durable in self.stores if isinstance(durable.store, ScalarStore))
        times = [found for store in scalars if (found := store.stream_time) is not None]
        return min(times, default=None)

    @property
    def size_bytes(self) -> int:
        """The estimated memory of the stores."""
        return sum(durable.store.size_bytes for durable in self.stores)

    def mark(self) -> list[Capture]:
        """Mark the present state for `go_back`.  Marking is cheap, but writes copy what they overwrite while the mark is
        held.
        """
        return [durable.store.mark() for durable in self.stores]

    def go_back(self, marks: Sequence[Capture], old: StateKeeper) -> None:
        """Restore the state that the stores of ``old``, the same ones before, had when they were marked."""
        for durable, before, mark in zip(self.stores, old.stores, marks, strict=True):
            durable.store.restore(mark())
            durable.changes, durable.columns = before.changes, before.columns
            durable.compacted, durable.expiring = before.compacted, before.expiring
            durable.base = None  # what is on disk is older than what was marked

    def adopt(self, old: StateKeeper) -> None:
        """Take over the state of the query that this one replaces: the stores in memory, and the names on disk.

        Nothing is written, so there is no moment at which a crash could lose the state: changelog and checkpoints keep it
        with the columns that they were written with.
        """
        previous = {(d.name, d.partition): d for d in old.stores}
        for durable in self.stores:
            before = previous.get((durable.name, durable.partition))
            if before is not None:
                durable.store.restore(as_schema(before.store.checkpoint(), durable.store.schema))
                # What is on disk knows the slots if it knew them before; its base has other columns.
                durable.store.numbered = before.store.numbered
                durable.changes, durable.expiring = before.changes, before.expiring

    def changes_after(self, durable: DurableStore, offset: int) -> Iterator[pa.RecordBatch]:
        """The changelog from ``offset`` on; while a batch is worked on, the next is read."""
        end = self.log.end_offset(durable.topic, durable.partition)
        batches = self._read(durable, offset, end)
        return _ahead(batches) if end - offset > BATCH_ROWS_MAX else batches

    def _read(self, durable: DurableStore, offset: int, end: int) -> Iterator[pa.RecordBatch]:
        reset: OffsetReset = "earliest" if self._shared else "none"  # what had expired may be gone from the front
        while offset < end:
            records = self.log.read(durable.topic, durable.partition, offset, rows_max=BATCH_ROWS_MAX, reset=reset)
            offset = records.next_offset
            durable.end = max(durable.end, offset)
            if len(records):
                batch = pa.RecordBatch.from_struct_array(records.values)
                if durable.expiring is not None:
                    durable.expiring.written(offset, batch)
                yield batch

    def drain_changes(self, *, kept: bool) -> list[tuple[DurableStore, pa.RecordBatch]]:
        """The changes since the last call, by store.  If no state is ``kept``, the changes are dropped."""
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
        """Add drained changes to the transaction of a step."""
        for durable, changes in drained:
            changes = as_schema(changes, self._ensure_topic(durable, changes.schema))
            if durable.compacted:
                changes = without_places(changes, durable.store)
            values = pa.StructArray.from_arrays(changes.columns, fields=list(changes.schema))
            stamps = np.full(changes.num_rows, now_ms(), np.int64)
            transaction.append(durable.topic, Records(None, values, stamps), durable.partition)

    def committed(self, commit: Commit, drained: list[tuple[DurableStore, pa.RecordBatch]]) -> None:
        """After a large step, let stores refer to their rows in the mapped log instead of keeping copies.

        The operating system can then reclaim that memory.
        """
        for durable, changes in drained:
            if durable.expiring is not None:
                durable.expiring.written(commit.ends[durable.topic, durable.partition], changes)
        if not self.log.capabilities.stable_records:
            return
        for durable, changes in drained:
            start, store = commit.starts.get((durable.topic, durable.partition)), durable.store
            lends = isinstance(store, IntervalStore) or (isinstance(store, KeyedStore) and store.lends)
            if start is None or not lends or changes.nbytes < _LENT_BYTES_MIN:
                continue
            pieces, left = [], changes.num_rows
            for records in self.log.scan(durable.topic, durable.partition, start):
                batch = pa.RecordBatch.from_struct_array(records.values)
                pieces.append(as_schema(batch.slice(0, left), store.change_schema))
                left -= pieces[-1].num_rows
                if not left:
                    break
            if not left and isinstance(store, KeyedStore):
                store.lend(changes, pieces)
            elif not left and isinstance(store, IntervalStore):
                store.lend(pieces)

    def _ensure_topic(self, durable: DurableStore, schema: pa.Schema) -> pa.Schema:
        """Have a changelog that can hold the changes; returns its columns, which may be more than theirs."""
        if durable.columns is not None:
            return durable.columns
        durable.columns = self._topic_for(durable, schema)
        return durable.columns

    def _topic_for(self, durable: DurableStore, schema: pa.Schema) -> pa.Schema:
        config = self.log.config(durable.topic)
        if config is None:
            config = changelog_config(durable.store, durable.partitions, schema, shared=self._shared)
            durable.compacted = KeyedRows.of(config) is not None
            if self._shared and isinstance(durable.store, IntervalStore):
                durable.expiring = Expiring(durable.store)
            self.log.create_topic(durable.topic, config, durable=False)  # what it gets is committed behind it
            return schema
        durable.compacted = KeyedRows.of(config) is not None
        have = list(config.value_type or [])
        names = {f.name for f in have}
        added = [f for f in schema if f.name not in names]
        if added:  # the query was replaced by one that keeps more columns
            have += added
            self.log.alter_topic(durable.topic, replace(config, value_type=pa.struct(have)))
        return pa.schema(have)

    def expired(self) -> dict[TopicPartition, int]:
        """The offsets before which changelogs hold only expired rows; only those that have grown since the last call."""
        return {
            (durable.topic, durable.partition): end
            for durable in self.stores
            if durable.expiring is not None
            and isinstance(durable.store, IntervalStore)
            and (end := durable.expiring.over(durable.store))
        }

    @property
    def due(self) -> bool:
        """Whether a store's changelog has outgrown it and no checkpoint of it is being written."""
        return any(self._due(durable) for durable in self.stores)

    def _due(self, durable: DurableStore) -> bool:
        if durable.pending is not None:
            if not durable.pending.done():
                return False
            pending, durable.pending = durable.pending, None
            pending.result()
        if durable.changes < CHECKPOINT_CHANGES_MIN:
            return False
        return durable.changes >= 2 * (self._delta_rows(durable) or len(durable.store))

    @staticmethod
    def _delta_rows(durable: DurableStore) -> int | None:
        """How many rows a delta would have; None if that is most of the store, so that a whole checkpoint is better."""
        rows = None if durable.base is None else durable.store.delta_rows
        return None if rows is None or 2 * rows > len(durable.store) else rows

    def checkpoint_if_due(self) -> None:
        """After a commit: in the background, checkpoint stores whose changelog has outgrown the cost of a checkpoint."""
        for durable in self.stores:
            if self._due(durable):
                self.checkpoint(durable)

    def checkpoint(self, durable: DurableStore) -> None:
        """Write a checkpoint as of the newest commit, and delete the changelog before it."""
        offset = 0
        if self._shared:
            offset = max(durable.end, self.log.own_end(durable.topic, durable.partition))
        elif self.log.config(durable.topic) is not None:
            offset = self.log.end_offset(durable.topic, durable.partition)
        base = None if self._delta_rows(durable) is None else durable.base
        captured = durable.store.capture() if base is None else durable.store.capture_delta()
        durable.changes = 0
        durable.base = None  # if this one cannot be written, the next one is whole

        def write() -> None:
            table = captured()
            self.log.flush()  # a checkpoint of commits that a crash can lose would be ahead of the log
            self.checkpoints.save(durable.query_id, durable.name, durable.partition, offset, table, base)
            durable.base = offset if base is None else base
            if self.log.config(durable.topic) is not None and not self._shared:
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
        """Wait for checkpoints that are being written, ignoring failures: the changelog has everything."""
        for durable in self.stores:
            pending, durable.pending = durable.pending, None
            error = None if pending is None else pending.exception()
            if error is not None:
                _LOGGER.warning("no checkpoint of %s, partition %d: %s", durable.topic, durable.partition, error)

    def forget(self) -> None:
        """Delete changelogs and checkpoints, since the query is gone."""
        self.abandon()
        for topic in {d.topic for d in self.stores}:
            if self.log.config(topic) is not None:
                self.log.delete_topic(topic)
        for query_id in {d.query_id for d in self.stores}:
            self.checkpoints.delete(query_id)


def _ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the same batches, while another thread prepares the next one."""
    with ThreadPoolExecutor(1, thread_name_prefix="penstock-read-ahead") as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


def as_schema(rows: Any, schema: pa.Schema) -> Any:
    """The columns of a table or batch in the form of ``schema``, by name; null for missing ones.

    A query that replaces another (CREATE OR REPLACE) finds state with that one's columns.

    Raises:
        StorageError: another version of Penstock kept a column in another way.
    """
    if rows.schema.equals(schema):
        return rows
    fields = list(schema)
    for wanted in fields:
        kept = rows.schema.field(wanted.name).type if wanted.name in rows.schema.names else wanted.type
        if not _means_the_same(kept, wanted.type):
            raise StorageError(
                f"the state of the query was kept by another version of Penstock: {wanted.name} is of the type {kept}, "
                f"not {wanted.type}",
                action=f"open it with that version, or {_ANEW}",
            )
    extra = [f for f in rows.schema if f.name not in schema.names and f.name.rstrip("'") == SLOT]
    have = set(rows.schema.names)
    columns = [rows.column(f.name) if f.name in have else pa.nulls(rows.num_rows, f.type) for f in [*fields, *extra]]
    return type(rows).from_arrays(columns, schema=pa.schema([*fields, *extra], rows.schema.metadata))


def _means_the_same(kept: Any, wanted: Any) -> bool:
    """Whether a cast between two Arrow types keeps the meaning of values.  A DECIMAL is not the integer of its digits."""
    if pa.types.is_nested(wanted) or pa.types.is_nested(kept):
        parts = range(min(kept.num_fields, wanted.num_fields))
        return bool(kept.id == wanted.id) and all(_means_the_same(kept.field(i).type, wanted.field(i).type) for i in parts)
    return bool(pa.types.is_decimal(kept) == pa.types.is_decimal(wanted))


class NoCheckpoints:
    """For an engine in memory, whose state ends with it."""

    def save(self, query_id: str, name: str, partition: int, offset: int, table: Any, base: int | None = None) -> None:
        """Nothing to keep."""

    def newest(self, query_id: str, name: str, partition: int) -> None:
        """There is never one."""
        return None

    def rows(self) -> int:
        """There are never any."""
        return 0

    def queries(self) -> Sequence[str]:
        """There are never any."""
        return ()

    def delete(self, query_id: str) -> None:
        """Nothing to drop."""
