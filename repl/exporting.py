"""Writes rows to a file in the format of its name's ending."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StatementError
from .formats import lines

if TYPE_CHECKING:
    import pyarrow as pa

    from .. import Advance, Relation

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
_CHUNK_ROWS = 1 << 17
"""The number of rows between two reports of progress, and of a row group in Parquet."""


def write_rows(rows: Relation, path: Path, tell: Callable[[Advance], None] = lambda advance: None) -> None:
    """Write a relation, of which nothing has been fetched, to a new file.  If that fails, no file is left.

    Args:
        tell: gets a `penstock.Advance` now and then.

    Raises:
        StatementError: the file exists, cannot be written, or has an unknown ending.
    """
    format_ = ENDINGS.get(path.suffix.lower())
    if format_ is None:
        raise StatementError(
            f"{path} does not say by its ending what it should hold", suggestion=f"Endings are {', '.join(ENDINGS)}."
        )
    if os.path.lexists(path):
        raise StatementError(f"{path} is there already", suggestion="Name a new file.")
    part = path.with_name(f".{os.getpid()}.{os.urandom(4).hex()}.part")
    try:
        _write(_Chunks(rows, tell), part, format_)
        os.replace(part, path)
    except OSError as error:
        raise StatementError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


class _Chunks:
    """The rows of a relation, which it reads piece by piece while it tells how far it is."""

    def __init__(self, rows: Relation, tell: Callable[[Advance], None]) -> None:
        self.columns = rows.columns
        self._rows = rows
        self._tell = tell

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for start in self._starts():
            yield from self._rows.fetchmany(min(_CHUNK_ROWS, len(self) - start))

    def tables(self) -> tuple[pa.Schema, Iterator[pa.Table]]:
        """The Arrow schema, and the rows as Arrow tables."""
        whole = self._rows.arrow()
        return whole.schema, (whole.slice(start, _CHUNK_ROWS) for start in self._starts())

    def _starts(self) -> Iterator[int]:
        from .. import Advance

        for start in range(0, len(self), _CHUNK_ROWS):
            self._tell(Advance(start, len(self), "rows"))
            yield start


def _write(rows: _Chunks, path: Path, format_: str) -> None:
    if format_ == "parquet":
        import pyarrow.parquet

        schema, tables = rows.tables()
        with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as written:
            for table in tables:
                written.write_table(table)
    elif format_ == "arrow":
        import pyarrow

        schema, tables = rows.tables()
        with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_file(file, schema) as out:
            for table in tables:
                out.write_table(table)
    else:
        with open(path, "w", encoding="utf-8", newline="" if format_ == "csv" else None) as text:
            text.writelines(line + "\n" for line in lines(format_, rows.columns, rows))
