"""Paths that a user names.  A path that cannot be used raises an error of Penstock's."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from .errors import StorageError, printable

__all__ = ["NotRegularError", "named_path", "open_descriptor", "open_regular"]


class NotRegularError(OSError):
    """A path leads to a directory, a pipe or a device, but must lead to a file."""


def named_path(path: str | os.PathLike[str]) -> Path:
    """The path that a user means.  ``~`` and ``~name`` stand for home directories.

    Raises:
        StorageError: it is not a path; this system allows no path of this name (NUL, an unpaired surrogate); or the home
            directory does not exist.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise StorageError(f"a path is a text or a pathlib.Path, not {type(path).__name__}")
    try:
        found = Path(path).expanduser()
        if b"\0" in os.fsencode(found):
            raise StorageError("a path cannot hold the character NUL", path=_shown(path))
    except UnicodeEncodeError:
        raise StorageError("a path cannot hold half of a surrogate pair", path=_shown(path)) from None
    except RuntimeError:
        raise StorageError("there is no such home directory", path=_shown(path)) from None
    return found


def open_descriptor(path: str | os.PathLike[str], flags: int, mode: int = 0o777, *, pipes: bool = False) -> int:
    """`os.open`, without waiting for the other end of a pipe, which may never come.

    Args:
        pipes: a pipe is accepted, too.

    Raises:
        NotRegularError: it is not a regular file.
        OSError, ValueError: it cannot be opened.
    """
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), mode)
    kind = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(kind) and not (pipes and stat.S_ISFIFO(kind)):
        os.close(descriptor)
        raise NotRegularError(f"{os.fspath(path)} is no regular file")
    return descriptor


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file for reading.

    Raises:
        NotRegularError, OSError, ValueError: see `open_descriptor`.
    """
    return open(open_descriptor(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)), "rb")


def _shown(path: str | os.PathLike[str]) -> str:
    return printable(os.fspath(path)).replace("\0", "\\0")
