"""One process at a time has a database open: two locks enforce it, and a file names the process.

The file ``lock`` is locked (flock), and so is the directory itself: deleting the file, which looks like a leftover, lets
nobody in.  The content of the file (the process id, then its command) is for messages only.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from ..errors import StorageError

__all__ = ["Hold"]

_NOTE_BYTES_MAX = 512


class Hold:
    """A directory that this process holds until `release`, or until its end.

    Args:
        root: the directory.
        full: the path of the lock file, which is created if it is missing.

    Raises:
        StorageError: another process holds it; the message names that process.
        OSError: the file cannot be opened.
    """

    def __init__(self, root: str, full: str) -> None:
        self._descriptors: list[int] = []
        descriptor = os.open(full, os.O_RDWR | os.O_CREAT, 0o644)
        self._descriptors.append(descriptor)
        directory = _opened(root)
        if directory is not None:
            self._descriptors.append(directory)
        if not _try_lock(descriptor, elsewhere=False) or not (directory is None or _try_lock(directory, elsewhere=True)):
            holder = _holder(descriptor)
            self.release()
            raise StorageError(
                f"the database {root} is open in {holder}",
                path=full,
                action="close it there, or open another directory; one process at a time can hold a database",
            )
        with suppress(OSError):  # who holds it is for the message only: the lock itself needs no room on the disk
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n{_command()}\n".encode(errors="replace")[:_NOTE_BYTES_MAX])

    def release(self) -> None:
        """Release the directory.  In a forked child the parent's hold stays."""
        while self._descriptors:
            with suppress(OSError):
                os.close(self._descriptors.pop())


def _command() -> str:
    """What this process runs, without arguments: they may hold secrets."""
    program = sys.argv[0] if sys.argv else ""
    named = program if program not in ("", "-c", "-m") else ""
    return f"{Path(sys.executable or 'python').name} {named}".strip()


def _holder(descriptor: int) -> str:
    """Who holds the lock, in words.  A holder whose file was deleted left no name in this one."""
    try:
        lines = os.read(descriptor, _NOTE_BYTES_MAX).decode("utf-8", "replace").split("\n")
        since = datetime.fromtimestamp(os.fstat(descriptor).st_mtime, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except OSError:  # (Windows keeps others from reading what is locked)
        lines, since = [""], ""
    if not lines[0].strip().isdigit():
        return "another process"
    if int(lines[0]) == os.getpid():
        return f"this process (pid {lines[0].strip()}) already"
    command = f": {lines[1].strip()}" if len(lines) > 1 and lines[1].strip() else ""
    return f"another process (pid {lines[0].strip()}, since {since}{command})"


def _opened(root: str) -> int | None:
    """The directory's own descriptor; None where directories cannot be opened, or locked."""
    if sys.platform == "win32":
        return None
    try:
        return os.open(root, os.O_RDONLY)
    except OSError:
        return None


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int, *, elsewhere: bool) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int, *, elsewhere: bool) -> bool:
        """``elsewhere``: what a file system says that has no such locks, as some have none of directories."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return elsewhere
        return True
