"""Reads a log's files without opening it: nothing is locked or written, and damage is reported instead of raised.

It works beside a process that has the database open (it sees what that process has made durable), and on a directory that
is too damaged to be opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .....errors import StorageError
from ....files import Files, MemoryFiles
from ....layout import journal_path, segment_path
from ..commit.journal import CommitJournal, JournalRecord, newest_journal, read_records
from ..commit.recovery import replay
from ..manifest import Manifest, SegmentState
from ..segments.record import FrameHeader
from ..segments.segment import Segment

__all__ = ["InspectedFrame", "LogContents", "frames_of", "open_segment", "read_log"]

_ATTEMPTS = 20
"""How often to look for the next journal if the one being read was replaced."""


@dataclass(frozen=True, slots=True)
class LogContents:
    """What the journal says.

    Attributes:
        number: of the journal; None if there is none.
        records: its whole records.
        manifest: the state of the log after them.
        carried: bytes in the records for segments, by path; see `recovery.replay`.
        closed: the log was closed in order.
        torn_bytes: how many bytes behind the records are left of a write that did not become durable.
        problem: why the journal cannot be used; None if it can.
    """

    number: int | None
    records: tuple[JournalRecord, ...]
    manifest: Manifest
    carried: dict[str, list[tuple[int, bytes]]]
    closed: bool
    torn_bytes: int
    problem: StorageError | None


@dataclass(frozen=True, slots=True)
class InspectedFrame:
    """A frame's place and header, and its ``problem`` if the body does not match the header."""

    position: int
    header: FrameHeader
    problem: StorageError | None


def read_log(files: Files) -> LogContents:
    """The newest journal, as far as it is whole.

    Raises:
        StorageError: it is replaced again and again while it is read.
    """
    for _ in range(_ATTEMPTS):
        try:
            number = newest_journal(files)
        except StorageError as error:
            return LogContents(None, (), Manifest(), {}, False, 0, error)
        if number is None:
            missing = StorageError("the commit journal is missing", path=f"{files.root}/log/journal", action="restore it")
            return LogContents(None, (), Manifest(), {}, False, 0, missing)
        try:
            records = read_records(memoryview(files.read_bytes(journal_path(number))))
        except StorageError as error:
            if files.exists(journal_path(number)):
                return LogContents(None, (), Manifest(), {}, False, 0, error)
            continue  # rolled meanwhile
        problem: StorageError | None = None
        closed, torn = False, 0
        try:
            journal, _, _, torn = CommitJournal.load(files, number)
            closed = journal.closed
            journal.close()
        except StorageError as error:
            problem = error
            if not files.exists(journal_path(number)):
                continue
        manifest = records[0].value if records else Manifest()
        assert isinstance(manifest, Manifest)
        carried, _ = replay(manifest, [r.value for r in records[1:] if not isinstance(r.value, Manifest)])
        return LogContents(number, tuple(records), manifest, carried, closed, torn, problem)
    raise StorageError("the commit journal is replaced all the time", path=files.root, action="try again")


def open_segment(files: Files, log: LogContents, topic: str, partition: int, state: SegmentState) -> Segment:
    """A segment as opening the log would leave it: its file, and what the journal carries for it.

    Raises:
        StorageError: the file is missing or too short.
    """
    path = segment_path(topic, log.manifest.topics[topic].id, partition, state.base, state.generation)
    pieces = log.carried.get(path, [])
    size = 0
    data: bytes | memoryview = b""
    if not pieces or pieces[0][0] or files.exists(path):
        file = files.open(path)
        try:
            size = file.size()
            if pieces:
                data = bytes(file.read(0, min(size, state.length)))
        finally:
            file.close()
    whole = size if not pieces else max(size, pieces[-1][0] + len(pieces[-1][1])) if pieces[0][0] <= size else size
    if whole < state.length:
        raise StorageError(
            f"a segment has {size} bytes, the journal says {state.length}",
            path=f"{files.root}/{path}",
            offset=size,
            action="restore the file from a backup, or run `penstock log repair`",
        )
    if pieces:
        memory = MemoryFiles()
        memory.root = files.root
        copy = memory.open(path, create=True)
        copy.path = f"{files.root}/{path}"
        copy.write(0, data)
        for position, piece in pieces:
            copy.write(position, piece)
        files = memory
    return Segment(files, path, topic, partition, state.base, state.generation, state.length)


def frames_of(segment: Segment) -> Iterator[InspectedFrame]:
    """All frames of a segment, their bodies checked, up to the first header that is damaged.

    Raises:
        StorageError: the segment's or a frame's header is damaged: what comes behind cannot be found.
    """
    problem: StorageError | None = None
    try:
        segment.rebuild_index()  # from the frames: an index file may be wrong, and recovery never trusts it
    except StorageError as error:
        problem = error
        if not segment.indexed:
            raise
    data = segment.data()
    for position in segment.indexed:
        header, damage = segment.examine(position, data)
        yield InspectedFrame(position, header, damage)
    if problem is not None:
        raise problem
