"""``penstock import``: a file's rows into a stream or table.  ``penstock export``: a query's rows into a file."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from ..errors import PenstockError, StatementError
from .exporting import write_rows
from .working import working

__all__ = ["export_rows", "import_rows"]

_BATCH_ROWS = 50_000
"""Rows per commit; with so many, the cost of a commit does not matter."""
_BLOCK_BYTES = 8 << 20
_REDRAW_S = 0.2
_PATIENCE_S = 1.0

Batch = tuple[Any, int]
"""Rows as `Database.insert` takes them, and the number of bytes of the file read so far."""


class Meter:
    """The progress of an import: a line that is redrawn on a terminal, nothing elsewhere."""

    def __init__(self, out: TextIO, total_bytes: int) -> None:
        self._out = out
        self._total = max(total_bytes, 1)
        self._began_s = time.monotonic()
        self._drawn_s = 0.0

    def show(self, rows: int, done_bytes: int) -> None:
        now_s = time.monotonic()
        took_s = now_s - self._began_s
        if not self._out.isatty() or took_s < _PATIENCE_S or now_s - self._drawn_s < _REDRAW_S:
            return
        self._drawn_s = now_s
        share = min(done_bytes / self._total, 1.0)
        left = f", {took_s / share - took_s:.0f} s left" if share else ""
        self._out.write(
            f"\r\x1b[K[{('#' * int(share * 24)).ljust(24, '.')}] {share:4.0%}  {rows:,} rows, "
            f"{rows / took_s:,.0f} rows/s{left}"
        )
        self._out.flush()

    def end(self, rows: int) -> str:
        """Remove the line.  Returns: the rate as text."""
        if self._drawn_s:
            self._out.write("\r\x1b[K")
            self._out.flush()
        took_s = max(time.monotonic() - self._began_s, 1e-6)
        return f"in {took_s:.1f} s, {rows / took_s:,.0f} rows/s"


def import_rows(database: Any, file: str, into: str, tell: Callable[[str], None]) -> int:
    """Insert the rows of a file, 50,000 per commit.

    Returns:
        the exit code.

    Raises:
        StatementError: the file cannot be read, or a row does not fit; the message gives the number of rows inserted.
    """
    path = Path(file).expanduser()
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise StatementError(
            f"{path} does not say by its ending what it holds", suggestion=f"Endings are {', '.join(_READERS)}."
        )
    rows = 0
    try:
        meter = Meter(sys.stderr, path.stat().st_size)
        for batch, done_bytes in reader(path):
            count = len(batch)
            if count:
                database.insert(into, batch)
            rows += count
            meter.show(rows, done_bytes)
    except PenstockError as problem:
        raise StatementError(f"{path}: after {rows:,} rows that are in: {problem}") from problem
    except (OSError, ValueError) as problem:  # Arrow's errors are ValueErrors
        reason = getattr(problem, "strerror", None) or problem
        raise StatementError(f"{path} cannot be read, after {rows:,} rows that are in: {reason}") from problem
    tell(f"{rows:,} {'row' if rows == 1 else 'rows'} of {path} into {into}, {meter.end(rows)}")
    return 0


def export_rows(database: Any, what: str, file: str, tell: Callable[[str], None]) -> int:
    """Write the rows of a source, or of a SELECT, to a new file.  Raises: StatementError."""
    began_s = time.monotonic()
    text = what.strip().removesuffix(";")
    statement = text if len(text.split()) > 1 and not text.startswith("`") else f"SELECT * FROM {text}"
    path = Path(file).expanduser()
    with working(sys.stderr) as tell_progress:
        rows = database.sql(statement + ";")
        write_rows(rows, path, tell_progress)
    took_s = max(time.monotonic() - began_s, 1e-6)
    count = len(rows)
    tell(f"{count:,} {'row' if count == 1 else 'rows'} into {path}, in {took_s:.1f} s, {count / took_s:,.0f} rows/s")
    return 0


def _csv(path: Path) -> Iterator[Batch]:
    yield from _delimited(path, ",")


def _tsv(path: Path) -> Iterator[Batch]:
    yield from _delimited(path, "\t")


def _delimited(path: Path, delimiter: str) -> Iterator[Batch]:
    """All columns as texts, which `insert` reads by the columns' types; an empty cell without quotes is NULL."""
    import pyarrow
    import pyarrow.csv as csv

    parsing = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    with csv.open_csv(path, read_options=csv.ReadOptions(block_size=_BLOCK_BYTES), parse_options=parsing) as head:
        names = head.schema.names
    converting = csv.ConvertOptions(
        column_types=dict.fromkeys(names, pyarrow.string()),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    with open(path, "rb") as file:
        reader = csv.open_csv(
            file,
            read_options=csv.ReadOptions(block_size=_BLOCK_BYTES),
            parse_options=parsing,
            convert_options=converting,
        )
        plain = [name.strip() for name in names]
        for batch in reader:
            for start in range(0, batch.num_rows, _BATCH_ROWS):
                table = pyarrow.Table.from_batches([batch.slice(start, _BATCH_ROWS)])
                yield table.rename_columns(plain), file.tell()


def _json_lines(path: Path) -> Iterator[Batch]:
    from decimal import Decimal

    rows: list[Any] = []
    done = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            done += len(line)
            if not line.strip():
                continue
            try:
                row = json.loads(line, parse_float=Decimal)
            except ValueError as problem:
                raise ValueError(f"line {number} is not JSON: {problem}") from problem
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is not a JSON object")
            rows.append(row)
            if len(rows) == _BATCH_ROWS:
                yield rows, done
                rows = []
    yield rows, done


def _parquet(path: Path) -> Iterator[Batch]:
    import pyarrow
    import pyarrow.parquet

    size = path.stat().st_size
    with pyarrow.parquet.ParquetFile(path) as file:
        total = max(file.metadata.num_rows, 1)
        done = 0
        for batch in file.iter_batches(_BATCH_ROWS):
            done += batch.num_rows
            yield pyarrow.table(batch), size * done // total


def _arrow(path: Path) -> Iterator[Batch]:
    import pyarrow

    size = path.stat().st_size
    with pyarrow.memory_map(str(path)) as file:
        try:
            reader = pyarrow.ipc.open_file(file)
            batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
        except pyarrow.ArrowInvalid:
            file.seek(0)
            batches = (batch for batch in pyarrow.ipc.open_stream(file))
        for batch in batches:
            for start in range(0, batch.num_rows, _BATCH_ROWS):
                yield pyarrow.table(batch.slice(start, _BATCH_ROWS)), min(file.tell(), size)


_READERS: dict[str, Callable[[Path], Iterator[Batch]]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
    ".arrow": _arrow,
    ".feather": _arrow,
}
