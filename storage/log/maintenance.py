"""Retention, and what makes rewrites of sealed segments necessary: small frames, and compaction.

All of it changes the set of a partition's segments by one journal entry (`SegmentsReplaced`).  New files are written and
synced before it, old ones removed after it.  Crash before the entry is durable => the new files are unknown and removed on
open; after => the old ones are.  Readers that hold the old segments go on reading them, or look again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...errors import StorageError
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

__all__ = ["maintain_partition"]

_SMALL_FRAME_ROWS = 1024
"""Sealed segments whose frames have fewer rows on average are rewritten with large ones."""

_MERGED_FRAME_BYTES = 4 * 1024 * 1024
"""Size at which a merged frame is closed: large enough for scans, small enough to be read for one row."""


def maintain_partition(log: LocalLog, files: Files, partition: Partition, config: TopicConfig, now_ms: int | None) -> None:
    """Do what is due for one partition.

    Raises:
        StorageError: a file is damaged, or the disk is full.
    """
    seen = partition.view.segments
    try:
        _maintain(log, files, partition, config, now_ms)
    except StorageError:
        if not _is_gone(log, partition) and partition.view.segments[: len(seen)] == seen:
            raise  # otherwise the files went away under us, which is not an error: next time


def _maintain(log: LocalLog, files: Files, partition: Partition, config: TopicConfig, now_ms: int | None) -> None:
    if "delete" in config.cleanup_policy:
        _retain(log, files, partition, config, now_ms)
    sealed = [s for s in tuple(partition.state.segments) if s.sealed]
    if "compact" in config.cleanup_policy:
        new = sum(s.length for s in sealed if not s.cleaned)
        if new and new >= sum(s.length for s in sealed if s.cleaned):  # at most half of the work is done again
            _compact(log, files, partition, config, sealed, now_ms)
            return
    for state in sealed:
        if not state.merged and not state.cleaned:
            _merge(log, files, partition, config, state)


# ------------------------------------------------------------------------------------------------------- retention


def _retain(log: LocalLog, files: Files, partition: Partition, config: TopicConfig, now_ms: int | None) -> None:
    with log.committer.write_lock:
        if _is_gone(log, partition):
            return
        segments = partition.state.segments
        count = 0
        if config.retention_bytes is not None:
            total = sum(s.length for s in segments)
            while count < len(segments) - 1 and total - segments[count].length >= config.retention_bytes:
                total -= segments[count].length
                count += 1
        if config.retention_ms is not None and now_ms is not None:
            while count < len(segments) and segments[count].timestamp_max < now_ms - config.retention_ms:
                count += 1
        if count == 0:
            return
        gone = list(segments[:count])
        doomed = {partition.segment_of(s) for s in gone}
        start = max(partition.state.start, gone[-1].end)
        keys = [(s.base, s.generation) for s in gone]
        log.committer.record(SegmentsReplaced(partition.topic, partition.number, start, keys, []))
        log.committer.forget_segments(doomed)
    for segment in doomed:
        files.remove(segment.path)


def _is_gone(log: LocalLog, partition: Partition) -> bool:
    """Whether the topic was deleted meanwhile."""
    config = log.topics().get(partition.topic)
    return config is None or log.topic(partition.topic).id != partition.topic_id


# -------------------------------------------------------------------------------------------------------- rewriting


def _merge(log: LocalLog, files: Files, partition: Partition, config: TopicConfig, state: SegmentState) -> None:
    """Small frames become large ones; a segment that has none is only marked."""
    segment = partition.segment_of(state)
    frames = len(segment.index())
    rows_about = state.end - state.base
    if frames <= 1 or rows_about / frames >= _SMALL_FRAME_ROWS:
        _mark(log, partition, state)
        return
    _rewrite(log, files, partition, config, [state], None, cleaned=False)


def _mark(log: LocalLog, partition: Partition, state: SegmentState) -> None:
    with log.committer.write_lock:
        if _is_gone(log, partition) or state not in partition.state.segments:
            return
        marked = SegmentState(
            state.base, state.generation, state.length, state.end, state.timestamp_max, True, True, state.cleaned
        )
        key = (state.base, state.generation)
        log.committer.record(SegmentsReplaced(partition.topic, partition.number, partition.state.start, [key], [marked]))


def _compact(
    log: LocalLog,
    files: Files,
    partition: Partition,
    config: TopicConfig,
    sealed: list[SegmentState],
    now_ms: int | None,
) -> None:
    """Keep the last record of every key among the sealed segments, records without a key, and tombstones for a while."""
    keys: list[Any] = []
    tombstones: list[npt.NDArray[np.bool_]] = []
    timestamps: list[npt.NDArray[np.int64]] = []
    for state in sealed:
        for records in _scan(partition.segment_of(state), config):
            n = len(records)
            keys.append(pa.nulls(n, pa.binary()) if records.keys is None else records.keys)
            tombstones.append(np.asarray(records.values.is_null()))
            timestamps.append(records.timestamps)
    if not keys:
        return
    codes_chunks = pa.chunked_array(keys).dictionary_encode()
    codes = np.asarray(codes_chunks.combine_chunks().indices.fill_null(-1)).astype(np.int64)
    rows = np.arange(len(codes))
    last = np.full(int(codes.max(initial=-1)) + 1, -1, np.int64)
    keyed = codes >= 0
    last[codes[keyed]] = rows[keyed]  # later rows overwrite earlier ones
    keep = ~keyed
    keep[last[last >= 0]] = True
    if now_ms is not None:
        old = np.concatenate(timestamps) < now_ms - config.delete_retention_ms
        keep &= ~(np.concatenate(tombstones) & old & keyed)
    _rewrite(log, files, partition, config, sealed, keep, cleaned=True)


def _scan(segment: Segment, config: TopicConfig) -> Iterator[FetchedRecords]:
    """All records of a sealed segment, about as many at a time as a frame should have."""
    index = segment.index()
    parts: list[FetchedRecords] = []
    headers: list[Any] = []
    batches: list[Any] = []
    size = rows = 0

    def decoded() -> FetchedRecords:
        return rows_of(headers, batches, segment.value_type, config.value_type, None)

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
            parts.append(decoded())
            yield concat_fetched(parts)
            parts, headers, batches, size, rows = [], [], [], 0, 0
    if headers:
        parts.append(decoded())
    if parts:
        yield concat_fetched(parts)


def _rewrite(
    log: LocalLog,
    files: Files,
    partition: Partition,
    config: TopicConfig,
    states: list[SegmentState],
    keep: npt.NDArray[np.bool_] | None,
    *,
    cleaned: bool,
) -> None:
    """Write the records of sealed segments again, those that ``keep`` names or all; they take the old ones' place."""
    writer = _Writer(log, files, partition, config, states[0].base, max(s.generation for s in states) + 1, cleaned)
    row = 0
    try:
        for state in states:
            for records in _scan(partition.segment_of(state), config):
                n = len(records)
                writer.add(records, None if keep is None else keep[row : row + n])
                row += n
        added = writer.finish(states[-1].end)
        files.sync_directory(partition.directory)
        with log.committer.write_lock:
            if _is_gone(log, partition) or any(s not in partition.state.segments for s in states):
                writer.discard()  # the topic was deleted, or retention took a segment away
                return
            doomed = {partition.segment_of(s) for s in states}
            keys = [(s.base, s.generation) for s in states]
            start = partition.state.start
            log.committer.record(SegmentsReplaced(partition.topic, partition.number, start, keys, added))
            log.committer.forget_segments(doomed)
    except BaseException:
        writer.close()
        raise
    for segment in doomed:
        files.remove(segment.path)


class _Writer:
    """Writes rewritten segments; a new one is started where the old limit of a segment's size is reached."""

    def __init__(
        self,
        log: LocalLog,
        files: Files,
        partition: Partition,
        config: TopicConfig,
        base: int,
        generation: int,
        cleaned: bool,
    ) -> None:
        self._segment_bytes = config.segment_bytes or log.settings.segment_bytes_max
        self._files = files
        self._partition = partition
        self._config = config
        self._generation = generation
        self._cleaned = cleaned
        self._states: list[SegmentState] = []
        self._file: Any = None
        self._open(base)

    def _path(self, base: int) -> str:
        p = self._partition
        return segment_path(p.topic, p.topic_id, p.number, base, self._generation)

    def _open(self, base: int) -> None:
        self._file = self._files.open(self._path(base), create=True)
        self._file.truncate(0)
        header = segment_header(self._partition.topic, self._partition.number, base, self._config.value_type)
        self._file.write(0, header)
        oldest = -(2**63)
        self._states.append(
            SegmentState(base, self._generation, len(header), base, oldest, sealed=True, merged=True, cleaned=self._cleaned)
        )

    def add(self, records: FetchedRecords, keep: npt.NDArray[np.bool_] | None) -> None:
        """Append what is kept of the records."""
        offsets, arrivals = records.offsets, records.arrivals
        end = records.next_offset
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
        state = self._states[-1]
        frames = encode_frames(
            kept,
            arrivals,
            self._config.value_type,
            offsets=offsets,
            offset_end=end,
            compression=self._config.compression,
        )
        row = 0
        for frame in frames:
            base = int(offsets[row])
            if state.end > state.base and state.length + frame.size > self._segment_bytes:
                self._file.sync()
                self._file.close()
                self._open(base)
                state = self._states[-1]
            self._file.write(state.length, frame.header(records.epoch, base, frame.first_arrival), frame.body)
            state.length += frame.size
            state.end = base + frame.offset_span
            state.timestamp_max = max(state.timestamp_max, frame.timestamp_max)
            row += frame.rows

    def finish(self, end: int) -> list[SegmentState]:
        """Sync; the last segment ends where the old ones did."""
        self._file.sync()
        self._file.close()
        self._states[-1].end = end
        return self._states

    def close(self) -> None:
        """Give up the handle; the files go when the database is opened next."""
        self._file.close()

    def discard(self) -> None:
        """Remove what was written."""
        self._file.close()
        for state in self._states:
            self._files.remove(self._path(state.base))
