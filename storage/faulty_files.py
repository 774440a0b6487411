"""Files in memory that do what disks do at the worst moment.  For tests only; everything follows from a seed.

What is modelled:

* a write is volatile until its file is synced; at a crash each of its 512-byte sectors is kept or lost, in any order;
* a new, renamed or removed name is volatile until its directory is synced; at a crash a first part of a directory's
  changes is kept;
* a sync can fail, and then what was written since the last one may be gone although reads still show it;
* a write can fail for lack of space, after a part of it went through;
* a crash can come before any operation, or in the middle of a write.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from ..errors import StorageError
from .files import File, _ReplaceByRename

__all__ = ["Crash", "FaultyFiles"]

_SECTOR_BYTES = 512


class Crash(BaseException):
    """The process is dead.  Not an `Exception`: nothing may survive it by catching too much."""


class _Inode:
    """A file's contents: as reads see them, as the disk has them, and the writes in between."""

    def __init__(self) -> None:
        self.current = bytearray()
        self.durable = bytearray()
        self.pending: list[tuple[int, bytes] | int] = []  # a write, or the size of a truncation

    def write(self, position: int, data: bytes) -> None:
        _write_into(self.current, position, data)
        self.pending.append((position, data))

    def settle(self) -> None:
        """A sync went through."""
        self.durable = bytearray(self.current)
        self.pending.clear()

    def crash(self, chance: random.Random) -> None:
        """Only what reached the disk is left."""
        mood = chance.choice(("none", "all", "first", "some"))
        kept = chance.randrange(len(self.pending) + 1) if mood == "first" else len(self.pending)
        for number, change in enumerate(self.pending):
            if mood == "none" or number >= kept:
                break
            if isinstance(change, int):
                if mood != "some" or chance.random() < 0.5:
                    _truncate(self.durable, change)
                continue
            position, data = change
            for start in range(0, len(data), _SECTOR_BYTES):
                if mood != "some" or chance.random() < 0.5:
                    _write_into(self.durable, position + start, data[start : start + _SECTOR_BYTES])
        self.pending.clear()
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


class FaultyFiles(_ReplaceByRename):
    """See the module's text.

    Args:
        seed: everything that is left to chance.
        crash_at: the number of the operation (from 0) at which the process dies; None for never.
        full_chance: how likely a write fails because the disk is full.
        sync_fails_chance: how likely a sync fails.

    Attributes:
        operations: how many there were.
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
        self.operations = 0
        self.syncs = 0
        self._chance = random.Random(seed)
        self._names: dict[str, _Inode] = {}
        self._durable_names: dict[str, _Inode] = {}
        self._pending_names: dict[str, list[tuple[str, _Inode | None]]] = {}
        self._directories: set[str] = {""}
        self._dead = False

    def after_crash(
        self, crash_at: int | None = None, full_chance: float = 0.0, sync_fails_chance: float = 0.0
    ) -> FaultyFiles:
        """The same disk after the power came back."""
        self._dead = True
        files = FaultyFiles(self._chance.randrange(2**32), crash_at, full_chance, sync_fails_chance)
        for changes in self._pending_names.values():
            for path, inode in changes[: self._chance.randrange(len(changes) + 1)]:
                _rename(self._durable_names, path, inode)
        for path, inode in self._durable_names.items():
            inode.crash(self._chance)
            files._names[path] = files._durable_names[path] = inode
        files._directories = set(self._directories)
        return files

    def damage(self, path: str, position: int, flip: int) -> None:
        """Flip bits of a byte, on disk and in what is read."""
        inode = self._names[path]
        inode.current[position] ^= flip
        inode.durable = bytearray(inode.current)

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

    # ------------------------------------------------------------------------------------------ the interface

    def open(self, path: str, create: bool = False) -> File:
        if path not in self._names:
            if not create:
                raise StorageError("a file of the database is missing", path=path)
            self._operate()
            if path.rpartition("/")[0] not in self._directories:
                raise StorageError("there is no such directory", path=path)
            self._change_name(path, _Inode())
        return _FaultyFile(self, path, self._names[path])

    def exists(self, path: str) -> bool:
        return path in self._names or path in self._directories

    def list(self, path: str) -> list[str]:
        prefix = path + "/" if path else ""
        inside = [p[len(prefix) :] for p in (*self._names, *self._directories) if p.startswith(prefix)]
        return sorted({name.split("/", 1)[0] for name in inside if name})

    def make_directory(self, path: str) -> None:
        self._operate()
        parts = path.split("/")
        self._directories.update("/".join(parts[: i + 1]) for i in range(len(parts)))

    def make_directories(self, paths: Sequence[str]) -> None:
        for path in paths:
            self.make_directory(path)

    def rename(self, source: str, target: str) -> None:
        self._operate()
        inode = self._names[source]
        directory = target.rpartition("/")[0]
        assert source.rpartition("/")[0] == directory, "renames stay within a directory"
        # one change: at a crash both names change or neither does
        del self._names[source]
        self._names[target] = inode
        self._pending_names.setdefault(directory, []).append((f"{source}\0{target}", inode))

    def remove(self, path: str) -> None:
        if path in self._names:
            self._operate()
            self._change_name(path, None)

    def remove_directory(self, path: str) -> None:
        for name in [p for p in self._names if p.startswith(path + "/")]:
            self.remove(name)
        self._directories = {d for d in self._directories if d != path and not d.startswith(path + "/")}

    def sync_directory(self, path: str) -> None:
        self._operate()
        self.syncs += 1
        if self._chance.random() < self.sync_fails_chance:
            raise StorageError("cannot sync the directory: simulated", path=path)
        for name, inode in self._pending_names.pop(path, []):
            _rename(self._durable_names, name, inode)

    def lock(self, path: str) -> None:
        """Nobody else is there."""

    def close(self) -> None:
        """Nothing is held."""

    def _change_name(self, path: str, inode: _Inode | None) -> None:
        if inode is None:
            del self._names[path]
        else:
            self._names[path] = inode
        self._pending_names.setdefault(path.rpartition("/")[0], []).append((path, inode))


def _rename(names: dict[str, _Inode], path: str, inode: _Inode | None) -> None:
    """Apply one change of a directory: ``path`` is a name, or two of them for a rename."""
    source, _, target = path.partition("\0")
    if inode is None or target:
        names.pop(source, None)
    if inode is not None:
        names[target or source] = inode


class _FaultyFile:
    def __init__(self, files: FaultyFiles, path: str, inode: _Inode) -> None:
        self.path = path
        self._files = files
        self._inode = inode

    def size(self) -> int:
        return len(self._inode.current)

    def read(self, position: int, length: int) -> memoryview:
        return memoryview(bytes(self._inode.current[position : position + length]))

    def write(self, position: int, *chunks: Any) -> None:
        data = b"".join(bytes(c) for c in chunks)
        files = self._files
        try:
            files._operate()
        except Crash:
            if files.operations == files.crash_at:
                self._inode.write(position, data[: files._chance.randrange(len(data) + 1)])
                files.crash_at = -1  # only the write that was under way got so far
            raise
        if files._chance.random() < files.full_chance:
            self._inode.write(position, data[: files._chance.randrange(max(1, len(data)))])
            raise StorageError("cannot write the file: no space left (simulated)", path=self.path)
        self._inode.write(position, data)

    def sync(self) -> None:
        files = self._files
        files._operate()
        files.syncs += 1
        if files._chance.random() < files.sync_fails_chance:
            if files._chance.random() < 0.5:
                self._inode.pending.clear()  # the kernel forgot them; reads still show them
            raise StorageError("cannot sync the file: input/output error (simulated)", path=self.path)
        self._inode.settle()

    def truncate(self, size: int) -> None:
        self._files._operate()
        _truncate(self._inode.current, size)
        self._inode.pending.append(size)

    def close(self) -> None:
        """Nothing is held."""
