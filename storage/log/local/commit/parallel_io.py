"""Writes and syncs several files at once, with threads that are started when they are first needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from ....files import File

__all__ = ["ParallelIO"]

_BYTES_WRITTEN_BY_TWO_MIN = 1 << 20
"""Two threads write the files of a commit with at least so many bytes."""
_CHUNKS_WRITTEN_APART_MAX = 8
_CHUNK_BYTES_JOINED_MAX = 4096
"""Pieces up to so many bytes are joined before they are written, since each one costs 0.4 us in the operating system."""


def _write_files(writes: Sequence[tuple[File, int, list[Any]]], size: int) -> None:
    """Write to files, one after the other.

    Args:
        writes: (file, position, the bytes in pieces).
        size: of the commit, in bytes.
    """
    for file, position, chunks in writes:
        if len(chunks) > _CHUNKS_WRITTEN_APART_MAX and size <= len(chunks) * _CHUNK_BYTES_JOINED_MAX:
            chunks = [b"".join(chunks)]
        file.write(position, *chunks)


class ParallelIO:
    """The threads that write and sync for a log's commits.

    It has no lock: at any time at most one thread may call `write`, and one `run_all`.

    Args:
        sync_threads: how many files are synced at the same time.
    """

    def __init__(self, sync_threads: int) -> None:
        self._sync_threads = sync_threads
        self._pool: ThreadPoolExecutor | None = None
        self._writer: ThreadPoolExecutor | None = None

    def write(self, writes: Sequence[tuple[File, int, list[Any]]], size: int) -> None:
        """Write to files.  All threads have stopped writing when this returns or raises.

        Args:
            writes: (file, position, the bytes in pieces).
            size: the number of bytes of all writes.
        """
        if len(writes) < 2 or size < _BYTES_WRITTEN_BY_TWO_MIN:
            _write_files(writes, size)
            return
        # Copying into the kernel is what it takes: another thread does about a half of it.
        first, begun = 0, 0
        while begun < size // 2 and first < len(writes) - 1:
            begun += sum(map(len, writes[first][2]))
            first += 1
        if self._writer is None:
            self._writer = ThreadPoolExecutor(1, "penstock-write")
        try:
            other = self._writer.submit(_write_files, writes[:first], size)
        except RuntimeError:  # no thread is to be had: then it takes longer
            _write_files(writes, size)
            return
        try:
            _write_files(writes[first:], size)
        finally:
            wait([other])  # also where this half fails: nobody writes on behind the back of a commit
        other.result()

    def run_all(self, syncs: Sequence[Callable[[], None]]) -> list[BaseException | None]:
        """Run all syncs, side by side if there are several.  Returns the error of each, or None."""

        def tried(sync: Callable[[], None]) -> BaseException | None:
            try:
                sync()
            except BaseException as error:  # told to whoever asked, on another thread
                return error
            return None

        if len(syncs) < 2:
            return [tried(sync) for sync in syncs]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._sync_threads, "penstock-sync")
        waiting: list[Future[BaseException | None]] = []
        try:
            for sync in syncs:
                waiting.append(self._pool.submit(tried, sync))
        except RuntimeError:  # no thread is to be had: then it takes longer
            found = [tried(sync) for sync in syncs[len(waiting) :]]
            return found + [future.result() for future in waiting]
        return [future.result() for future in waiting]

    def shutdown(self) -> None:
        """End the threads."""
        for pool in (self._pool, self._writer):
            if pool is not None:
                pool.shutdown()
