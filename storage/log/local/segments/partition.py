"""One partition: its segments in order, and reading across them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from .....errors import OffsetOutOfRangeError, StorageError
from .....limits import FRAME_ROWS_MAX, READ_BYTES_MAX
from ....files import Files
from ....layout import partition_directory, segment_path
from ...protocol import FetchedRecords
from ..manifest import PartitionState, SegmentState
from .index import FrameIndex
from .record import FrameHeader, concat_fetched, rows_of, slice_frame
from .segment import Segment

__all__ = ["Partition", "PartitionView", "check_unkeyed", "empty_records"]


@dataclass(frozen=True, slots=True)
class PartitionView:
    """What readers see of a partition: replaced as a whole, so that reading takes no lock."""

    start: int
    end: int
    segments: tuple[Segment, ...]


@dataclass(slots=True)
class _Run:
    """Neighbouring frames that have the same columns: decoded together."""

    segment: Segment
    headers: list[FrameHeader]
    batches: list[Any]

    def takes(self, segment: Segment, header: FrameHeader) -> bool:
        """Whether another frame has the same columns."""
        if self.headers[-1].shape != header.shape:
            return False
        return self.segment is segment or bool(self.segment.value_type == segment.value_type)


class Partition:
    """The segments of one partition.  Written under the log's write lock; read by anybody."""

    def __init__(self, files: Files, topic: str, topic_id: int, number: int, state: PartitionState) -> None:
        self.files = files
        self.topic = topic
        self.topic_id = topic_id
        self.number = number
        self.state = state
        self.directory = partition_directory(topic, topic_id, number)
        self._segments: dict[tuple[int, int], Segment] = {}
        self._last_frame: tuple[Segment, int, FrameHeader, Any, frozenset[str] | None] | None = None
        self.view = PartitionView(0, 0, ())
        self.refresh()

    def segment_of(self, state: SegmentState) -> Segment:
        """The open segment for a state, or a new one for a file that is being written."""
        key = (state.base, state.generation)
        segment = self._segments.get(key)
        if segment is None:
            path = segment_path(self.topic, self.topic_id, self.number, *key)
            segment = self._segments[key] = Segment(self.files, path, self.topic, self.number, *key, state.length)
        return segment

    def refresh(self) -> None:
        """Make the state what readers see."""
        if len(self.view.segments) == len(self.state.segments) and self.view.segments:
            last, shown = self.state.segments[-1], self.view.segments[-1]
            if (last.base, last.generation) == (shown.base_offset, shown.generation) and not self._swapped:
                shown.committed = last.length
                self.view = PartitionView(self.state.start, self.state.end, self.view.segments)
                return
        self._swapped = False
        segments = []
        for state in self.state.segments:
            segment = self.segment_of(state)
            segment.committed = state.length
            segments.append(segment)
        self.view = PartitionView(self.state.start, self.state.end, tuple(segments))

    _swapped = False

    def swapped(self) -> None:
        """Segments were removed or replaced: show the new ones, forget the others."""
        self._swapped = True
        live = {(s.base, s.generation) for s in self.state.segments}
        self.refresh()
        self._last_frame = None
        for key in [k for k in self._segments if k not in live]:
            self._segments.pop(key).close()

    def store_indexes(self, frames_min: int) -> None:
        """Write the indexes that are in memory to files (see `Segment.store_index`)."""
        for segment in self.view.segments:
            segment.store_index(frames_min)

    def close(self) -> None:
        """Give up all handles."""
        self._last_frame = None
        for segment in self._segments.values():
            segment.close()

    def read(
        self,
        offset: int,
        rows_max: int,
        bytes_max: int | None,
        fields: Sequence[str] | None,
        wanted_type: Any | None,
        *,
        pieces: bool = False,
    ) -> FetchedRecords:
        """See `protocol.Log.read`; ``wanted_type`` is the topic's present value type.

        Raises:
            OffsetOutOfRangeError: ``offset`` is before the start or beyond the end.
            StorageError: a frame is damaged.
        """
        while True:
            view = self.view
            self._check_offset(view, offset)
            try:
                found = self._read(view, offset, rows_max, bytes_max, fields, wanted_type, pieces)
                last = self._last_frame
                if last is not None and found.next_offset >= last[2].end_offset:
                    self._last_frame = None  # its map holds a descriptor, and there may be thousands of partitions
                return found
            except StorageError:
                if self.view.segments == view.segments:
                    raise  # otherwise retention or compaction took a file away under us: look again

    def _read(
        self,
        view: PartitionView,
        offset: int,
        rows_max: int,
        bytes_max: int | None,
        fields: Sequence[str] | None,
        wanted_type: Any | None,
        pieces: bool,
    ) -> FetchedRecords:
        if offset >= view.end or rows_max <= 0:
            return empty_records(wanted_type, fields, offset)
        asked = None if fields is None else frozenset(fields)
        runs = self._collect(view, offset, rows_max, min(bytes_max or READ_BYTES_MAX, READ_BYTES_MAX), asked)
        if not runs:
            return empty_records(wanted_type, fields, view.end)
        pieces = pieces and len(runs) == 1
        return concat_fetched(
            [rows_of(r.headers, r.batches, r.segment.value_type, wanted_type, fields, pieces) for r in runs]
        )

    def scan(self, offset: int, fields: Sequence[str] | None, wanted_type: Any | None) -> Iterator[FetchedRecords]:
        """See `protocol.Log.scan`."""
        view = self.view
        self._check_offset(view, offset)
        end = view.end
        asked = None if fields is None else frozenset(fields)
        while offset < end:
            try:
                for segment, header, batch in self._frames(view, offset, asked):
                    if header.base_offset >= end:
                        return
                    header, batch = slice_frame(header, batch, offset, header.rows)
                    if header.rows:
                        yield rows_of([header], [batch], segment.value_type, wanted_type, fields)
                    offset = header.end_offset
                return
            except StorageError:
                if self.view.segments == view.segments:
                    raise
            view = self.view  # retention or compaction took a file away under us: look again
            self._check_offset(view, offset)

    def _check_offset(self, view: PartitionView, offset: int) -> None:
        if not view.start <= offset <= view.end:
            raise OffsetOutOfRangeError(self.topic, self.number, offset, view.start, view.end)

    def _frames(
        self, view: PartitionView, offset: int, asked: frozenset[str] | None
    ) -> Iterator[tuple[Segment, FrameHeader, Any]]:
        """The checked frames as they lie, from the one that holds ``offset`` to the end of the view.

        Args:
            asked: the fields of values that will be read, None stands for all.
        """
        first = max(0, bisect_right(view.segments, offset, key=lambda s: s.base_offset) - 1)
        for segment in view.segments[first:]:
            index = segment.index()
            data = segment.data()
            for frame in range(index.frame_of_offset(offset), len(index)):
                if index.base_offsets[frame] >= view.end:
                    return
                found = self._frame_of_index(segment, index, frame, data, asked)
                if found is None:  # no frame here, or another: the file of the index was wrong
                    segment.rebuild_index()
                    yield from self._frames(view, offset, asked)
                    return
                if found[0].end_offset > offset:
                    yield segment, *found
                    offset = found[0].end_offset

    def _collect(
        self, view: PartitionView, offset: int, rows_left: int, bytes_left: int, asked: frozenset[str] | None
    ) -> list[_Run]:
        runs: list[_Run] = []
        for segment, header, batch in self._frames(view, offset, asked):
            rows = rows_left
            if header.body_length > bytes_left:
                rows = max(0 if runs else 1, min(rows, header.rows * bytes_left // header.body_length))
                if rows == 0:
                    return runs
                bytes_left = 0
            header, batch = slice_frame(header, batch, offset, rows)
            if header.rows == 0:
                continue  # compaction took what the offset asked for and all behind it in this frame
            if runs and runs[-1].takes(segment, header):
                runs[-1].headers.append(header)
                runs[-1].batches.append(batch)
            else:
                runs.append(_Run(segment, [header], [batch]))
            rows_left -= header.rows
            bytes_left -= header.body_length
            if rows_left <= 0 or bytes_left <= 0:
                return runs
        return runs

    def _frame_of_index(
        self, segment: Segment, index: FrameIndex, frame: int, data: memoryview, asked: frozenset[str] | None
    ) -> tuple[FrameHeader, Any] | None:
        """A checked frame; None if the index file names another frame there, or the frame is not whole.

        Raises:
            StorageError: the frame is damaged.  (The index was built from the frames, so it is not at fault.)
        """
        try:
            found = self._frame(segment, index.positions[frame], data, asked)
        except StorageError:
            if index.from_file:
                return None
            raise
        return None if index.from_file and found[0].base_offset != index.base_offsets[frame] else found

    def _frame(
        self, segment: Segment, position: int, data: memoryview, asked: frozenset[str] | None
    ) -> tuple[FrameHeader, Any]:
        """A checked frame; the last one is remembered while readers take it in small pieces."""
        last = self._last_frame
        if last is not None and last[0] is segment and last[1] == position and last[4] in (None, asked):
            return last[2], last[3]
        header, batch = segment.frame(position, data, asked)
        self._last_frame = (segment, position, header, batch, asked)
        return header, batch

    def offset_for_time(self, timestamp_ms: int) -> int:
        """The offset of the first record that is not before the time; the end offset if there is none."""
        while True:
            try:
                return self._offset_for_time(timestamp_ms)
            except OffsetOutOfRangeError:
                continue  # retention moved the start under us: look again

    def _offset_for_time(self, timestamp_ms: int) -> int:
        view = self.view
        states = {(s.base, s.generation): s.timestamp_max for s in tuple(self.state.segments)}
        for segment in view.segments:
            latest = states.get((segment.base_offset, segment.generation))
            if latest is not None and latest < timestamp_ms:
                continue
            index = segment.index()
            frame = index.frame_of_time(timestamp_ms)
            if frame is None:
                continue
            kind = segment.value_type
            for records in self.scan(max(index.base_offsets[frame], view.start), None if kind is None else [], kind):
                late = np.flatnonzero(records.timestamps >= timestamp_ms)
                if len(late):  # in the first of them, unless it is one that the start cuts
                    return min(int(records.offsets[late[0]]), view.end)
        return view.end


def check_unkeyed(partitions: Sequence[Partition], offsets: Sequence[int], value_type: Any | None) -> list[int]:
    """Check that no visible record from the offsets on has a key; returns the offsets up to which that was checked.

    Raises:
        StorageError: one has a key, which would belong to another partition if the topic got more of them.
    """
    ends = []
    for partition, first in zip(partitions, offsets, strict=True):
        offset, end = first, partition.view.end
        while offset < end:
            offset = max(offset, partition.view.start)
            try:
                found = partition.read(offset, FRAME_ROWS_MAX, None, None if value_type is None else [], value_type)
            except OffsetOutOfRangeError:
                continue  # retention was quicker
            if found.keys is not None and found.keys.null_count < len(found):
                keyed = int(found.offsets[np.flatnonzero(np.asarray(found.keys.is_valid()))[0]])
                raise StorageError(
                    f"the topic {partition.topic!r} cannot get more partitions: the record at offset {keyed} of partition "
                    f"{partition.number} has a key, and later ones with this key would go elsewhere",
                    action="create a topic with more partitions, and copy the records into it",
                )
            offset = found.next_offset
        ends.append(offset)
    return ends


def empty_records(value_type: Any | None, fields: Sequence[str] | None, next_offset: int) -> FetchedRecords:
    """No rows."""
    kind = pa.binary() if value_type is None else value_type
    if value_type is not None and fields is not None:
        kind = pa.struct([value_type.field(name) for name in fields])
    return FetchedRecords(None, pa.array([], kind), np.zeros(0, np.int64), next_offset=next_offset)
