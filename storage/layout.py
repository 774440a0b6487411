"""Where every file of a database lives, and the version of all of it.

```
shop/                                                  the directory given to connect()
|- format                                              "penstock 1": the version of everything below
|- lock                                                held (flock) by the process that has the database open; its pid
|- log/
|  |- journal/00000000000000000007.journal             the commit journal; the highest number counts
|  |- topics/orders.12/                                a topic: its name (escaped) and number; a topic created again
|     |- 0/00000000000000004096-0.segment              gets a new number.  Partition, base offset, generation
|- state/CTAS_SPEND_1/                                 checkpoints of a query, written by the runtime
```

A crash leaves at most ``*.tmp`` files, segments the journal does not know and older journals: all are removed on open.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from ..errors import StorageError
from .files import Files, MemoryFiles, RealFiles

__all__ = [
    "FORMAT_VERSION",
    "JOURNALS",
    "STATE",
    "TOPICS",
    "journal_path",
    "open_directory",
    "partition_directory",
    "segment_path",
    "state_directory",
    "topic_directory",
]

FORMAT_VERSION = 1
_FORMAT = "format"
_LOCK = "lock"
JOURNALS = "log/journal"
TOPICS = "log/topics"
STATE = "state"


def open_directory(path: str | Path | None) -> Files:
    """The files of a database: created if new, checked if not, held for this process; None is in memory.

    Raises:
        StorageError: it is open in another process, or of another version, or not a database's directory.
    """
    if path is None:
        return prepare(MemoryFiles())
    return prepare(RealFiles(path))


def prepare(files: Files) -> Files:
    """Take the lock and check (or write) the version.

    Raises:
        StorageError: see `open_directory`.
    """
    files.make_directory("")
    files.lock(_LOCK)
    try:
        if files.exists(_FORMAT):
            _check_version(files)
        else:
            strangers = [n for n in files.list("") if n not in (_LOCK, _FORMAT + ".tmp")]
            if strangers:
                raise StorageError(
                    f"the directory holds other files ({', '.join(strangers[:3])}) and no database",
                    path=files.root,
                    action="name an empty or a new directory",
                )
            files.replace(_FORMAT, f"penstock {FORMAT_VERSION}\n".encode())
    except BaseException:
        files.close()
        raise
    return files


def _check_version(files: Files) -> None:
    text = files.read_bytes(_FORMAT)
    words = text.split()
    if len(words) != 2 or words[0] != b"penstock" or not words[1].isdigit():
        raise StorageError(
            "the file that names the version is damaged",
            path=f"{files.root}/{_FORMAT}",
            offset=0,
            action=f"if all else is whole, write 'penstock {FORMAT_VERSION}' into it",
        )
    version = int(words[1])
    if version != FORMAT_VERSION:
        raise StorageError(
            f"the database has version {version}, this Penstock reads version {FORMAT_VERSION}",
            path=f"{files.root}/{_FORMAT}",
            action="open it with the Penstock that wrote it",
        )


def journal_path(number: int) -> str:
    """The commit journal of the given number."""
    return f"{JOURNALS}/{number:020d}.journal"


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


def state_directory(query: str) -> str:
    """Where the checkpoints of a query's state go."""
    return f"{STATE}/{quote(query, safe='')}"
