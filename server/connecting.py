"""The public `connect`: a directory is opened in this process, an address leads to a server."""

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
"""``host:port``, which nobody calls a directory on purpose."""


def connect(path: str | Path | None = None, **how: Any) -> Database:
    """Open a database: a directory (None: in memory), see `engine.database.connect`; or, by its address, the database of a
    server: ``connect("http://host:8088", auth=("ada", "secret"))``.  See `RemoteDatabase`, which has the same methods.

    Raises:
        StatementError, StorageError: the directory cannot be opened.
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
