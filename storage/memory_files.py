"""Files in memory, for ``connect()`` without a path: the same code path with nothing on disk."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import StorageError
from .file_protocol import File, ReplaceByRename

__all__ = ["MemoryFile", "MemoryFiles"]


class MemoryFiles(ReplaceByRename):
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
        self.begin_directories(paths)

    def begin_directories(self, paths: Sequence[str]) -> Sequence[str]:
        for path in paths:
            self.make_directory(path)
        return []

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
