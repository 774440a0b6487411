"""The only place that opens, maps, syncs, renames, truncates or removes files.

Everything above works on a small interface (`File`, `Files`) whose paths are relative to a root and written with ``/``.
There are three implementations: `RealFiles` (a directory of the machine), `MemoryFiles` (the same code path with nothing on
disk, for ``connect()`` without a path) and ``FaultyFiles`` (in `faulty_files`: what a disk does at a crash, for tests).

What callers may rely on, and no more:

* data is durable after ``File.sync``; a new, renamed or removed name is durable after ``Files.sync_directory``;
* ``Files.rename`` replaces its target in one instant;
* memory that ``File.read`` returned stays valid and unchanged for as long as it is referenced, even if the file is
  removed, provided nobody writes to or truncates that part of the file.
"""

from __future__ import annotations

import errno
import logging
import mmap
import os
import shutil
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import StorageError
from ..limits import OPEN_FILES_MAX

__all__ = ["File", "Files", "MemoryFiles", "RealFiles", "discard"]

_logger = logging.getLogger("penstock.storage")

_WRITE_BUFFERS_MAX = 512
"""Buffers handed to one pwritev call: the kernel takes at most 1024."""


_MAP_AHEAD_MIN = 256 * 1024
"""Bytes to which a growing file is extended at least when it is mapped again."""


class File(Protocol):
    """One open file.  Thread-safe, but two writers of the same bytes must agree among themselves."""

    path: str
    """For messages: the full path, or the name within a store in memory."""

    def size(self) -> int:
        """Bytes in the file."""

    def read(self, position: int, length: int) -> memoryview:
        """The bytes from ``position`` on, fewer than ``length`` if the file ends before; mostly without copying."""

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

    def exists(self, path: str) -> bool:
        """Whether there is such a file or directory.

        Raises:
            StorageError: nobody can say.
        """

    def list(self, path: str) -> list[str]:
        """Names in a directory, sorted; empty if there is no such directory."""

    def make_directory(self, path: str) -> None:
        """Create a directory and what it stands in, where missing; durable on return."""

    def make_directories(self, paths: Sequence[str]) -> None:
        """The same for many at once, with one sync for those that stand in one directory."""

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
    """Remove a file, or a directory with all it holds, that nothing refers to any more.

    What made it superfluous has happened, so that it cannot be removed is no failure of that: it is logged, and opening
    the database removes what it does not know.
    """
    try:
        (files.remove_directory if directory else files.remove)(path)
    except StorageError as error:
        _logger.warning("a file that is not needed any more stays until the database is opened: %s", error)


class _ReplaceByRename:
    """`Files.replace` and `Files.read_bytes` in terms of the other methods."""

    def read_bytes(self: Any, path: str) -> bytes:
        file = self.open(path)
        try:
            return bytes(file.read(0, file.size()))
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


# ---------------------------------------------------------------------------------------------------- real files


def _storage_error(error: OSError, doing: str, path: str) -> StorageError:
    action = {
        errno.ENOSPC: "free space on the disk, then try again",
        errno.EDQUOT: "raise the quota or free space, then try again",
        errno.EMFILE: "raise the limit of open files of this process",
        errno.EACCES: "give this process the right to read and write the directory",
        errno.EPERM: "give this process the right to read and write the directory",
        errno.EROFS: "mount the file system writable",
        errno.EIO: "check the disk; close and open the database again before trusting it",
    }.get(error.errno or 0)
    return StorageError(f"cannot {doing}: {error.strerror or error}", path=path, action=action)


def _sync_directory(full: str) -> None:
    if sys.platform == "win32":
        return  # names are durable with the file there, and directories cannot be opened
    try:
        descriptor = os.open(full, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _storage_error(error, "sync the directory", full) from error


class RealFiles(_ReplaceByRename):
    """A directory of the machine.

    At most `OPEN_FILES_MAX` descriptors are kept open: the least recently used are closed and opened again when next
    needed, so that thousands of segments do not meet the limit of the process.

    Args:
        root: the directory.
        read_only: open files for reading only, also beside a process that writes them.
    """

    def __init__(self, root: str | Path, read_only: bool = False) -> None:
        self.root = str(Path(root).absolute())
        self.read_only = read_only
        self._open: OrderedDict[_RealFile, None] = OrderedDict()
        self._guard = threading.Lock()
        self._lock_descriptor: int | None = None
        self._lock_path = ""

    def _full(self, path: str) -> str:
        return os.path.join(self.root, *path.split("/")) if path else self.root

    def open(self, path: str, create: bool = False) -> File:
        file = _RealFile(self, self._full(path))
        file.open(create)
        return file

    def exists(self, path: str) -> bool:
        try:
            os.stat(self._full(path))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise _storage_error(error, "look for the file", self._full(path)) from error
        return True

    def list(self, path: str) -> list[str]:
        try:
            return sorted(os.listdir(self._full(path)))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _storage_error(error, "list the directory", self._full(path)) from error

    def make_directory(self, path: str) -> None:
        self.make_directories([path])

    def make_directories(self, paths: Sequence[str]) -> None:
        changed: dict[str, None] = {}
        for full in map(self._full, paths):
            missing = full
            while not os.path.isdir(missing):
                missing = os.path.dirname(missing)
                changed[missing] = None
            try:
                os.makedirs(full, exist_ok=True)
            except OSError as error:
                raise _storage_error(error, "create the directory", full) from error
        for directory in changed:
            _sync_directory(directory)

    def rename(self, source: str, target: str) -> None:
        try:
            os.replace(self._full(source), self._full(target))
        except OSError as error:
            raise _storage_error(error, f"rename the file to {target}", self._full(source)) from error

    def remove(self, path: str) -> None:
        try:
            os.remove(self._full(path))
        except FileNotFoundError:
            return
        except OSError as error:
            raise _storage_error(error, "remove the file", self._full(path)) from error

    def remove_directory(self, path: str) -> None:
        try:
            shutil.rmtree(self._full(path))
        except FileNotFoundError:
            return
        except OSError as error:
            raise _storage_error(error, "remove the directory", self._full(path)) from error

    def sync_directory(self, path: str) -> None:
        _sync_directory(self._full(path))

    def lock(self, path: str) -> None:
        full = self._full(path)
        try:
            os.makedirs(os.path.dirname(full), exist_ok=True)
            descriptor = os.open(full, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise _storage_error(error, "open the file that holds the database for this process", full) from error
        if not _try_lock(descriptor):
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() if hasattr(os, "pread") else ""
            os.close(descriptor)
            raise StorageError(
                f"the database {self.root} is open in another process" + (f" (pid {holder})" if holder else ""),
                path=full,
                action="close it there, or open another directory; one process at a time can hold a database",
            )
        self._lock_descriptor = descriptor
        with suppress(OSError):  # who holds it is for the message only: the lock itself needs no room on the disk
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())

    def close(self) -> None:
        with self._guard:
            files, self._open = list(self._open), OrderedDict()
        for file in files:
            file.close()
        if self._lock_descriptor is not None:
            os.close(self._lock_descriptor)  # lets go of the lock
            self._lock_descriptor = None

    def __del__(self) -> None:
        if self._lock_descriptor is not None:
            with suppress(OSError):
                os.close(self._lock_descriptor)

    def _touch(self, file: _RealFile) -> None:
        """``file`` was opened or used: keep it, and close the one that was used longest ago if there are too many."""
        with self._guard:
            self._open[file] = None
            self._open.move_to_end(file)
            victims = [f for f in list(self._open)[: len(self._open) - OPEN_FILES_MAX] if f is not file]
            for victim in victims:
                del self._open[victim]
        for victim in victims:
            victim.rest()

    def _forget(self, file: _RealFile) -> None:
        with self._guard:
            self._open.pop(file, None)


class _RealFile:
    """One file of the machine, read through a map.

    A map holds a descriptor for as long as somebody holds memory of it.  So a file that is read again after it has grown
    is extended (without using space) and mapped ahead of what is written: a growing segment needs a dozen maps in its
    life, not one per commit.  ``close`` takes the extension back; after a crash recovery cuts it.
    """

    def __init__(self, files: RealFiles, path: str) -> None:
        self.path = path
        self._files = files
        self._guard = threading.RLock()
        self._descriptor: int | None = None
        self._map: mmap.mmap | None = None
        self._mapped = 0
        self._extended_from: int | None = None
        """If the file was extended for mapping: how long it is really."""

    def open(self, create: bool) -> None:
        flags = (
            (os.O_RDONLY if self._files.read_only else os.O_RDWR)
            | getattr(os, "O_CLOEXEC", 0)
            | getattr(os, "O_BINARY", 0)
            | (os.O_CREAT if create else 0)
        )
        try:
            self._descriptor = os.open(self.path, flags, 0o644)
        except FileNotFoundError as error:
            raise StorageError(
                "a file of the database is missing", path=self.path, action="restore it from a backup"
            ) from error
        except OSError as error:
            raise _storage_error(error, "open the file", self.path) from error
        self._files._touch(self)

    @contextmanager
    def _use(self, doing: str) -> Iterator[int]:
        with self._guard:
            if self._descriptor is None:
                self.open(create=False)
            assert self._descriptor is not None
            try:
                yield self._descriptor
            except OSError as error:
                raise _storage_error(error, doing, self.path) from error

    def rest(self) -> None:
        """Close the descriptor for now; maps that are still referenced stay valid."""
        with self._guard:
            if self._descriptor is not None:
                if self._extended_from is not None:
                    with suppress(OSError):  # only a tail of zeros is at stake
                        os.ftruncate(self._descriptor, self._extended_from)
                    self._extended_from = None
                os.close(self._descriptor)
                self._descriptor = None
            self._map = None
            self._mapped = 0

    def close(self) -> None:
        self._files._forget(self)
        self.rest()

    def __del__(self) -> None:
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)

    def size(self) -> int:
        with self._use("ask for the size of the file") as descriptor:
            return os.fstat(descriptor).st_size if self._extended_from is None else self._extended_from

    def read(self, position: int, length: int) -> memoryview:
        if length <= 0:
            return memoryview(b"")
        with self._use("read the file") as descriptor:
            if position + length > self._mapped:
                size = os.fstat(descriptor).st_size
                if size == 0:
                    return memoryview(b"")
                if size > self._mapped:
                    if self._mapped:
                        if self._extended_from is None:
                            self._extended_from = size
                        size = max(_MAP_AHEAD_MIN, 1 << size.bit_length())
                        os.ftruncate(descriptor, size)
                    self._map = mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)
                    self._mapped = size
            assert self._map is not None
            end = position + length
            if self._extended_from is not None:
                end = min(end, self._extended_from)
            return memoryview(self._map)[position:end]

    def write(self, position: int, *chunks: Any) -> None:
        with self._use("write the file") as descriptor:
            for start in range(0, len(chunks), _WRITE_BUFFERS_MAX):
                some = chunks[start : start + _WRITE_BUFFERS_MAX]
                expected = sum(memoryview(c).nbytes for c in some)
                written = os.pwritev(descriptor, some, position)
                if written < expected:  # the kernel may stop early; what is left goes piece by piece
                    rest = memoryview(b"".join(bytes(c) for c in some))[written:]
                    while rest:
                        count = os.pwrite(descriptor, rest, position + written)
                        written += count
                        rest = rest[count:]
                position += expected
                if self._extended_from is not None:
                    self._extended_from = max(self._extended_from, position)

    def sync(self) -> None:
        with self._use("sync the file") as descriptor:
            duplicate = os.dup(descriptor)
        try:  # outside the guard: readers need not wait for the disk
            getattr(os, "fdatasync", os.fsync)(duplicate)
        except OSError as error:
            raise _storage_error(error, "sync the file", self.path) from error
        finally:
            os.close(duplicate)

    def truncate(self, size: int) -> None:
        with self._use("truncate the file") as descriptor:
            self._map = None
            self._mapped = 0
            self._extended_from = None
            os.ftruncate(descriptor, size)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


# -------------------------------------------------------------------------------------------------- files in memory


class MemoryFiles(_ReplaceByRename):
    """Nothing on disk, gone with the process; syncs cost nothing."""

    def __init__(self) -> None:
        self.root = "memory"
        self._contents: dict[str, MemoryFile] = {}
        self._directories: set[str] = set()
        self._guard = threading.RLock()

    def open(self, path: str, create: bool = False) -> File:
        with self._guard:
            file = self._contents.get(path)
            if file is None:
                if not create:
                    raise StorageError("a file of the database is missing", path=path)
                file = self._contents[path] = MemoryFile(path)
            return file

    def exists(self, path: str) -> bool:
        with self._guard:
            return path in self._contents or path in self._directories

    def list(self, path: str) -> list[str]:
        prefix = path + "/" if path else ""
        with self._guard:
            inside = [p[len(prefix) :] for p in (*self._contents, *self._directories) if p.startswith(prefix)]
        return sorted({name.split("/", 1)[0] for name in inside if name})

    def make_directory(self, path: str) -> None:
        parts = path.split("/")
        with self._guard:
            self._directories.update("/".join(parts[: i + 1]) for i in range(len(parts)))

    def make_directories(self, paths: Sequence[str]) -> None:
        for path in paths:
            self.make_directory(path)

    def rename(self, source: str, target: str) -> None:
        with self._guard:
            if source not in self._contents:
                raise StorageError("a file of the database is missing", path=source)
            self._contents[target] = self._contents.pop(source)
            self._contents[target].path = target

    def remove(self, path: str) -> None:
        with self._guard:
            self._contents.pop(path, None)

    def remove_directory(self, path: str) -> None:
        with self._guard:
            for name in [p for p in self._contents if p.startswith(path + "/")]:
                del self._contents[name]
            self._directories = {d for d in self._directories if d != path and not d.startswith(path + "/")}

    def sync_directory(self, path: str) -> None:
        """There is nothing to sync."""

    def lock(self, path: str) -> None:
        """Nobody else can see this memory."""

    def close(self) -> None:
        """The contents go when the last reference goes."""


class MemoryFile:
    """A growing array of bytes.  Growth allocates a new one, so memory handed out by ``read`` stays valid."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._bytes: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        self._size = 0
        self._guard = threading.Lock()

    def size(self) -> int:
        return self._size

    def read(self, position: int, length: int) -> memoryview:
        return memoryview(self._bytes.data)[position : min(position + length, self._size)].toreadonly()

    def write(self, position: int, *chunks: Any) -> None:
        with self._guard:
            end = position + sum(memoryview(c).nbytes for c in chunks)
            self._reserve(end)
            for chunk in chunks:
                data = np.frombuffer(chunk, np.uint8)
                self._bytes[position : position + len(data)] = data
                position += len(data)
            self._size = max(self._size, end)

    def sync(self) -> None:
        """Memory is as durable as it gets."""

    def truncate(self, size: int) -> None:
        with self._guard:
            self._reserve(size)
            if size < self._size:
                self._bytes = self._bytes[:size].copy()
            self._size = size

    def close(self) -> None:
        """Handles in memory cost nothing."""

    def _reserve(self, size: int) -> None:
        if size > len(self._bytes):
            grown = np.zeros(max(size, 2 * len(self._bytes)), np.uint8)
            grown[: self._size] = self._bytes[: self._size]
            self._bytes = grown
