"""Finds frames in segments that the journal does not know, although the log was closed in order.

There are two causes: a journal that is older than its segments, and a process that was forked from the one that had the log
open (earlier versions let it write).  Such a process made whole commits and told its callers so, but the parent's journal
does not have them.  Frames that were not overwritten can be appended again, behind all others, at new offsets.

This is done for topics that programs write.  What queries wrote can be computed again, and internal topics must hold only
what one process wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ....files import Files, is_extension
from ....layout import journal_path, partition_directory, segment_path
from ..commit.journal import stray_entries
from ..manifest import Committed, SegmentState, TopicState, config_of
from ..segments.record import HEADER_BYTES, FrameHeader, moved
from ..segments.segment import segment_header
from .inspect import LogContents
from .repair import whole_frames

__all__ = ["Leftover", "find_leftovers", "put_behind"]

Frames = list[tuple[FrameHeader, memoryview]]


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file that the journal does not know, or that is longer than the journal says; or a commit in the journal's file that
    is not part of the journal.

    Attributes:
        path: of the file.
        length: how many of its bytes count.
        cut: whether the file has more.
        frames: the whole frames that do not count; empty if they are not to be put back.
    """

    path: str
    length: int
    cut: bool
    topic: str
    partition: int
    frames: Frames

    @property
    def rows(self) -> int:
        """Records in the frames."""
        return sum(header.rows for header, _ in self.frames)


def find_leftovers(files: Files, log: LogContents) -> list[Leftover]:
    """All leftovers, by topic and partition.

    Empty if the log was not closed in order: a crash leaves bytes that never counted.
    """
    if not log.closed or log.problem is not None:
        return []
    file = files.open(journal_path(log.number or 0))
    try:
        entries = stray_entries(memoryview(bytes(file.read(0, file.size()))))
    finally:
        file.close()
    chain = {record.position for record in log.records}
    strays = [entry for place, entry in entries if place not in chain and isinstance(entry, Committed)]
    found = [*_in_segments(files, log), *_in_journal(log, strays)]
    derived = _written_by_queries(log, [e for _, e in entries if isinstance(e, Committed)], found)
    known: set[int] = set()
    left = []
    for one in found:
        frames = []
        if not log.manifest.topics[one.topic].internal and one.topic not in derived:
            frames = [(h, frame) for h, frame in one.frames if h.header_crc not in known]
            known.update(h.header_crc for h, _ in frames)
        if frames or one.cut:
            left.append(Leftover(one.path, one.length, one.cut, one.topic, one.partition, frames))
    return left


def _in_segments(files: Files, log: LogContents) -> Iterator[Leftover]:
    for name, topic in log.manifest.topics.items():
        for number, state in enumerate(topic.partitions):
            lengths = {segment_path(name, topic.id, number, s.base, s.generation): s.length for s in state.segments}
            directory = partition_directory(name, topic.id, number)
            for file in files.list(directory):
                path = f"{directory}/{file}"
                length = lengths.get(path, 0)
                if not file.endswith(".segment"):
                    continue
                data = memoryview(files.read_bytes(path))
                cut = path not in lengths or (len(data) > length and not _is_extended(files, path, length))
                wrong = _of_later_commits(log, _frames(data[:length], name, number, topic))
                if cut or wrong:
                    behind = _frames(data[length:], name, number, topic) if cut else []
                    yield Leftover(path, length, cut, name, number, [*wrong, *behind])


def _is_extended(files: Files, path: str, length: int) -> bool:
    file = files.open(path)
    try:
        return is_extension(file, length)
    finally:
        file.close()


def _of_later_commits(log: LogContents, frames: Frames) -> Frames:
    """Frames of commits that the journal does not know, in places where it has other frames."""
    return [(h, f) for h, f in frames if h.epoch > log.manifest.epoch or h.base_arrival + h.rows > log.manifest.next_arrival]


def _in_journal(log: LogContents, strays: list[Committed]) -> Iterator[Leftover]:
    for entry in strays:
        for part in entry.appended:
            topic = log.manifest.topics.get(part.topic)
            if part.data is None or topic is None or part.partition >= len(topic.partitions):
                continue
            path = segment_path(part.topic, topic.id, part.partition, part.base, part.generation)
            frames = _frames(memoryview(part.data), part.topic, part.partition, topic)
            yield Leftover(path, part.position, False, part.topic, part.partition, frames)


def _frames(data: memoryview, name: str, number: int, topic: TopicState) -> Frames:
    anywhere = SegmentState(0, 0, len(data), 2**62, 0)
    return whole_frames(data, name, number, anywhere, config_of(topic).value_type)


def _written_by_queries(log: LogContents, entries: list[Committed], found: list[Leftover]) -> set[str]:
    """Topics whose records follow from others: a commit that moves a query's positions wrote them, or one that wrote to the
    engine's own topics, too."""
    derived: set[str] = set()
    for entry in entries:
        if any(":" not in group for group in entry.positions):
            derived.update(part.topic for part in entry.appended)
    own = {h.epoch for left in found if log.manifest.topics[left.topic].internal for h, _ in left.frames}
    for left in found:
        if any(header.epoch in own for header, _ in left.frames):
            derived.add(left.topic)
    return derived


def put_behind(log: LogContents, left: list[Leftover]) -> dict[str, tuple[Any, ...]]:
    """Add the frames to the manifest, as segments behind all others and as one commit.

    Returns:
        the bytes of the new segments, by path.
    """
    manifest = log.manifest
    written: dict[str, tuple[Any, ...]] = {}
    if any(one.frames for one in left):
        manifest.epoch += 1
    for one in left:
        if not one.frames:
            continue
        topic = manifest.topics[one.topic]
        state = topic.partitions[one.partition]
        base, generation = state.end, 1 + max((s.generation for s in state.segments), default=0)
        chunks: list[Any] = [segment_header(one.topic, one.partition, base, generation, config_of(topic).value_type)]
        for header, frame in one.frames:
            chunks.append(moved(header, manifest.epoch, state.end, manifest.next_arrival))
            chunks.append(frame[HEADER_BYTES:])
            state.end += header.end_offset - header.base_offset
            manifest.next_arrival += header.rows
        if state.segments:
            state.segments[-1].sealed = True
        latest = max(header.timestamp_max for header, _ in one.frames)
        length = sum(len(c) for c in chunks)
        state.segments.append(SegmentState(base, generation, length, state.end, latest, True))
        written[segment_path(one.topic, topic.id, one.partition, base, generation)] = tuple(chunks)
    return written
