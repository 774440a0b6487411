"""What everything above knows of files: `File` and `Files`, and what they promise.  See `files`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Protocol

from ..errors import StorageError
from ..limits import FILE_BYTES_MAX

__all__ = ["File", "Files", "NothingSyncedError", "ReplaceByRename", "checked_size", "discard"]

_logger = logging.getLogger("penstock.storage")


class NothingSyncedError(StorageError):
    """A file could not even be opened to be synced: nothing was asked of the disk, so nothing it has is in doubt."""


class File(Protocol):
    """One open file.  Thread-safe, but two writers of the same bytes must agree among themselves."""

    path: str
    """For messages: the full path, or the name within a store in memory."""

    def size(self) -> int:
        """Bytes in the file."""
        ...

    def read(self, position: int, length: int) -> memoryview:
        """The bytes from ``position`` on, fewer than ``length`` if the file ends before; mostly without copying."""
        ...

    def write(self, position: int, *chunks: Any) -> None:
        """Write all chunks, one after the other.

        Raises:
            StorageError: the disk is full or failing; any part of the bytes may have been written.
        """

    def sync(self) -> None:
        """Make what was written durable.

        Raises:
            StorageError: nobody can say what is durable; a second attempt that succeeds would prove nothing.
        """

    def truncate(self, size: int) -> None:
        """Cut the file, or grow it with zeros."""

    def close(self) -> None:
        """Give up the handle."""


class Files(Protocol):
    """A tree of files.  Thread-safe."""

    root: str
    """For messages."""

    def open(self, path: str, create: bool = False) -> File:
        """Open for reading and writing.

        Raises:
            StorageError: there is no such file (and ``create`` is false), or it cannot be opened.
        """
        ...

    def exists(self, path: str) -> bool:
        """Whether there is such a file or directory.

        Raises:
            StorageError: nobody can say.
        """
        ...

    def list(self, path: str) -> list[str]:
        """Names in a directory, sorted; empty if there is no such directory."""
        ...

    def make_directory(self, path: str) -> None:
        """Create a directory and its parents, where they are missing; durable on return."""

    def make_directories(self, paths: Sequence[str]) -> None:
        """As `make_directory`, for many: those that stand in one directory take one sync together."""

    def begin_directories(self, paths: Sequence[str]) -> Sequence[str]:
        """As `make_directories`, without any sync.  Returns the directories to sync; then all are durable."""
        ...

    def rename(self, source: str, target: str) -> None:
        """Move a file, replacing ``target`` in one instant."""

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""

    def remove_directory(self, path: str) -> None:
        """Remove a directory with all it holds, if it is there."""

    def sync_directory(self, path: str) -> None:
        """Make the names in a directory durable."""

    def read_bytes(self, path: str) -> bytes:
        """A whole (small) file."""
        ...

    def replace(self, path: str, *chunks: Any) -> None:
        """Write a file so that after a crash it holds either its old or its new contents, whole; durable on return."""

    def lock(self, path: str) -> None:
        """Hold the tree for this process until ``close``.

        Raises:
            StorageError: another process holds it; the message names it.
        """

    def close(self) -> None:
        """Close everything and let go of the lock."""


def discard(files: Files, path: str, *, directory: bool = False) -> None:
    """Remove a file, or a directory with everything in it, to which nothing refers any more.

    A failure to remove it is logged and ignored: what made it superfluous has happened, and opening the database removes
    unknown files.
    """
    try:
        (files.remove_directory if directory else files.remove)(path)
    except StorageError as error:
        _logger.warning("a file that is no longer needed stays until the database is opened again: %s", error)


def checked_size(file: File) -> int:
    """The bytes of a file that is going to be read as a whole.  Raises: StorageError, if there are too many."""
    if (size := file.size()) > FILE_BYTES_MAX:
        raise StorageError(
            f"the file has {size:,} bytes, and none of a database has more than {FILE_BYTES_MAX:,}",
            path=file.path,
            action="something has grown it: cut it to what it was (`truncate -s`), or put back the file of a backup",
        )
    return size


class ReplaceByRename:
    """`Files.replace` and `Files.read_bytes` in terms of the other methods."""

    def read_bytes(self: Any, path: str) -> bytes:
        file = self.open(path)
        try:
            return bytes(file.read(0, checked_size(file)))
        finally:
            file.close()

    def replace(self: Any, path: str, *chunks: Any) -> None:
        temporary = path + ".tmp"
        file = self.open(temporary, create=True)
        try:
            file.truncate(0)
            file.write(0, *chunks)
            file.sync()
        finally:
            file.close()
        self.rename(temporary, path)
        self.sync_directory(path.rpartition("/")[0])
