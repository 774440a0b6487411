"""The only place that opens, maps, syncs, renames, truncates or removes files.

Everything above works on a small interface (`File`, `Files`) whose paths are relative to a root and written with ``/``.
There are three implementations: `RealFiles` (a directory of the machine), `MemoryFiles` (the same code path with nothing on
disk, for ``connect()`` without a path) and ``FaultyFiles`` (of the tests: what a disk does at a crash).

What callers may rely on, and no more:

* data is durable after ``File.sync``; a new, renamed or removed name is durable after ``Files.sync_directory``;
* ``Files.rename`` replaces its target in one instant;
* memory that ``File.read`` returned stays valid and unchanged for as long as it is referenced, even if the file is
  removed, provided nobody writes to or truncates that part of the file.
"""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from ..errors import StorageError
from ..limits import OPEN_FILES_MAX, OPEN_FILES_MIN, OPEN_FILES_OTHERS
from ..paths import NotRegularError, open_descriptor
from .file_protocol import File, Files, NothingSyncedError, ReplaceByRename, discard
from .forks import Origin, on_fork
from .holding import Hold
from .memory_files import MemoryFiles

__all__ = ["File", "Files", "MemoryFiles", "NothingSyncedError", "RealFiles", "discard"]

T = TypeVar("T")

_WRITE_BUFFERS_MAX = 512
"""Buffers per pwritev call: the kernel takes 1024 at most."""

_MAP_AHEAD_MIN = 256 * 1024
"""The least number of bytes by which a growing file is extended when it is mapped again."""

_MAP_OPTIONS: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}
"""A map needs no descriptor of its own; before Python 3.13 it keeps one nevertheless."""

_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)


def open_files_max() -> int:
    """How many descriptors to keep open: `OPEN_FILES_MAX`, or less if the limit of this process does not allow as many maps
    as files beside the descriptors of others.
    """
    try:
        import resource
    except ImportError:  # Windows, where files are not descriptors
        return OPEN_FILES_MAX
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed == resource.RLIM_INFINITY:
        return OPEN_FILES_MAX
    return min(OPEN_FILES_MAX, max(OPEN_FILES_MIN, (allowed - OPEN_FILES_OTHERS) * 2 // 5))


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


class RealFiles(ReplaceByRename):
    """A directory of the machine.

    At most `open_files_max` descriptors are kept open: the least recently used are closed and opened again when next
    needed, so that thousands of segments do not meet the limit of the process.  If it is met all the same, as others in the
    process have descriptors too, all that are not in use are closed, and what failed is tried once more.

    Args:
        root: the directory.
        read_only: open files for reading only, also beside a process that writes them.
    """

    def __init__(self, root: str | Path, read_only: bool = False) -> None:
        self.root = str(Path(root).absolute())
        self.read_only = read_only
        self.origin = Origin()
        self._open: OrderedDict[_RealFile, None] = OrderedDict()
        self._open_max = open_files_max()
        self._guard = threading.Lock()
        self._hold: Hold | None = None
        self._closed = False
        on_fork(self)

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
        for directory in self.begin_directories(paths):
            self.sync_directory(directory)

    def begin_directories(self, paths: Sequence[str]) -> Sequence[str]:
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
        return [os.path.relpath(full, self.root).replace(os.sep, "/") for full in changed]

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
            self._hold = Hold(self.root, full)
        except OSError as error:
            raise _storage_error(error, "open the file that holds the database for this process", full) from error

    def forked(self) -> None:
        """In a child: leave the lock to the parent alone."""
        if self._hold is not None:
            self._hold.release()

    def close(self) -> None:
        if self.origin.foreign:
            return
        with self._guard:
            self._closed = True
            files, self._open = list(self._open), OrderedDict()
        for file in files:
            file.close()
        if self._hold is not None:
            self._hold.release()
            self._hold = None

    def __del__(self) -> None:
        hold = getattr(self, "_hold", None)
        if hold is not None:
            hold.release()

    def _touch(self, file: _RealFile) -> None:
        """``file`` was opened or used: keep it, and close the one that was used longest ago if there are too many.

        Raises:
            StorageError: all files were closed.  Somebody else may have the directory: a thread that was left behind in a
                function of the user's, and now reads on, must not extend or cut a file.
        """
        with self._guard:
            if self._closed:
                file.rest()
                raise StorageError("the database is closed", path=self.root)
            self._open[file] = None
            self._open.move_to_end(file)
            over = len(self._open) - self._open_max
            victims = [f for f in list(self._open)[:over] if f is not file] if over > 0 else []
            for victim in victims:
                del self._open[victim]
        self._rest(victims)

    def _rest(self, victims: Sequence[_RealFile]) -> None:
        """Close descriptors that nobody uses at this moment: who does may be waiting for ours, so he is not waited for."""
        for victim in victims:
            if not victim.rest(wait=False):
                with self._guard:
                    self._open.setdefault(victim)

    def with_descriptors(self, attempt: Callable[[], T], but: _RealFile) -> T:
        """Call something that needs a descriptor; if there is none left, close all other files and call it once more.

        Raises:
            OSError: it failed.
        """
        try:
            return attempt()
        except OSError as error:
            if error.errno not in _OUT_OF_DESCRIPTORS:
                raise
        with self._guard:
            victims = [f for f in self._open if f is not but]
            for victim in victims:
                del self._open[victim]
            self._open_max = max(OPEN_FILES_MIN, len(victims) // 2)  # who else has descriptors will go on to have them
        self._rest(victims)
        return attempt()

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
        self._syncing = 0
        """Threads that have the disk work for it."""
        self._retired: list[int] = []
        """Descriptors that are closed once none of them does."""

    def open(self, create: bool) -> None:
        self._files.origin.check(self._files.root)
        flags = (
            (os.O_RDONLY if self._files.read_only else os.O_RDWR)
            | getattr(os, "O_CLOEXEC", 0)
            | getattr(os, "O_BINARY", 0)
            | (os.O_CREAT if create else 0)
        )
        try:
            self._descriptor = self._files.with_descriptors(lambda: open_descriptor(self.path, flags, 0o644), self)
        except NotRegularError as error:
            raise StorageError(
                "a file of the database is no regular file but a directory, a pipe or a device",
                path=self.path,
                action="remove it, and restore the file from a backup",
            ) from error
        except FileNotFoundError as error:
            raise StorageError(
                "a file of the database is missing", path=self.path, action="restore it from a backup"
            ) from error
        except OSError as error:
            raise _storage_error(error, "open the file", self.path) from error
        self._files._touch(self)

    @contextmanager
    def _use(self, doing: str) -> Iterator[int]:
        self._files.origin.check(self._files.root)
        with self._guard:
            if self._descriptor is None:
                self.open(create=False)
            assert self._descriptor is not None
            try:
                yield self._descriptor
            except OSError as error:
                raise _storage_error(error, doing, self.path) from error

    def rest(self, *, wait: bool = True) -> bool:
        """Close the descriptor for now; maps that are still referenced stay valid.

        Returns:
            whether it is closed; without ``wait`` it stays open if somebody uses the file.
        """
        if self._files.origin.foreign:
            return True  # the file is the parent's, and open for as long as that wants it
        if not self._guard.acquire(blocking=wait):
            return False
        try:
            if self._descriptor is not None:
                if self._extended_from is not None:
                    with suppress(OSError):  # only a tail of zeros is at stake
                        os.ftruncate(self._descriptor, self._extended_from)
                    self._extended_from = None
                if self._syncing:
                    self._retired.append(self._descriptor)
                else:
                    os.close(self._descriptor)
                self._descriptor = None
            self._map = None
            self._mapped = 0
            return True
        finally:
            self._guard.release()

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
                    try:
                        self._map = self._files.with_descriptors(lambda: _mapped(descriptor, size), self)
                    except OSError as error:
                        if error.errno not in (*_OUT_OF_DESCRIPTORS, errno.ENOMEM):
                            raise
                        self._map, self._mapped = None, 0  # no descriptor, or no map, is left: a copy needs none
                        wanted = size if self._extended_from is None else self._extended_from
                        return memoryview(os.pread(descriptor, max(0, min(length, wanted - position)), position))
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
        try:
            with self._use("sync the file") as descriptor:
                self._syncing += 1
        except StorageError as error:
            raise NothingSyncedError(error.message, path=error.path, action=error.action) from error
        try:  # outside the guard: readers need not wait for the disk
            getattr(os, "fdatasync", os.fsync)(descriptor)
        except OSError as error:
            raise _storage_error(error, "sync the file", self.path) from error
        finally:
            with self._guard:
                self._syncing -= 1
                retired = [] if self._syncing else self._retired
                if retired:
                    self._retired = []
            for one in retired:
                os.close(one)

    def truncate(self, size: int) -> None:
        with self._use("truncate the file") as descriptor:
            self._map = None
            self._mapped = 0
            self._extended_from = None
            os.ftruncate(descriptor, size)


def is_extension(file: File, length: int) -> bool:
    """Whether what stands behind the first ``length`` bytes is only what `_RealFile` extends a file by: zeros.

    They stay if a process is killed, or the machine stops, while it closes its files: also behind a log closed in order.
    """
    size = file.size()
    if size > max(_MAP_AHEAD_MIN, 2 * length):
        return False
    pieces = (file.read(start, min(_MAP_AHEAD_MIN, size - start)) for start in range(length, size, _MAP_AHEAD_MIN))
    return all(bytes(piece).count(0) == len(piece) for piece in pieces)


def _mapped(descriptor: int, size: int) -> mmap.mmap:
    return mmap.mmap(descriptor, size, access=mmap.ACCESS_READ, **_MAP_OPTIONS)
