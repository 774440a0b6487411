"""A consistent copy of a database, taken while this process or another one writes to it.

It takes no lock and nobody waits.  The copy is consistent because the journal says what counts:

1. The checkpoints are copied, and their names remembered.
2. The journal is read: the copy will be the state of the newest commit E in it.
3. If the names of the checkpoints have changed since 1, it starts again: no checkpoint may be newer than E, and no
   changelog may be shorter than an older checkpoint needs.
4. Every segment is copied up to the length in the journal; those bytes never change.  If retention, compaction or a DROP
   removed a file meanwhile, it starts again and keeps what was copied.
5. Everything is synced.  Then a new journal is written that starts with the state of E and is closed in order, then the
   version.

From before 1 until after 5 the copy contains a file ``backup-unfinished`` and does not open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import StorageError
from ..paths import named_path
from .files import File, Files, RealFiles
from .layout import (
    FORMAT,
    FORMAT_VERSION,
    JOURNALS,
    LOCK,
    STATE,
    TOPICS,
    UNFINISHED,
    check_version,
    check_whole,
    partition_directory,
    segment_path,
)
from .log.local.commit.journal import CommitJournal
from .log.local.maintenance.inspect import LogContents, read_log
from .state.checkpoint import SUFFIXES

__all__ = ["Backup", "backup_directory", "backup_files"]

_ATTEMPTS = 50
"""A new attempt starts when a file was removed, and copies only what is new.  More attempts than this mean a fault."""

_PIECE_BYTES = 8 * 1024 * 1024
"""Bytes copied at once."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy: it has all commits up to ``epoch``.  ``files`` and ``bytes`` say how large it is."""

    epoch: int
    files: int
    bytes: int


class _Vanished(Exception):
    """A file was removed before it was copied.

    Attributes:
        path: of the file, if the journal names it.
        epoch: of the journal that names it.
    """

    def __init__(self, path: str = "", epoch: int = -1) -> None:
        self.path = path
        self.epoch = epoch


def backup_directory(source: str | Path, target: str | Path, progress: Callable[[int, int], None] | None = None) -> Backup:
    """Copy the database in a directory.  It may be open in this process or another, or closed.

    Relaxed commits that are not yet durable are not in the copy.

    Args:
        target: a new or an empty directory.
        progress: called with the bytes copied and the bytes in all.

    Raises:
        StorageError: ``target`` is not empty or is inside ``source``, ``source`` is no database or damaged, the disk is
            full or failing.
    """
    source, target = named_path(source), named_path(target)
    if not source.is_dir():
        raise StorageError("there is no such directory", path=str(source))
    inside, outside = Path(target).resolve(), Path(source).resolve()
    if inside == outside or outside in inside.parents:
        raise StorageError(
            "a backup cannot lie in the directory of the database that it is of: what does not belong there is removed",
            path=str(target),
            action="name a directory outside of it, best on another disk",
        )
    origin, copy = RealFiles(source, read_only=True), RealFiles(target)
    try:
        return backup_files(origin, copy, progress)
    finally:
        origin.close()
        copy.close()


def backup_files(source: Files, target: Files, progress: Callable[[int, int], None] | None = None) -> Backup:
    """See `backup_directory`."""
    check_whole(source)
    check_version(source)
    target.make_directory("")
    if target.list(""):
        raise StorageError("a backup needs a new or an empty directory", path=target.root, action="name another one")
    target.lock(LOCK)
    target.replace(UNFINISHED, b"")
    copied: dict[str, int] = {}
    before = _Vanished()
    for _ in range(_ATTEMPTS):
        try:
            log = _attempt(source, target, copied, progress)
            break
        except _Vanished as vanished:
            if vanished.path and (vanished.path, vanished.epoch) == (before.path, before.epoch):  # nothing has removed it
                raise StorageError(
                    "a file of the database is missing",
                    path=f"{source.root}/{vanished.path}",
                    action="run `penstock log verify`; a damaged database is not copied",
                ) from None
            before = vanished
    else:
        raise StorageError("files go away faster than they can be copied", path=source.root, action="try again later")
    _finish(target, log, copied)
    return Backup(log.manifest.epoch, len(copied) + 2, sum(copied.values()))


def _attempt(
    source: Files, target: Files, copied: dict[str, int], progress: Callable[[int, int], None] | None
) -> LogContents:
    checkpoints = _checkpoints(source)
    for path in checkpoints:
        if path not in copied:
            _copy(source, target, path, None, copied)
    log = read_log(source)
    if log.problem is not None:
        raise log.problem
    if _checkpoints(source) != checkpoints:
        raise _Vanished
    lengths = {
        segment_path(name, topic.id, number, s.base, s.generation): s.length
        for name, topic in log.manifest.topics.items()
        for number, state in enumerate(topic.partitions)
        for s in state.segments
    }
    total = sum(lengths.values())
    for path in [p for p in copied if p not in lengths and p not in checkpoints]:
        target.remove(path)
        del copied[path]
    done = 0
    for path, length in lengths.items():
        if copied.get(path) != length or log.carried.get(path):
            try:
                _copy(source, target, path, length, copied, log.carried.get(path, []))
            except _Vanished:
                raise _Vanished(path, log.manifest.epoch) from None
        done += length
        if progress is not None:
            progress(done, total)
    return log


def _checkpoints(source: Files) -> list[str]:
    return [
        f"{STATE}/{directory}/{name}"
        for directory in source.list(STATE)
        for name in source.list(f"{STATE}/{directory}")
        if name.endswith(SUFFIXES)
    ]


def _copy(
    source: Files,
    target: Files,
    path: str,
    length: int | None,
    copied: dict[str, int],
    pieces: list[tuple[int, bytes]] | None = None,
) -> None:
    """Copy a file, up to ``length``, and sync it; ``pieces`` are what the journal carries for it."""
    pieces = pieces or []
    origin: File | None = None
    try:
        origin = source.open(path)
    except StorageError:
        if source.exists(path):
            raise
        if not pieces or pieces[0][0]:
            raise _Vanished from None
    target.make_directory(path.rpartition("/")[0])
    copy = target.open(path, create=True)
    try:
        copy.truncate(0)
        if origin is not None:
            size = origin.size()
            length = size if length is None else length
            for place in range(0, min(size, length), _PIECE_BYTES):
                copy.write(place, bytes(origin.read(place, min(_PIECE_BYTES, min(size, length) - place))))
        for place, data in pieces:
            copy.write(place, data)
        if length is not None and copy.size() < length:
            if not source.exists(path):
                raise _Vanished
            raise StorageError(
                f"a segment has {copy.size()} bytes, the journal says {length}",
                path=f"{source.root}/{path}",
                offset=copy.size(),
                action="run `penstock log verify`; a damaged database is not copied",
            )
        copy.sync()
        copied[path] = copy.size()
    except _Vanished:
        target.remove(path)
        copied.pop(path, None)
        raise
    finally:
        copy.close()
        if origin is not None:
            origin.close()


def _finish(target: Files, log: LogContents, copied: dict[str, int]) -> None:
    for name, topic in log.manifest.topics.items():
        for number in range(len(topic.partitions)):
            target.make_directory(partition_directory(name, topic.id, number))
    target.make_directory(TOPICS)
    target.make_directory(JOURNALS)
    for directory in sorted({path.rpartition("/")[0] for path in copied}):
        target.sync_directory(directory)
    journal = CommitJournal.create(target, (log.number or 0) + 1, log.manifest)
    try:
        journal.seal(closed=True)
    finally:
        journal.close()
    target.replace(FORMAT, b"penstock %d\n" % FORMAT_VERSION)
    target.remove(UNFINISHED)
    target.sync_directory("")
