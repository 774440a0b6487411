"""Where every file of a database lives, and the version of all of it.

```
shop/                                                  the directory given to connect()
|- format                                              "penstock 2": the version of everything below
|- lock                                                held (flock) by the process that has the database open, which it names
|- log/
|  |- journal/00000000000000000007.journal             the commit journal; the highest number counts
|  |- topics/orders.12/                                a topic: its name (escaped) and number; a topic created again
|     |- 0/00000000000000004096-0.segment              gets a new number.  Partition, base offset, generation
|     |- 0/00000000000000004096-0.index                where its frames are, if they are many; may be missing
|- state/CTAS_SPEND_1/                                 checkpoints of a query, written by the runtime
```

A crash leaves at most ``*.tmp`` files, segments the journal does not know and older journals: all are removed on open.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from ..errors import StorageError
from .files import Files, MemoryFiles, RealFiles

__all__ = [
    "CHANGELOG_PREFIX",
    "FORMAT",
    "FORMAT_VERSION",
    "READABLE_VERSIONS",
    "JOURNALS",
    "index_path",
    "LOCK",
    "STATE",
    "TOPICS",
    "UNFINISHED",
    "check_version",
    "check_whole",
    "journal_path",
    "open_directory",
    "partition_directory",
    "segment_path",
    "state_directory",
    "topic_directory",
    "upgrade",
]

FORMAT_VERSION = 2
"""The version of what is written.  A build that knows only older versions refuses the directory by it, so it rises with
everything that such a build would not understand.  2: frames whose keys, values or timestamps are packed, which some builds
that wrote version 1 do not know.
"""
READABLE_VERSIONS = (1, 2)
"""Directories of these older versions become `FORMAT_VERSION` when they are opened for writing."""
CHANGELOG_PREFIX = "_changelog-"
"""The prefix of changelog topics; the query and the store follow, with a ``-`` between them."""
FORMAT = "format"
LOCK = "lock"
UNFINISHED = "backup-unfinished"
"""A file that a backup contains from before its first file until after its last."""
JOURNALS = "log/journal"
TOPICS = "log/topics"
STATE = "state"


def open_directory(path: str | Path | None, *, create: bool = True) -> Files:
    """The files of a database: created if new, checked if not, and locked for this process.  None is in memory.

    Args:
        create: create the database if there is none.

    Raises:
        StorageError: another process has it open, it has an unknown version, it is not a database, or there is none and
            ``create`` is false.
    """
    if path is None:
        return prepare(MemoryFiles())
    files = RealFiles(path)
    if not create and _version_found(files) is None:
        raise StorageError(
            "there is no database here",
            path=str(path),
            action="check the path; it is made by the first statement that writes",
        )
    return prepare(files)


def prepare(files: Files) -> Files:
    """Take the lock, and check or write the version.  A refused directory stays as it was.

    Raises:
        StorageError: see `open_directory`.
    """
    try:
        _version_found(files)  # before anything is made there
        files.make_directory("")
        files.lock(LOCK)
        if _version_found(files) is None:
            files.replace(FORMAT, b"penstock %d\n" % FORMAT_VERSION)
    except BaseException:
        files.close()
        raise
    return files


def upgrade(files: Files) -> None:
    """Write the present version, before anything is written that older builds would not understand.

    Called when the database could be opened: a refused directory can still be opened by the build that wrote it.
    """
    if files.exists(FORMAT) and check_version(files) != FORMAT_VERSION:
        files.replace(FORMAT, b"penstock %d\n" % FORMAT_VERSION)


def _version_found(files: Files) -> int | None:
    """The version of the database in a directory; None if there is none, and room for one.

    Raises:
        StorageError: it is of another version, damaged, a backup that was not finished, or there are other files.
    """
    check_whole(files)
    if files.exists(FORMAT):
        return check_version(files)
    strangers = [n for n in files.list("") if n not in (LOCK, FORMAT + ".tmp")]
    if "log" in strangers and files.list(JOURNALS):
        raise StorageError(
            "the file that names the version is missing",
            path=f"{files.root}/{FORMAT}",
            action=f"run `penstock log repair`, or write 'penstock {FORMAT_VERSION}' and a line end into it",
        )
    if strangers:
        raise StorageError(
            f"the directory holds other files ({', '.join(strangers[:3])}) and no database",
            path=files.root,
            action="name an empty or a new directory",
        )
    return None


def check_whole(files: Files) -> None:
    """Raises: StorageError, if the directory is an unfinished backup."""
    if files.exists(UNFINISHED):
        raise StorageError(
            "this is a backup that was not finished",
            path=f"{files.root}/{UNFINISHED}",
            action="delete the directory and take the backup again",
        )


def check_version(files: Files) -> int:
    """The version that the file names.

    Raises:
        StorageError: the file is damaged, or names a version that this Penstock cannot read.
    """
    text = files.read_bytes(FORMAT)
    words = text.split()
    place = f"{files.root}/{FORMAT}"
    if len(words) != 2 or not words[1].isdigit() or text != b"penstock %d\n" % int(words[1]):
        raise StorageError(
            "the file that names the version is damaged",
            path=place,
            offset=0,
            action=f"run `penstock log repair`, or write 'penstock {FORMAT_VERSION}' and a line end into it",
        )
    version = int(words[1])
    if version in READABLE_VERSIONS:
        return version
    known = f"this Penstock reads {', '.join(map(str, READABLE_VERSIONS))}"
    if version > FORMAT_VERSION:
        raise StorageError(
            f"the database has version {version}, {known}: a newer Penstock wrote it",
            path=place,
            action="open it with that one, or a later one: `pip install --upgrade penstock`; if there is none, the file is "
            "damaged: run `penstock log verify`, then `penstock log repair`",
        )
    raise StorageError(
        f"the database has version {version}, {known}",
        path=place,
        action="open it with the Penstock that wrote it; if that was this one, the file is damaged: run `penstock log "
        "verify`, then `penstock log repair`",
    )


def journal_path(number: int) -> str:
    """The commit journal of the given number."""
    return f"{JOURNALS}/{number:020d}.journal"


@lru_cache(maxsize=4096)
def topic_directory(name: str, topic_id: int) -> str:
    """A topic's directory.  The number makes it unique where file names ignore case."""
    escaped = quote(name, safe="").replace(".", "%2E")[:150]
    return f"{TOPICS}/{escaped}.{topic_id}"


def partition_directory(name: str, topic_id: int, partition: int) -> str:
    """A partition's directory."""
    return f"{topic_directory(name, topic_id)}/{partition}"


def segment_path(name: str, topic_id: int, partition: int, base_offset: int, generation: int) -> str:
    """A segment: named by its base offset; a rewrite (merge, compaction) has the next generation."""
    return f"{partition_directory(name, topic_id, partition)}/{base_offset:020d}-{generation}.segment"


def index_path(segment: str) -> str:
    """The index beside a segment, by the path of the segment."""
    return segment.removesuffix(".segment") + ".index"


def state_directory(query: str) -> str:
    """Where the checkpoints of a query's state go."""
    return f"{STATE}/{quote(query, safe='')}"
