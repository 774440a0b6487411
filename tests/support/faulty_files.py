"""Files in memory that do what disks do at the worst moment.  For tests only; everything follows from a seed.

What is modelled:

* a write is volatile until its file is synced; at a crash each of its 512-byte sectors is kept or lost, in any order, and
  each file by itself, so that what was written last may be there and what was written first may not;
* a new, renamed or removed name is volatile until its directory is synced; at a crash a first part of a directory's
  changes is kept; so is a directory that `begin_directories` made, with all that is in it;
* a sync can fail; some of what was written since the last one is then not on disk and never will be, although reads still
  show it and the next sync succeeds: the kernel marks the pages clean;
* a write can fail for lack of space or because the disk does, after a part of it went through; so can every other call;
* a crash can come before any operation that changes the disk, or in the middle of a write.
"""

from __future__ import annotations

import errno
import hashlib
import os
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from penstock.errors import StorageError
from penstock.storage.file_protocol import File, ReplaceByRename
from penstock.storage.files import _storage_error
from penstock.storage.layout import JOURNALS

__all__ = ["FAULTS", "TEARINGS", "Crash", "Fault", "FaultyFiles", "StoppedDisk", "Tearing"]

_SECTOR_BYTES = 512

Tearing = Literal["lost", "kept", "first", "some", "journal", "data"]
TEARINGS: Final[tuple[Tearing, ...]] = ("lost", "kept", "first", "some", "journal", "data")
"""What a crash leaves of what was not synced: nothing, all, the first writes to each file, any sectors, what went to the
commit journal and nothing else, or the reverse."""

_Mood = Literal["lost", "kept", "first", "some"]
_MOODS: Final[tuple[_Mood, ...]] = ("lost", "kept", "first", "some")

FAULTS: Final = {
    "open": ("io",),
    "create": ("full", "io"),
    "read": ("io",),
    "write": ("full", "io"),
    "sync": ("io",),
    "truncate": ("io",),
    "size": ("io",),
    "exists": ("io",),
    "list": ("io",),
    "make_directory": ("full", "io"),
    "rename": ("full", "io"),
    "remove": ("io",),
    "sync_directory": ("io",),
}
"""How each call can fail: the disk is full, or it reports an input/output error."""

_DOING: Final = {
    "open": "open the file",
    "create": "open the file",
    "read": "read the file",
    "write": "write the file",
    "sync": "sync the file",
    "truncate": "truncate the file",
    "size": "ask for the size of the file",
    "exists": "look for the file",
    "list": "list the directory",
    "make_directory": "create the directory",
    "rename": "rename the file",
    "remove": "remove the file",
    "sync_directory": "sync the directory",
}
_CHANGING: Final = frozenset(FAULTS) - {"open", "read", "size", "exists", "list"}


class Crash(BaseException):
    """The process is dead.  Not an `Exception`: nothing may survive it by catching too much."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An error of the disk.

    Attributes:
        call: the number (from 0) of the call that fails, see `FaultyFiles.calls`.
        kind: the disk is full, or it reports an input/output error.
        lasting: from then on all calls that change the disk fail (if it is full: those that need room) until
            `FaultyFiles.heal`.
    """

    call: int
    kind: Literal["full", "io"]
    lasting: bool = False

    def error(self, number: int, operation: str, path: str) -> StorageError | None:
        """What the call of this number gets, None if it goes through."""
        goes_on = self.lasting and number > self.call and operation in _CHANGING and self.kind in FAULTS[operation]
        if number != self.call and not goes_on:
            return None
        code = errno.ENOSPC if self.kind == "full" else errno.EIO
        return _storage_error(OSError(code, os.strerror(code)), _DOING[operation], path)


class _Inode:
    """A file's contents: as reads see them, as the disk has them, and the writes in between."""

    def __init__(self) -> None:
        self.current = bytearray()
        self.durable = bytearray()
        self.pending: list[tuple[int, bytes] | int] = []  # a write, or the size of a truncation
        self._shared = False
        """Whether a copy has the same bytes: whoever changes them takes bytes of its own before."""

    def copy(self) -> _Inode:
        other = _Inode()
        other.current, other.durable, other.pending = self.current, self.durable, self.pending[:]
        self._shared = other._shared = True
        return other

    def own(self) -> None:
        """Before a change."""
        if self._shared:
            self.current, self.durable = self.current[:], self.durable[:]
            self._shared = False

    def write(self, position: int, data: bytes) -> None:
        self.own()
        _write_into(self.current, position, data)
        self.pending.append((position, data))

    def truncate(self, size: int) -> None:
        self.own()
        _truncate(self.current, size)
        self.pending.append(size)

    def settle(self, chance: random.Random, mood: _Mood = "kept") -> None:
        """What is pending reaches the disk, as far as the mood says; the rest never will."""
        if self.pending:
            self.own()
        kept = chance.randrange(len(self.pending) + 1) if mood == "first" else len(self.pending)
        for number, change in enumerate(self.pending):
            if mood == "lost" or number >= kept:
                break
            if isinstance(change, int):
                if mood != "some" or chance.random() < 0.5:
                    _truncate(self.durable, change)
                continue
            position, data = change
            if mood != "some":
                _write_into(self.durable, position, data)
                continue
            for start in range(0, len(data), _SECTOR_BYTES):
                if chance.random() < 0.5:
                    _write_into(self.durable, position + start, data[start : start + _SECTOR_BYTES])
        self.pending.clear()

    def crash(self, chance: random.Random, mood: _Mood) -> None:
        """Only what reached the disk is left."""
        self.settle(chance, mood)
        self.current = bytearray(self.durable)


def _write_into(target: bytearray, position: int, data: bytes) -> None:
    if len(target) < position:
        target.extend(bytes(position - len(target)))
    target[position : position + len(data)] = data


def _truncate(target: bytearray, size: int) -> None:
    if size < len(target):
        del target[size:]
    else:
        target.extend(bytes(size - len(target)))


class FaultyFiles(ReplaceByRename):
    """See the module's text.

    Args:
        seed: everything that is left to chance.
        crash_at: the number of the operation (from 0) at which the process dies; None for never.
        full_chance: how likely a write fails because the disk is full.
        sync_fails_chance: how likely a sync fails.

    Attributes:
        operations: how many there were that change the disk.
        calls: how many calls of any kind there were.
        fault: which of them fails.
        trace: if it is a list, every call is noted in it with its path.
        syncs: how many files were synced.
    """

    def __init__(
        self, seed: int, crash_at: int | None = None, full_chance: float = 0.0, sync_fails_chance: float = 0.0
    ) -> None:
        self.root = "faulty"
        self.seed = seed
        self.crash_at = crash_at
        self.full_chance = full_chance
        self.sync_fails_chance = sync_fails_chance
        self.fault: Fault | None = None
        self.trace: list[tuple[str, str]] | None = None
        self.operations = 0
        self.calls = 0
        self.syncs = 0
        self._chance = random.Random(seed)
        self._names: dict[str, _Inode] = {}
        self._durable_names: dict[str, _Inode] = {}
        self._pending_names: dict[str, list[tuple[str, _Inode | None]]] = {}
        self._directories: set[str] = {""}
        self._begun: set[str] = set()
        """Directories whose own names are volatile."""
        self._listing: dict[str, set[str]] | None = None
        """What is in each directory; None after a change of directories."""
        self._dead = False
        self._writing: tuple[_Inode, int, bytes] | None = None

    def after_crash(
        self,
        crash_at: int | None = None,
        full_chance: float = 0.0,
        sync_fails_chance: float = 0.0,
        tearing: Tearing | None = None,
    ) -> FaultyFiles:
        """The same disk after the power came back; without ``tearing`` every file is torn in a way of its own."""
        self._dead = True
        chance = self._chance
        files = FaultyFiles(chance.randrange(2**32), crash_at, full_chance, sync_fails_chance)
        if self._writing is not None:
            inode, position, data = self._writing
            inode.write(position, data[: chance.randrange(len(data) + 1)])

        def mood(path: str) -> _Mood:
            if tearing is None:
                return chance.choice(_MOODS)
            if tearing in ("journal", "data"):
                return "kept" if path.startswith(JOURNALS) == (tearing == "journal") else "lost"
            return tearing  # type: ignore[return-value]

        for directory, changes in self._pending_names.items():
            how = None if tearing is None else mood(directory)
            count = {"lost": 0, "kept": len(changes)}.get(how or "", chance.randrange(len(changes) + 1))
            for path, inode_or_none in changes[:count]:
                _rename(self._durable_names, path, inode_or_none)
        for path, inode in self._durable_names.items():
            inode.crash(chance, mood(path))
            files._names[path] = files._durable_names[path] = inode
        files._directories = set(self._directories)
        for directory in sorted(self._begun):
            kept = {"lost": False, "kept": True}.get("" if tearing is None else mood(directory), chance.random() < 0.5)
            if not kept:
                files._lose_directory(directory)
        return files

    def _lose_directory(self, path: str) -> None:
        for names in (self._names, self._durable_names):
            for name in [p for p in names if p.startswith(path + "/")]:
                del names[name]
        self._directories = {d for d in self._directories if d != path and not d.startswith(path + "/")}

    def copy(self, seed: int | None = None) -> FaultyFiles:
        """The same files, names and pending changes, to go on with independently; without a seed with the same luck."""
        files = FaultyFiles(self.seed if seed is None else seed)
        if seed is None:
            files._chance.setstate(self._chance.getstate())
        copies: dict[int, _Inode] = {}

        def copied(inode: _Inode) -> _Inode:
            if id(inode) not in copies:
                copies[id(inode)] = inode.copy()
            return copies[id(inode)]

        files._names = {path: copied(i) for path, i in self._names.items()}
        files._durable_names = {path: copied(i) for path, i in self._durable_names.items()}
        files._pending_names = {
            directory: [(path, None if i is None else copied(i)) for path, i in changes]
            for directory, changes in self._pending_names.items()
        }
        files._directories = set(self._directories)
        files._begun = set(self._begun)
        if self._writing is not None:
            inode, position, data = self._writing
            files._writing = (copied(inode), position, data)
        return files

    @property
    def dead(self) -> bool:
        """Whether the process that had them has crashed."""
        return self._dead

    def heal(self) -> None:
        """The disk works again."""
        self.fault = None

    def damage(self, path: str, position: int, flip: int) -> None:
        """Flip bits of a byte, on disk and in what is read."""
        inode = self._names[path]
        inode.own()
        inode.current[position] ^= flip
        inode.durable = bytearray(inode.current)

    def digest(self) -> bytes:
        """Different for two disks unless a process that does not crash finds, and leaves, the same on both."""
        found = hashlib.sha256(repr(sorted(self._directories)).encode())
        for path, inode in sorted(self._names.items()):
            found.update(f"\0{path}\0{len(inode.current)}\0".encode())
            found.update(inode.current)
        return found.digest()

    def contents(self) -> dict[str, bytes]:
        """All files, as reads see them."""
        return {path: bytes(inode.current) for path, inode in self._names.items()}

    def _operate(self) -> None:
        if self._dead:
            raise Crash
        if self.operations == self.crash_at:
            self._dead = True
            raise Crash
        self.operations += 1

    def _fault_of(self, operation: str, path: str) -> StorageError | None:
        """Count a call; the error that it gets, if it gets one."""
        if self.trace is not None:
            self.trace.append((operation, path))
        self.calls += 1
        return None if self.fault is None else self.fault.error(self.calls - 1, operation, path)

    def _call(self, operation: str, path: str) -> None:
        error = self._fault_of(operation, path)
        if error is not None:
            raise error

    # ------------------------------------------------------------------------------------------ the interface

    def open(self, path: str, create: bool = False) -> File:
        new = path not in self._names
        self._call("create" if new and create else "open", path)
        if new:
            if not create:
                raise StorageError("a file of the database is missing", path=path)
            self._operate()
            if path.rpartition("/")[0] not in self._directories:
                raise StorageError("there is no such directory", path=path)
            self._change_name(path, _Inode())
        return _FaultyFile(self, path, self._names[path])

    def exists(self, path: str) -> bool:
        self._call("exists", path)
        return path in self._names or path in self._directories

    def list(self, path: str) -> list[str]:
        self._call("list", path)
        listing = self._listing
        if listing is None:
            listing = {}
            for entry in (*self._names, *self._directories):
                while entry:
                    directory, _, name = entry.rpartition("/")
                    listing.setdefault(directory, set()).add(name)
                    entry = directory
            self._listing = listing
        return sorted(listing.get(path, ()))

    def make_directory(self, path: str) -> None:
        if path in self._directories:
            return
        self._call("make_directory", path)
        self._operate()
        parts = path.split("/")
        self._listing = None
        self._directories.update("/".join(parts[: i + 1]) for i in range(len(parts)))

    def make_directories(self, paths: Sequence[str]) -> None:
        for path in paths:
            self.make_directory(path)

    def begin_directories(self, paths: Sequence[str]) -> list[str]:
        before = set(self._directories)
        self.make_directories(paths)
        new = self._directories - before
        self._begun |= new
        return sorted({path.rpartition("/")[0] for path in new})

    def rename(self, source: str, target: str) -> None:
        self._call("rename", source)
        self._operate()
        inode = self._names[source]
        directory = target.rpartition("/")[0]
        assert source.rpartition("/")[0] == directory, "renames stay within a directory"
        # one change: at a crash both names change or neither does
        del self._names[source]
        self._names[target] = inode
        self._list_anew(source)
        self._list_anew(target)
        self._pending_names.setdefault(directory, []).append((f"{source}\0{target}", inode))

    def remove(self, path: str) -> None:
        self._call("remove", path)
        if path in self._names:
            self._operate()
            self._change_name(path, None)

    def remove_directory(self, path: str) -> None:
        for name in [p for p in self._names if p.startswith(path + "/")]:
            self.remove(name)
        self._listing = None
        self._directories = {d for d in self._directories if d != path and not d.startswith(path + "/")}
        self._begun &= self._directories

    def sync_directory(self, path: str) -> None:
        error = self._fault_of("sync_directory", path)
        self._operate()
        self.syncs += 1
        changes = self._pending_names.pop(path, [])
        if error is not None or self._chance.random() < self.sync_fails_chance:
            through = self._chance.randrange(len(changes) + 1)
            for name, inode in changes[:through]:
                _rename(self._durable_names, name, inode)
            self._pending_names[path] = changes[through:]
            raise error or StorageError("cannot sync the directory: simulated", path=path)
        for name, inode in changes:
            _rename(self._durable_names, name, inode)
        self._begun = {directory for directory in self._begun if directory.rpartition("/")[0] != path}

    def lock(self, path: str) -> None:
        """Nobody else is there."""

    def close(self) -> None:
        """Nothing is held."""

    def _list_anew(self, path: str) -> None:
        """A file has come or gone; its directory stays."""
        if self._listing is not None:
            directory, _, name = path.rpartition("/")
            entries = self._listing.setdefault(directory, set())
            if path in self._names:
                entries.add(name)
            else:
                entries.discard(name)

    def _change_name(self, path: str, inode: _Inode | None) -> None:
        if inode is None:
            del self._names[path]
        else:
            self._names[path] = inode
        self._list_anew(path)
        self._pending_names.setdefault(path.rpartition("/")[0], []).append((path, inode))


def _rename(names: dict[str, _Inode], path: str, inode: _Inode | None) -> None:
    """Apply one change of a directory: ``path`` is a name, or two of them for a rename."""
    source, _, target = path.partition("\0")
    if inode is None or target:
        names.pop(source, None)
    if inode is not None:
        names[target or source] = inode


class StoppedDisk(FaultyFiles):
    """Syncs of segments wait while ``go`` is cleared, at most 30 s.

    Attributes:
        go: set at first.
        waits: set by a sync of a segment that comes.
    """

    def __init__(self) -> None:
        super().__init__(seed=0)
        self.go = threading.Event()
        self.go.set()
        self.waits = threading.Event()

    def open(self, path: str, create: bool = False) -> File:
        file: Any = super().open(path, create)
        sync = file.sync

        def slow() -> None:
            if path.endswith(".segment"):
                self.waits.set()
                if not self.go.wait(30):
                    raise TimeoutError("nobody set the disk going again")
            sync()

        file.sync = slow
        return file  # type: ignore[no-any-return]


class _FaultyFile:
    def __init__(self, files: FaultyFiles, path: str, inode: _Inode) -> None:
        self.path = path
        self._files = files
        self._inode = inode

    def size(self) -> int:
        self._files._call("size", self.path)
        return len(self._inode.current)

    def read(self, position: int, length: int) -> memoryview:
        self._files._call("read", self.path)
        return memoryview(bytes(self._inode.current[position : position + length]))

    def write(self, position: int, *chunks: Any) -> None:
        data = b"".join(bytes(c) for c in chunks)
        files = self._files
        error = files._fault_of("write", self.path)
        if not files._dead:
            files._writing = (self._inode, position, data)  # a crash now may leave a part of it
        files._operate()
        files._writing = None
        if error is None and files._chance.random() < files.full_chance:
            error = StorageError("cannot write the file: no space left (simulated)", path=self.path)
        if error is not None:
            self._inode.write(position, data[: files._chance.randrange(max(1, len(data)))])
            raise error
        self._inode.write(position, data)

    def sync(self) -> None:
        files = self._files
        error = files._fault_of("sync", self.path)
        files._operate()
        files.syncs += 1
        if error is None and files._chance.random() < files.sync_fails_chance:
            error = StorageError("cannot sync the file: input/output error (simulated)", path=self.path)
        if error is not None:
            self._inode.settle(files._chance, files._chance.choice(_MOODS))
            raise error
        self._inode.settle(files._chance)

    def truncate(self, size: int) -> None:
        self._files._call("truncate", self.path)
        self._files._operate()
        self._inode.truncate(size)

    def close(self) -> None:
        """Nothing is held."""
