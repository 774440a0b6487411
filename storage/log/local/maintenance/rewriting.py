"""Writing sealed segments anew: merging small frames, and what compaction keeps.

Crash before the journal's entry is durable => the new files are unknown and removed on open; after => the old ones are.
Readers that hold the old segments go on reading them, or look again.  The write lock is held for the entry only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .....errors import StorageError
from .....limits import FRAME_ROWS_MAX
from ....files import discard
from ....layout import segment_path
from ...protocol import FetchedRecords, TopicConfig
from ..manifest import SegmentsReplaced, SegmentState
from ..segments.partition import Partition
from ..segments.record import concat_fetched, encode_frames, rows_of, slice_records
from ..segments.segment import Segment, segment_header
from .subject import Maintained

__all__ = ["Interrupted", "Kept", "RateLimiter", "Rewriter", "restate", "scan", "sliced"]

_MERGED_FRAME_BYTES = 4 * 1024 * 1024
"""Size at which a merged frame is closed: large enough for scans, small enough to be read for one row."""

_SYNC_BYTES = 8 * 1024 * 1024
"""Written bytes after which a segment that is being written is synced: a commit's own sync waits for no more than these."""


class Interrupted(Exception):
    """The log is being closed, so the work was given up.  Maintenance does it again another time."""


class RateLimiter:
    """Bounds how fast maintenance reads and writes, so that commits and readers have the disk and the processor, too.

    Args:
        bytes_per_s: read and written together; None for no bound.
        stopping: asked now and then; once it holds, `spend` raises `Interrupted`.
    """

    def __init__(self, bytes_per_s: float | None, stopping: Callable[[], bool]) -> None:
        self._bytes_per_s = bytes_per_s
        self._stopping = stopping
        self._free_at_s = time.monotonic()

    def spend(self, size_bytes: int) -> None:
        """Count bytes that are about to be read or written, and sleep as long as earlier ones exceed the rate.

        The time that the work takes counts, so a pass that is slower than the limit does not sleep.

        Raises:
            Interrupted: the log is being closed.
        """
        if self._stopping():
            raise Interrupted
        if self._bytes_per_s is None:
            return
        while (left_s := self._free_at_s - time.monotonic()) > 0:
            if self._stopping():
                raise Interrupted
            time.sleep(min(left_s, 0.05))
        self._free_at_s = time.monotonic() + size_bytes / self._bytes_per_s


def restate(log: Maintained, partition: Partition, state: SegmentState, **changes: Any) -> None:
    """Record a new state of a segment, durably, without touching its file.  Do nothing if the segment is gone.

    Raises:
        StorageError: it could not be recorded.
    """
    with log.committer.write_lock:
        if log.state.is_gone(partition):
            return
        key = (state.base, state.generation)
        present = [s for s in partition.state.segments if (s.base, s.generation) == key]
        if present:
            noted = msgspec.structs.replace(present[0], **changes)
            start = partition.state.start
            log.committer.record(SegmentsReplaced(partition.topic, partition.number, start, [key], [noted]))


def scan(
    segment: Segment, config: TopicConfig, limiter: RateLimiter, fields: Sequence[str] | None = None
) -> Iterator[FetchedRecords]:
    """All records of a sealed segment, in pieces of about a frame's size.

    Args:
        fields: of typed values, see `rows_of`.

    Raises:
        StorageError: a frame is damaged.
        Interrupted: see `RateLimiter`.
    """
    index = segment.index()
    parts: list[FetchedRecords] = []
    headers: list[Any] = []
    batches: list[Any] = []
    size = rows = 0

    def decoded() -> FetchedRecords:
        return rows_of(headers, batches, segment.value_type, config.value_type, fields)

    data = segment.data()
    for position in tuple(index.positions):
        header, batch = segment.frame(position, data)
        if headers and headers[0].shape != header.shape:
            parts.append(decoded())
            headers, batches = [], []
        headers.append(header)
        batches.append(batch)
        size += header.body_length
        rows += header.rows
        if size >= _MERGED_FRAME_BYTES or rows >= FRAME_ROWS_MAX:
            limiter.spend(size)
            parts.append(decoded())
            yield concat_fetched(parts)
            parts, headers, batches, size, rows = [], [], [], 0, 0
    if headers:
        limiter.spend(size)
        parts.append(decoded())
    if parts:
        yield concat_fetched(parts)


@dataclass(frozen=True, slots=True)
class Kept:
    """What becomes of neighbouring records.

    Attributes:
        keep: which of them stay; None for all.
        cleaned, cleaned_ms: these attributes of their new segment (see `SegmentState`); records for which they differ go
            to different segments.
    """

    records: FetchedRecords
    keep: npt.NDArray[np.bool_] | None
    cleaned: bool
    cleaned_ms: int


class Rewriter:
    """Writes the records of neighbouring sealed segments to new segments, which then replace the old ones.

    Args:
        states: of the old segments, in order.
    """

    def __init__(
        self,
        log: Maintained,
        partition: Partition,
        config: TopicConfig,
        states: Sequence[SegmentState],
        limiter: RateLimiter,
    ) -> None:
        self._log = log
        self._files = log.files
        self._partition = partition
        self._config = config
        self._old = list(states)
        self._limiter = limiter
        self._generation = max(s.generation for s in states) + 1
        self._segment_bytes = config.segment_bytes or log.settings.segment_bytes_max
        self._states: list[SegmentState] = []
        self._file: Any = None
        self._unsynced = 0
        self._waiting: list[FetchedRecords] = []
        """Records that are kept, until there are enough for a frame."""
        self._waiting_rows = self._waiting_bytes = 0

    def run(self, choose: Callable[[SegmentState, FetchedRecords], Sequence[Kept]]) -> None:
        """Write and replace.

        Args:
            choose: asked for the records of each old segment, piece by piece and in order.

        Raises:
            StorageError: a file is damaged, or the disk is full; the old segments stay.
            Interrupted: see `RateLimiter`; the old segments stay.
        """
        try:
            for state in self._old:
                for records in scan(self._partition.segment_of(state), self._config, self._limiter):
                    for kept in choose(state, records):
                        self._add(kept)
            self._flush()
            if not self._states:
                self._start(self._old[0].base, True, self._old[0].cleaned_ms)
            self._finish_file()
            self._states[-1].end = self._old[-1].end
            self._files.sync_directory(self._partition.directory)
            self._replace()
        except (StorageError, Interrupted):
            with suppress(StorageError):  # what cannot be removed goes when the database is opened next
                self._discard()
            raise
        except BaseException:
            if self._file is not None:
                self._file.close()
            raise

    def _replace(self) -> None:
        partition = self._partition
        with self._log.committer.write_lock:
            if self._log.state.is_gone(partition) or any(s not in partition.state.segments for s in self._old):
                self._discard()  # the topic was deleted, or retention took a segment away
                return
            doomed = {partition.segment_of(s) for s in self._old}
            keys = [(s.base, s.generation) for s in self._old]
            start = partition.state.start
            added, self._states = self._states, []  # from here on a failure must not remove them: they may count
            self._log.committer.record(SegmentsReplaced(partition.topic, partition.number, start, keys, added))
            self._log.committer.forget_segments(doomed)
        for segment in doomed:
            segment.remove()

    def _discard(self) -> None:
        """Remove what was written."""
        if self._file is not None:
            self._file.close()
            self._file = None
        for state in self._states:
            discard(self._files, self._path(state.base))

    def _path(self, base: int) -> str:
        p = self._partition
        return segment_path(p.topic, p.topic_id, p.number, base, self._generation)

    def _start(self, base: int, cleaned: bool, cleaned_ms: int) -> None:
        """Begin a segment at ``base``; the one before it ends there."""
        if self._file is not None:
            self._finish_file()
            self._states[-1].end = base
        self._file = self._files.open(self._path(base), create=True)
        header = segment_header(
            self._partition.topic, self._partition.number, base, self._generation, self._config.value_type
        )
        oldest = -(2**63)
        self._states.append(
            SegmentState(
                base,
                self._generation,
                len(header),
                base,
                oldest,
                sealed=True,
                merged=True,
                cleaned=cleaned,
                cleaned_ms=cleaned_ms,
            )
        )
        self._file.truncate(0)
        self._file.write(0, header)

    def _finish_file(self) -> None:
        self._file.sync()
        self._file.close()
        self._file = None
        self._unsynced = 0

    def _add(self, kept: Kept) -> None:
        """Add kept records, which follow those added before."""
        records = kept.records if kept.keep is None or kept.keep.all() else _filtered(kept.records, kept.keep)
        if len(records) == 0:
            return
        last = self._states[-1] if self._states else None
        if last is None or (last.cleaned, last.cleaned_ms) != (kept.cleaned, kept.cleaned_ms):
            self._flush()
            self._start(self._old[0].base if last is None else int(records.offsets[0]), kept.cleaned, kept.cleaned_ms)
        self._waiting.append(records)
        self._waiting_rows += len(records)
        self._waiting_bytes += sum(c.nbytes for c in (records.keys, records.values, records.headers) if c is not None)
        if self._waiting_rows >= FRAME_ROWS_MAX or self._waiting_bytes >= min(_MERGED_FRAME_BYTES, self._segment_bytes):
            self._flush()

    def _flush(self) -> None:
        """Write the waiting records as a frame."""
        if not self._waiting:
            return
        records = concat_fetched(self._waiting)
        self._waiting, self._waiting_rows, self._waiting_bytes = [], 0, 0
        frames = encode_frames(
            records,
            records.arrivals,
            self._config.value_type,
            offsets=records.offsets,
            offset_end=records.next_offset,
            compression=self._config.compression,
        )
        row = 0
        for frame in frames:
            base = int(records.offsets[row])
            state = self._states[-1]
            if state.end > state.base and state.length + frame.size > self._segment_bytes:
                self._start(base, state.cleaned, state.cleaned_ms)
                state = self._states[-1]
            self._limiter.spend(frame.size)
            self._file.write(state.length, frame.header(records.epoch, base, frame.first_arrival), *frame.body)
            state.length += frame.size
            state.end = base + frame.offset_span
            state.timestamp_max = max(state.timestamp_max, frame.timestamp_max)
            row += frame.rows
            self._unsynced += frame.size
            if self._unsynced >= _SYNC_BYTES:
                self._file.sync()
                self._unsynced = 0


def _filtered(records: FetchedRecords, keep: npt.NDArray[np.bool_]) -> FetchedRecords:
    mask = pa.array(keep)
    return FetchedRecords(
        None if records.keys is None else records.keys.filter(mask),
        records.values.filter(mask),
        records.timestamps[keep],
        None if records.headers is None else records.headers.filter(mask),
        offsets=records.offsets[keep],
        arrivals=records.arrivals[keep],
        epoch=records.epoch,
        next_offset=records.next_offset,
    )


def sliced(records: FetchedRecords, start: int, stop: int) -> FetchedRecords:
    """Rows start..stop-1, without copying; ``next_offset`` is that of the row after them where there is one."""
    columns = slice_records(records, start, stop)
    return FetchedRecords(
        columns.keys,
        columns.values,
        columns.timestamps,
        columns.headers,
        offsets=records.offsets[start:stop],
        arrivals=records.arrivals[start:stop],
        epoch=records.epoch,
        next_offset=records.next_offset if stop == len(records) else int(records.offsets[stop]),
    )
