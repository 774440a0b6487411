"""Paths that a user names.  A path that cannot be used raises a Penstock error."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from .errors import StorageError, printable

__all__ = ["named_path", "open_regular"]


def named_path(path: str | os.PathLike[str]) -> Path:
    """The path that a user means; ``~`` and ``~name`` stand for home directories.

    Raises:
        StorageError: it is not a path, this system allows no path of this name (NUL, an unpaired surrogate), or the home
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


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading; a pipe, whose other end may never come, or a device is refused.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{os.fspath(path)} is no regular file")
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _shown(path: str | os.PathLike[str]) -> str:
    return printable(os.fspath(path)).replace("\0", "\\0")
