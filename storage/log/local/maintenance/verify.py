"""Verifies every byte of a log and the consistency of its files.  Changes nothing; `inspect` reads the files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .....errors import StorageError
from ....files import Files, is_extension
from ....layout import JOURNALS, TOPICS, index_path, journal_path, partition_directory, segment_path, topic_directory
from ..manifest import Manifest, PartitionState, SegmentState
from ..segments.index import FrameIndex
from ..segments.record import FrameHeader
from .inspect import LogContents, frames_of, open_segment, read_log
from .leftovers import find_leftovers

__all__ = ["LogFault", "first_problem", "verify_log"]

_RESTORE = "restore the file from a backup, or run `penstock log repair`"


@dataclass(frozen=True, slots=True)
class LogFault:
    """A fault.

    Attributes:
        message, path, offset, action: as in `StorageError`.
        harmless: a crash leaves such a fault behind, opening repairs it, and no answer depends on it.
    """

    message: str
    path: str
    offset: int | None = None
    action: str | None = None
    harmless: bool = False

    @classmethod
    def of(cls, error: StorageError, path: str = "") -> LogFault:
        """An error as a fault."""
        return cls(error.message, error.path or path, error.offset, error.action)


def verify_log(files: Files) -> Iterator[LogFault]:
    """Read everything below ``log/``; yields faults as they are found."""
    log = read_log(files)
    if log.problem is not None:
        yield LogFault.of(log.problem)
        if not log.records:
            return
    if log.torn_bytes:
        yield LogFault(
            f"{log.torn_bytes} bytes stand behind the end of the journal: a write that a crash cut off",
            f"{files.root}/{journal_path(log.number or 0)}",
            None,
            "none: the next open removes them",
            harmless=True,
        )
    for one in find_leftovers(files, log):
        if not one.cut:
            yield LogFault(
                f"{one.rows} records of {one.topic}, partition {one.partition}, are in a commit that the journal does not "
                "know: a process that was forked from the one that had the database open wrote it",
                f"{files.root}/{journal_path(log.number or 0)}",
                action="run `penstock log repair`",
            )
    suspects: list[tuple[str, int, int, PartitionState, list[LogFault]]] = []
    for name, topic in log.manifest.topics.items():
        for number, state in enumerate(topic.partitions):
            found = list(_partition(files, log, name, number, state))
            if found:
                suspects.append((name, topic.id, number, state, found))
    if suspects:  # unless retention, compaction or a DROP took the files away while we read
        now = read_log(files).manifest
        for name, topic_id, number, state, found in suspects:
            if _still_so(now, name, topic_id, number, state):
                yield from found
    yield from _groups(files, log)
    if log.problem is None:
        yield from _strangers(files, log)


def _still_so(now: Manifest, name: str, topic_id: int, number: int, state: PartitionState) -> bool:
    topic = now.topics.get(name)
    if topic is None or topic.id != topic_id:
        return False
    segments = {(s.base, s.generation) for s in topic.partitions[number].segments}
    return {(s.base, s.generation) for s in state.segments} <= segments


def _partition(files: Files, log: LogContents, topic: str, number: int, state: PartitionState) -> Iterator[LogFault]:
    directory = f"{files.root}/{partition_directory(topic, log.manifest.topics[topic].id, number)}"
    end = 0
    last: FrameHeader | None = None
    for segment in state.segments:
        if segment.base < end:
            yield LogFault(f"the segment at offset {segment.base} overlaps the one before, to {end}", directory)
        end = max(end, segment.end)
        try:
            for header, problem in _segment(files, log, topic, number, segment, last):
                last = header
                if problem is not None:
                    yield problem
        except StorageError as error:
            yield LogFault.of(error)
            last = None
    if end > state.end or state.start > state.end:
        yield LogFault(f"the partition has offsets {state.start} to {state.end}, its segments reach {end}", directory)


def _segment(
    files: Files, log: LogContents, topic: str, number: int, state: SegmentState, last: FrameHeader | None
) -> Iterator[tuple[FrameHeader, LogFault | None]]:
    """Each frame's header, with what is wrong with it."""
    segment = open_segment(files, log, topic, number, state)
    path = f"{files.root}/{segment.path}"
    try:
        for frame in frames_of(segment):
            header = frame.header
            if frame.problem is not None:
                yield header, LogFault.of(frame.problem)
            wrong = _wrong(log, state, header, last)
            yield header, None if wrong is None else LogFault(wrong, path, frame.position, _RESTORE)
            last = header
    finally:
        segment.close()


def first_problem(files: Files, log: LogContents, topic: str, number: int, state: SegmentState) -> LogFault | None:
    """The first fault of a segment; None if there is none."""
    try:
        return next((found for _, found in _segment(files, log, topic, number, state, None) if found is not None), None)
    except StorageError as error:
        return LogFault.of(error)


def _wrong(log: LogContents, state: SegmentState, header: FrameHeader, last: FrameHeader | None) -> str | None:
    """Which promise a frame breaks."""
    if not state.base <= header.base_offset < header.end_offset <= state.end:
        return f"a frame has offsets {header.base_offset} to {header.end_offset}, its segment {state.base} to {state.end}"
    if header.end_offset - header.base_offset < header.rows:
        return f"a frame has {header.rows} rows and only {header.end_offset - header.base_offset} offsets"
    if header.epoch > log.manifest.epoch or header.base_arrival + header.rows > log.manifest.next_arrival:
        return f"a frame is of commit {header.epoch}, the journal ends with {log.manifest.epoch}"
    if header.timestamp_min > header.timestamp_max or header.timestamp_max > state.timestamp_max:
        return f"a frame has times up to {header.timestamp_max}, its segment up to {state.timestamp_max}"
    if last is not None:
        if header.base_offset < last.end_offset:
            return f"a frame starts at offset {header.base_offset}, the one before ends at {last.end_offset}"
        if header.epoch < last.epoch or header.base_arrival < last.base_arrival + last.rows:
            return f"a frame of commit {header.epoch} stands behind one of commit {last.epoch}"
    return None


def _groups(files: Files, log: LogContents) -> Iterator[LogFault]:
    for group, remembered in log.manifest.groups.items():
        for topic, places in remembered.items():
            known = log.manifest.topics.get(topic)
            if known is None:
                continue  # a name for the owner's own use, or a topic that was deleted
            for partition, offset in places.items():
                if partition < len(known.partitions) and offset <= known.partitions[partition].end:
                    continue
                yield LogFault(
                    f"the group {group} reads on at offset {offset} of {topic}, partition {partition}, which is not there",
                    f"{files.root}/{journal_path(log.number or 0)}",
                    action="reset the group's position",
                )


def _strangers(files: Files, log: LogContents) -> Iterator[LogFault]:
    """Files and bytes that opening would remove or cut.  A log that was closed in order has none."""
    action = (
        "none: the next open removes it"
        if not log.closed
        else "restore journal and segments from one backup, or run `penstock log repair`"
    )

    def stranger(path: str, message: str, offset: int | None = None) -> LogFault:
        return LogFault(message, f"{files.root}/{path}", offset, action, harmless=not log.closed)

    for name in files.list(JOURNALS):
        if f"{JOURNALS}/{name}" != journal_path(log.number or 0):
            yield LogFault(
                "this is not the journal that counts", f"{files.root}/{JOURNALS}/{name}", None, action, harmless=True
            )
    directories = {topic_directory(n, t.id).rpartition("/")[2]: (n, t) for n, t in log.manifest.topics.items()}
    for entry in files.list(TOPICS):
        if entry not in directories:
            inside = any(files.list(f"{TOPICS}/{entry}/{p}") for p in files.list(f"{TOPICS}/{entry}"))
            found = stranger(f"{TOPICS}/{entry}", "the journal does not know this topic")
            yield found if inside else LogFault(found.message, found.path, None, found.action, harmless=True)
            continue
        name, topic = directories[entry]
        for number, state in enumerate(topic.partitions):
            lengths = {segment_path(name, topic.id, number, s.base, s.generation): s.length for s in state.segments}
            directory = partition_directory(name, topic.id, number)
            indexes = {index_path(path): path for path in lengths}
            for file in files.list(directory):
                path = f"{directory}/{file}"
                if path in indexes:
                    yield from _index(files, path)
                elif path not in lengths:
                    yield stranger(path, "the journal does not know this file")
                elif longer := _longer(files, path, lengths[path]):
                    size, extended = longer
                    message = f"a segment has {size} bytes, the journal says {lengths[path]}"
                    if extended:
                        action = "none: these are zeros, and the next open cuts them off"
                        yield LogFault(message, f"{files.root}/{path}", lengths[path], action, harmless=True)
                    else:
                        yield stranger(path, message, lengths[path])


def _index(files: Files, path: str) -> Iterator[LogFault]:
    try:
        stored = files.read_bytes(path)
    except StorageError:
        return  # gone meanwhile
    if not FrameIndex.is_whole(stored):
        action = "none: it is built again when it is needed"
        yield LogFault("the index of a segment is damaged", f"{files.root}/{path}", None, action, harmless=True)


def _longer(files: Files, path: str, length: int) -> tuple[int, bool] | None:
    """The size of a file that has more than ``length`` bytes, and whether it was only extended."""
    try:
        file = files.open(path)
    except StorageError:
        return None  # gone meanwhile; a missing file was reported above
    try:
        size = file.size()
        return (size, is_extension(file, length)) if size > length else None
    finally:
        file.close()
