"""The public function `connect`, which opens a directory in this process or connects to a server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

from ..arguments import check_options
from ..engine import database
from ..engine.database import Database
from ..errors import StatementError, StorageError
from ..paths import named_path

__all__ = ["connect"]

_ADDRESS = re.compile(r"[A-Za-z0-9][\w.-]+:\d{2,5}/?")
"""``host:port`` without a scheme, which is not meant as the name of a directory."""


def connect(path: str | Path | None = None, **how: Any) -> Database:
    """Open a database in a directory or in memory, or connect to the database of a server.

    Args:
        path: a directory; None for a database in memory; or the address of a server (``http://host:8088``).
        how: keyword arguments of `engine.database.connect`, or, for a server, of `RemoteDatabase`
            (``auth=("ada", "secret")``), which has the methods of `Database`.

    Raises:
        StatementError: an argument is wrong, or the server refuses the login.
        StorageError: the directory cannot be opened.
        ClientError: the server cannot be reached.
    """
    if isinstance(path, str) and path.startswith(("http://", "https://")):
        from .remote import RemoteDatabase

        check_options(RemoteDatabase, how, "the connection to a server")
        return cast(Database, RemoteDatabase(path, **how))
    if path is None:
        return database.connect(None, **how)
    directory = named_path(path)
    if isinstance(path, str) and _ADDRESS.fullmatch(path) and not directory.exists():
        raise StatementError(
            f"{path} is a server's address without its scheme",
            suggestion=f"connect('http://{path}'); a directory of this name is './{path}'.",
        )
    if directory.is_file():
        raise StorageError(
            f"{path} is a file, and a database is a directory",
            action=f"CREATE STREAM name FROM '{path}' makes a stream of it; so does db.create_stream(name, '{path}').",
        )
    return database.connect(path, **how)
