"""Writes rows to a file in the format of its name's ending."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..errors import StatementError
from .formats import lines

__all__ = ["ENDINGS", "write_rows"]

ENDINGS = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".md": "markdown",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}
"""Endings of file names, and their formats."""


def write_rows(rows: Any, path: Path) -> None:
    """Write a relation to a new file.  If that fails, no file is left.

    Raises:
        StatementError: the file exists, cannot be written, or has an unknown ending.
    """
    format_ = ENDINGS.get(path.suffix.lower())
    if format_ is None:
        raise StatementError(
            f"{path} does not say by its ending what it should hold", suggestion=f"Endings are {', '.join(ENDINGS)}."
        )
    if path.exists():
        raise StatementError(f"{path} is there already", suggestion="Name a new file.")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        _write(rows, part, format_)
        os.replace(part, path)
    except OSError as error:
        raise StatementError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def _write(rows: Any, path: Path, format_: str) -> None:
    if format_ == "parquet":
        rows.to_parquet(path)
    elif format_ == "csv":
        rows.to_csv(path)
    elif format_ == "arrow":
        import pyarrow

        table = rows.arrow()
        with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_file(file, table.schema) as out:
            out.write_table(table)
    else:
        with open(path, "w", encoding="utf-8") as text:
            text.writelines(line + "\n" for line in lines(format_, rows.columns, list(rows)))
