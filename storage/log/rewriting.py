"""Writing sealed segments anew: merging small frames, and what compaction keeps.

Crash before the journal's entry is durable => the new files are unknown and removed on open; after => the old ones are.
Readers that hold the old segments go on reading them, or look again.  The write lock is held for the entry only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...limits import FRAME_ROWS_MAX
from ..files import Files
from ..layout import segment_path
from .manifest import SegmentsReplaced, SegmentState
from .partition import Partition
from .protocol import FetchedRecords, Records, TopicConfig
from .record import concat_fetched, encode_frames, rows_of
from .segment import Segment, segment_header

if TYPE_CHECKING:
    from .local import LocalLog

__all__ = ["Interrupted", "Pace", "Rewriter", "is_gone", "restate", "scan"]

_MERGED_FRAME_BYTES = 4 * 1024 * 1024
"""Size at which a merged frame is closed: large enough for scans, small enough to be read for one row."""


class Interrupted(Exception):
    """The log is being closed: what was begun is given up, and done again another time."""


class Pace:
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
        """Account for bytes read or written; sleeps off what is too fast.

        Raises:
            Interrupted: the log is being closed.
        """
        if self._stopping():
            raise Interrupted
        if self._bytes_per_s is None:
            return
        now_s = time.monotonic()
        self._free_at_s = max(self._free_at_s, now_s) + size_bytes / self._bytes_per_s
        while (left_s := self._free_at_s - time.monotonic()) > 0:
            if self._stopping():
                raise Interrupted
            time.sleep(min(left_s, 0.05))


def is_gone(log: LocalLog, partition: Partition) -> bool:
    """Whether the topic was deleted meanwhile."""
    config = log.topics().get(partition.topic)
    return config is None or log.topic(partition.topic).id != partition.topic_id


def restate(log: LocalLog, partition: Partition, state: SegmentState, **changes: Any) -> None:
    """Note something about a segment whose file stays as it is, durably; nothing if it is gone meanwhile.

    Raises:
        StorageError: it could not be noted.
    """
    with log.committer.write_lock:
        if is_gone(log, partition):
            return
        key = (state.base, state.generation)
        present = [s for s in partition.state.segments if (s.base, s.generation) == key]
        if present:
            noted = msgspec.structs.replace(present[0], **changes)
            start = partition.state.start
            log.committer.record(SegmentsReplaced(partition.topic, partition.number, start, [key], [noted]))


def scan(segment: Segment, config: TopicConfig, pace: Pace, fields: Sequence[str] | None = None) -> Iterator[FetchedRecords]:
    """All records of a sealed segment, about as many at a time as a frame should have.

    Args:
        fields: of typed values, see `rows_of`.

    Raises:
        StorageError: a frame is damaged.
        Interrupted: see `Pace`.
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
        if headers and headers[0].flags != header.flags:
            parts.append(decoded())
            headers, batches = [], []
        headers.append(header)
        batches.append(batch)
        size += header.body_length
        rows += header.rows
        if size >= _MERGED_FRAME_BYTES or rows >= FRAME_ROWS_MAX:
            pace.spend(size)
            parts.append(decoded())
            yield concat_fetched(parts)
            parts, headers, batches, size, rows = [], [], [], 0, 0
    if headers:
        pace.spend(size)
        parts.append(decoded())
    if parts:
        yield concat_fetched(parts)


class Rewriter:
    """Writes the records of some neighbouring sealed segments of a partition again; then they take the old ones' place.

    Args:
        states: of the old segments, in order.
        cleaned: whether compaction has been over what is written.
    """

    def __init__(
        self,
        log: LocalLog,
        files: Files,
        partition: Partition,
        config: TopicConfig,
        states: Sequence[SegmentState],
        pace: Pace,
        *,
        cleaned: bool,
    ) -> None:
        self._log = log
        self._files = files
        self._partition = partition
        self._config = config
        self._old = list(states)
        self._pace = pace
        self._cleaned = cleaned
        self._generation = max(s.generation for s in states) + 1
        self._segment_bytes = config.segment_bytes or log.settings.segment_bytes_max
        self._states: list[SegmentState] = []
        self._file: Any = None

    def run(self, keep: Sequence[npt.NDArray[np.bool_] | None], cleaned_ms: Sequence[int]) -> None:
        """Write and replace.

        Args:
            keep: per old segment, which of its records stay; None for all.
            cleaned_ms: per old segment, what its records' new segment is to say (see `SegmentState`); segments that
                differ are not written into one.

        Raises:
            StorageError: a file is damaged, or the disk is full; the old segments stay.
            Interrupted: see `Pace`; the old segments stay.
        """
        try:
            for state, kept, cleaned in zip(self._old, keep, cleaned_ms, strict=True):
                if not self._states or self._states[-1].cleaned_ms != cleaned:
                    self._start(state.base, cleaned)
                row = 0
                for records in scan(self._partition.segment_of(state), self._config, self._pace):
                    n = len(records)
                    self._add(records, None if kept is None else kept[row : row + n])
                    row += n
            self._finish_file()
            self._states[-1].end = self._old[-1].end
            self._files.sync_directory(self._partition.directory)
            self._replace()
        except BaseException:
            if self._file is not None:
                self._file.close()  # the files go when the database is opened next, or are written again
            raise

    def _replace(self) -> None:
        partition = self._partition
        with self._log.committer.write_lock:
            if is_gone(self._log, partition) or any(s not in partition.state.segments for s in self._old):
                for state in self._states:  # the topic was deleted, or retention took a segment away
                    self._files.remove(self._path(state.base))
                return
            doomed = {partition.segment_of(s) for s in self._old}
            keys = [(s.base, s.generation) for s in self._old]
            start = partition.state.start
            self._log.committer.record(SegmentsReplaced(partition.topic, partition.number, start, keys, self._states))
            self._log.committer.forget_segments(doomed)
        for segment in doomed:
            self._files.remove(segment.path)

    def _path(self, base: int) -> str:
        p = self._partition
        return segment_path(p.topic, p.topic_id, p.number, base, self._generation)

    def _start(self, base: int, cleaned_ms: int) -> None:
        """Begin a segment at ``base``; the one before it ends there."""
        if self._file is not None:
            self._finish_file()
            self._states[-1].end = base
        self._file = self._files.open(self._path(base), create=True)
        self._file.truncate(0)
        header = segment_header(
            self._partition.topic, self._partition.number, base, self._generation, self._config.value_type
        )
        self._file.write(0, header)
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
                cleaned=self._cleaned,
                cleaned_ms=cleaned_ms,
            )
        )

    def _finish_file(self) -> None:
        self._file.sync()
        self._file.close()

    def _add(self, records: FetchedRecords, keep: npt.NDArray[np.bool_] | None) -> None:
        """Append what is kept of the records."""
        offsets, arrivals = records.offsets, records.arrivals
        kept: Records = records
        if keep is not None and not keep.all():
            mask = pa.array(keep)
            offsets, arrivals = offsets[keep], arrivals[keep]
            kept = Records(
                None if records.keys is None else records.keys.filter(mask),
                records.values.filter(mask),
                records.timestamps[keep],
                None if records.headers is None else records.headers.filter(mask),
            )
        if len(kept) == 0:
            return
        frames = encode_frames(
            kept,
            arrivals,
            self._config.value_type,
            offsets=offsets,
            offset_end=records.next_offset,
            compression=self._config.compression,
        )
        row = 0
        for frame in frames:
            base = int(offsets[row])
            state = self._states[-1]
            if state.end > state.base and state.length + frame.size > self._segment_bytes:
                self._start(base, state.cleaned_ms)
                state = self._states[-1]
            self._pace.spend(frame.size)
            self._file.write(state.length, frame.header(records.epoch, base, frame.first_arrival), frame.body)
            state.length += frame.size
            state.end = base + frame.offset_span
            state.timestamp_max = max(state.timestamp_max, frame.timestamp_max)
            row += frame.rows
