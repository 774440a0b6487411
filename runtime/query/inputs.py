"""The inputs of a query: the next offset of each, and the choice of the records of a step."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from contextvars import copy_context
from typing import Final

import numpy as np

from ...errors import DataError, OffsetOutOfRangeError
from ...storage.log.protocol import Log, TopicPartition, partitions
from ..batch import Int64s
from ..clock import now_ms
from ..dataflow import Dataflow, Source
from ..ordering import Queue, merge
from ..source import TIMESTAMP_SIDE, DecodedRecords, DecodedTopics
from .late_columns import late_columns, late_names
from .ledger import Ledger
from .repartitioning import subtopologies
from .step_data import Input, InputSlice

PARALLEL_ROWS_MIN: Final = 16_384
"""With so many waiting rows, reading partitions side by side is worth its cost."""
_Task = tuple[int, int]
"""A subtopology and a partition."""

_BEHIND_S: Final = 0.1
"""When to look again for records that a log of brokers said are there, and did not give: another one may lead the partition
now, and not know yet what is committed."""


class Inputs:
    """All partitions of all sources of a query.  Used with the query's lock held.

    Args:
        decoded: decodes topics, shared with other queries.
        rows_max: of a step.
        mine: the partitions of topics that this process has; None: all.
        pool: reads several partitions side by side, and ahead of the step in hand; None reads one after the other.
    """

    def __init__(
        self,
        dataflow: Dataflow,
        log: Log,
        decoded: DecodedTopics,
        rows_max: int,
        pool: Executor | None = None,
        mine: Container[TopicPartition] | None = None,
    ) -> None:
        self._dataflow = dataflow
        self._log = log
        self._decoded = decoded
        self._rows_max = rows_max
        self._pool = pool
        self._dense = log.capabilities.dense_offsets
        self._ends: Mapping[TopicPartition, int] = {}
        """The ends of all places at the last `take`."""
        self._ahead: list[Future[tuple[DecodedRecords, int]]] = []
        """What `read_ahead` has begun."""
        late = late_columns(dataflow)
        self._late = {n: late_names(s, late[n]) for n, s in enumerate(dataflow.nodes) if isinstance(s, Source)}
        self._entries = [
            Input(number, node, partition, 0)
            for number, node in enumerate(dataflow.nodes)
            if isinstance(node, Source)
            for partition in range(partitions(log, node.topic))
            if mine is None or (node.topic, partition) in mine
        ]
        self._subtopologies = subtopologies(dataflow)
        self.places = list({(i.source.topic, i.partition) for i in self._entries})
        self._waiting_since: dict[_Task, int] = {}
        """Task -> since when (ms) one of its inputs has had no records while another one had."""
        self._behind = False
        """Whether the last `take` found nothing, though records are known to be there."""

    def __iter__(self) -> Iterator[Input]:
        return iter(self._entries)

    @property
    def sources(self) -> frozenset[str]:
        """The names of the sources."""
        return frozenset(node.name for node in self._dataflow.nodes if isinstance(node, Source))

    def seek(self, ledger: Ledger) -> tuple[bool, bool]:
        """Go to the committed positions, or where the sources say that a new query starts.

        Returns:
            whether there were committed positions, and whether any input has none.
        """
        known = missing = False
        for source in self.sources:
            committed = ledger.positions(source)
            for entry in self._entries:
                if entry.source.name != source:
                    continue
                place = (entry.source.topic, entry.partition)
                if place in committed:
                    entry.offset = committed[place]
                    known = True
                else:
                    find = self._log.start_offset if entry.source.from_beginning else self._log.end_offset
                    entry.offset, missing = find(*place), True
                entry.committed = entry.kept = entry.offset
        return known, missing

    def go_back(self) -> None:
        """Go to the positions of the last commit."""
        for entry in self._entries:
            entry.offset = entry.committed

    def adopt(self, old: Inputs) -> None:
        """Go to the positions of the query that this one replaces: by source, else by topic, else the start."""
        offsets = {(i.source.name, i.source.topic, i.partition): i.offset for i in old}
        by_topic = old.positions
        for entry in self._entries:
            place = (entry.source.topic, entry.partition)
            offset = offsets.get((entry.source.name, *place), by_topic.get(place))
            entry.offset = entry.committed = entry.kept = self._log.start_offset(*place) if offset is None else offset

    @property
    def positions(self) -> dict[TopicPartition, int]:
        """The committed position in each partition of a topic; the smaller one if two sources read the topic."""
        found: dict[TopicPartition, int] = {}
        for entry in self._entries:
            place = (entry.source.topic, entry.partition)
            found[place] = min(found.get(place, entry.committed), entry.committed)
        return found

    @property
    def lag(self) -> int:
        """How many records have not been processed and committed."""
        _, ends = self._log.end_offsets(self.places)
        return sum(max(0, ends[i.source.topic, i.partition] - i.committed) for i in self._entries)

    @property
    def patience_s(self) -> float | None:
        """How long it still waits for an input without records, in seconds; None if it does not wait."""
        if self._behind:
            return _BEHIND_S
        now = now_ms()
        ends = [since + self._dataflow.max_task_idle_ms for since in list(self._waiting_since.values())]
        return min(((end - now) / 1000 for end in ends if end > now), default=None)

    def _task(self, entry: Input) -> _Task:
        return self._subtopologies[entry.node], entry.partition

    def _tasks_to_wait_for(self, ends: Mapping[TopicPartition, int]) -> set[_Task]:
        """Tasks with an input that has no records while another one has: the next record may still come there."""
        idle_ms = self._dataflow.max_task_idle_ms
        if idle_ms == 0 or self._dataflow.order == "arrival":
            return set()
        filled: dict[_Task, set[bool]] = {}
        for entry in self._entries:
            has_records = entry.offset < ends[entry.source.topic, entry.partition]
            filled.setdefault(self._task(entry), set()).add(has_records)
        half = {task for task, kinds in filled.items() if len(kinds) == 2}
        now = now_ms()
        self._waiting_since = {task: self._waiting_since.get(task, now) for task in half}
        return {task for task, since in self._waiting_since.items() if now - since < idle_ms}

    def take(self, rows: int, *, patient: bool) -> list[InputSlice]:
        """Choose the records of a step: the next ones of all inputs, in order.

        Args:
            rows: a limit beside ``rows_max``.
            patient: see `QueryRun.step`.

        Raises:
            DataError: the very first record has no valid timestamp, and its source needs one.
            OffsetOutOfRangeError: the next records of an input are gone, see `reset`.
            StorageError: the log cannot be read.
        """
        rows_max = self._rows_max
        rows = min(rows, rows_max)
        self.settle()
        _, ends = self._log.end_offsets(self.places)
        self._ends = ends
        held = self._tasks_to_wait_for(ends) if patient else set()
        found: list[InputSlice] = []
        queues: list[Queue] = []
        wanted: list[tuple[Input, int]] = []
        passed = True
        while passed and not found:
            passed = False  # only marks of commits were, behind which there may be records
            known = [(e, ends[e.source.topic, e.partition]) for e in self._entries if self._task(e) not in held]
            wanted = [(entry, end) for entry, end in known if entry.offset < end]
            for (entry, end), (chunk, row) in zip(wanted, self._fetch(wanted), strict=True):
                if not self._dense and row == len(chunk):
                    passed |= chunk.records.next_offset > entry.offset
                    entry.offset = entry.committed = max(entry.offset, chunk.records.next_offset)
                    continue
                available = int(np.searchsorted(chunk.records.offsets, end))
                stop = min(available, row + rows)
                at_end = stop == available and (available < len(chunk) or chunk.records.next_offset >= end)
                found.append(InputSlice(entry, chunk, row, stop, np.zeros(0, np.int64), end if at_end else 0))
                queues.append(Queue(chunk.timestamps[row:stop], chunk.records.arrivals[row:stop], not at_end))
        self._behind = not self._dense and not found and any(entry.offset < end for entry, end in wanted)
        if not found:
            return []
        merged = merge(queues, self._dataflow.order, rows)
        ranks = self._before_failure(found, merged.positions)
        for item, positions in zip(found, ranks, strict=True):
            count = len(positions)
            assert item.chunk is not None
            whole = count == item.stop - item.start
            item.stop = item.start + count
            item.positions = positions
            if whole and item.next_offset:
                continue  # read to the end, gaps of compaction included
            records = item.chunk.records
            if item.stop == len(item.chunk):
                item.next_offset = records.next_offset
            else:
                item.next_offset = int(records.offsets[item.stop])
        return found

    def _fetch(self, wanted: Sequence[tuple[Input, int]]) -> list[tuple[DecodedRecords, int]]:
        """What each input has next, and the row in it where it reads on; side by side, where much waits."""

        if self._pool is None or len(wanted) < 2 or sum(end - entry.offset for entry, end in wanted) < PARALLEL_ROWS_MIN:
            return [self._fetch_one(entry, entry.offset, end) for entry, end in wanted]
        running = [self._begin_to_fetch(self._pool, entry, entry.offset, end) for entry, end in wanted]
        wait(running)  # all of them, also where one fails
        return [future.result() for future in running]

    def _begin_to_fetch(self, pool: Executor, entry: Input, offset: int, end: int) -> Future[tuple[DecodedRecords, int]]:
        return pool.submit(copy_context().run, self._fetch_one, entry, offset, end)

    def _fetch_one(self, entry: Input, offset: int, end: int) -> tuple[DecodedRecords, int]:
        late = self._late[entry.node]
        return self._decoded.fetch(entry.source, entry.partition, offset, end, self._rows_max, late)

    def read_ahead(self, taken: Sequence[InputSlice]) -> None:
        """Begin to fetch what comes after these slices, if much waits there, so that the next `take` finds it decoded.

        Nothing is lost if the next step takes other records, or if this fails: then `take` reads, and raises, itself.
        """
        if self._pool is None or not self._log.capabilities.stable_records:
            return
        for item in taken:
            entry, end = item.input, self._ends.get((item.input.source.topic, item.input.partition), 0)
            if end - item.next_offset < PARALLEL_ROWS_MIN or item.chunk is None:
                continue
            if not self._decoded.is_spent(item.chunk, item.stop, self._rows_max):
                continue  # the next step goes on in this chunk
            self._ahead.append(self._begin_to_fetch(self._pool, entry, item.next_offset, end))

    def settle(self) -> None:
        """Wait for what `read_ahead` has begun; what has not begun yet never will."""
        ahead, self._ahead = self._ahead, []
        wait([job for job in ahead if not job.cancel()])

    def reset(self, outside: OffsetOutOfRangeError, *, overtaken: bool = False) -> list[Input]:
        """Move inputs whose next records are gone to where ``auto.offset.reset`` of their source says: the start or the end.

        Args:
            overtaken: an input whose next records were removed continues at the first one that is left instead.

        Returns:
            these inputs with their new ``offset``, not yet committed.
        """
        moved = []
        for entry in self._entries:
            here = (entry.source.topic, entry.partition) == (outside.topic, outside.partition)
            if here and not outside.start <= entry.offset <= outside.end:
                forward = overtaken and entry.offset < outside.start
                entry.offset = outside.start if forward or entry.source.from_beginning else outside.end
                moved.append(entry)
        return moved

    def _before_failure(self, found: list[InputSlice], ranks: Sequence[Int64s]) -> Sequence[Int64s]:
        """The ranks of the records before the first one whose timestamp its source needs and that has none.

        Raises:
            DataError: that is the very first one, so the query cannot go on.
        """
        failed: list[tuple[int, InputSlice, int]] = []
        for item, positions in zip(found, ranks, strict=True):
            if not item.input.source.needs_timestamps or item.chunk is None:
                continue
            stop = item.start + len(positions)
            faults = item.chunk.malformed.items()
            rows = [r for r, (side, _) in faults if side == TIMESTAMP_SIDE and item.start <= r < stop]
            if rows:
                failed.append((int(positions[min(rows) - item.start]), item, min(rows)))
        if not failed:
            return ranks
        first, item, row = min(failed, key=lambda f: f[0])
        if first == 0:
            assert item.chunk is not None
            place = f"{item.input.source.topic}, partition {item.input.partition}"
            offset = int(item.chunk.records.offsets[row])
            raise DataError(f"{place}, offset {offset}: {item.chunk.malformed[row][1]}")
        return [positions[: int(np.searchsorted(positions, first))] for positions in ranks]
