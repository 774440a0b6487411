"""Verifies every byte of a database's directory: the log, the checkpoints, and the version file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..errors import StorageError
from .files import Files, RealFiles
from .layout import FORMAT, STATE, check_version, check_whole
from .log.local.maintenance.verify import LogFault, verify_log
from .state.checkpoint import CheckpointFiles

__all__ = ["LogFault", "verify_directory", "verify_files"]


def verify_directory(path: str | Path) -> list[LogFault]:
    """Find what is damaged in a directory.  Changes nothing; the directory may be open, or too damaged to be opened.

    Raises:
        StorageError: there is no such directory, or it cannot be read.
    """
    if not Path(path).is_dir():
        raise StorageError("there is no such directory", path=str(path))
    files = RealFiles(path, read_only=True)
    try:
        return list(verify_files(files))
    finally:
        files.close()


def verify_files(files: Files) -> Iterator[LogFault]:
    """See `verify_directory`."""
    try:
        check_whole(files)
        if not files.exists(FORMAT):
            raise StorageError(
                "the file that names the version is missing",
                path=f"{files.root}/{FORMAT}",
                action="run `penstock log repair`",
            )
        check_version(files)
    except StorageError as error:
        yield LogFault.of(error)
    yield from verify_log(files)
    checkpoints = CheckpointFiles(files)
    for directory in files.list(STATE):
        for name in files.list(f"{STATE}/{directory}"):
            path = f"{STATE}/{directory}/{name}"
            try:
                checkpoints.check(path)
            except StorageError as error:
                if files.exists(path):  # otherwise a newer one took its place
                    yield LogFault.of(error)
