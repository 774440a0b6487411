"""Rows that were read, and their conversions: the base class of `Table` and `Listing`."""

from __future__ import annotations

import datetime
import html
import importlib
import operator
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..paths import named_path
from ..runtime.batch import python_values
from .schema import Schema
from .types import from_arrow

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Relation", "grid", "html_table", "instant", "monospaced"]

ParquetCompression = Literal["gzip", "brotli", "lz4", "zstd", "snappy", "none"]
_NUMBERS = ("INTEGER", "BIGINT", "DOUBLE", "DECIMAL")
_WINDOW_BOUNDS = ("WINDOWSTART", "WINDOWEND")
_EPOCH = datetime.datetime(1970, 1, 1)
ROWS_SHOWN = 20
"""The number of rows that are printed by default."""


class Relation:
    """Rows in Arrow format.

    The ``fetch`` methods are a cursor as in PEP 249: each returns rows that no call has returned before.  All other methods,
    and iteration, always see all rows.
    """

    schema: Schema | None

    def __init__(
        self,
        table: pa.Table | Callable[[], pa.Table],
        schema: Schema | None,
        rows: Sequence[tuple[Any, ...]] | None = None,
    ) -> None:
        """
        Args:
            table: the rows, or a function that makes the table when it is needed.  Small answers are mostly fetched as
                Python values.
            rows: the same rows as Python values, if they are known already.
        """
        self._made = table
        self._known = rows
        self.schema = schema
        self._fetched = 0

    @property
    def _table(self) -> pa.Table:
        if callable(self._made):
            self._made = self._made()
        return self._made

    # --- what it is ------------------------------------------------------------------------

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self._table.column_names)

    @property
    def types(self) -> tuple[str, ...]:
        """The SQL types of the columns, as text."""
        if self.schema is not None and len(self.schema.columns) == len(self._table.schema):
            return tuple(str(column.type) for column in self.schema)
        return tuple(str(from_arrow(field.type)) for field in self._table.schema)

    @property
    def description(self) -> tuple[tuple[str, str, None, None, int | None, int | None, None], ...]:
        """The columns as PEP 249 describes them: name, type, None, None, precision, scale (both of DECIMALs), None."""
        return tuple(
            (
                field.name,
                type_,
                None,
                None,
                getattr(field.type, "precision", None) if type_.startswith("DECIMAL") else None,
                getattr(field.type, "scale", None) if type_.startswith("DECIMAL") else None,
                None,
            )
            for field, type_ in zip(self._table.schema, self.types, strict=True)
        )

    def __len__(self) -> int:
        return int(self._table.num_rows) if self._known is None else len(self._known)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._rows(0, len(self)))

    def __getitem__(self, place: int) -> tuple[Any, ...]:
        """The row at an index, from 0.  Negative indices count from the end.

        Raises:
            IndexError: there is no such row.
        """
        at = place + len(self) if place < 0 else place
        if not 0 <= at < len(self):
            raise IndexError(f"there are {len(self)} rows, so none at {place}")
        return self._rows(at, at + 1)[0]

    # --- rows ------------------------------------------------------------------------------

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row, or None after the last one."""
        return next(iter(self.fetchmany(1)), None)

    def fetchmany(self, size: int = 1) -> list[tuple[Any, ...]]:
        """The next rows, at most ``size``.

        Raises:
            ValueError: ``size`` is negative.
            TypeError: ``size`` is not a whole number.
        """
        count = operator.index(size)
        if count < 0:
            raise ValueError(f"size must not be negative: {count}")
        start = self._fetched
        self._fetched = min(start + count, len(self))
        return self._rows(start, self._fetched)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that have not been fetched, as tuples of Python values."""
        return self.fetchmany(len(self))

    def to_dicts(self) -> list[dict[str, Any]]:
        """All rows as dicts."""
        return [dict(zip(self.columns, row, strict=True)) for row in self]

    def _rows(self, start: int, stop: int) -> list[tuple[Any, ...]]:
        if self._known is not None:
            return list(self._known[start:stop])
        part = self._table.slice(start, stop - start)
        if not part.num_columns:
            return [()] * part.num_rows
        return list(zip(*(python_values(column) for column in part.columns), strict=True))

    # --- other forms -----------------------------------------------------------------------

    def arrow(self) -> pa.Table:
        """The rows as a `pyarrow.Table`, without copying."""
        return self._table

    def df(self) -> Any:
        """The rows as a pandas DataFrame.

        Integers and booleans stay exact: columns with NULLs have pandas' nullable types.  MAPs are dicts.

        Raises:
            ImportError: pandas is not installed.
        """
        pandas = _library("pandas")
        series = {i: _series(column) for i, column in enumerate(self._table.columns)}
        frame = pandas.DataFrame(series, index=pandas.RangeIndex(len(self)))
        frame.columns = pandas.Index(list(self.columns))
        return frame

    def pl(self) -> Any:
        """The rows as a polars DataFrame.  DECIMALs of more than 38 digits, which polars does not have, are texts of all
        their digits.

        Raises:
            ImportError: polars is not installed.
        """
        from .renaming import renamed

        return _library("polars").from_arrow(renamed(self._table, {}))

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The rows as an Arrow PyCapsule stream.  polars, DuckDB, pandas and others read it without a copy."""
        return self._table.__arrow_c_stream__(requested_schema)  # type: ignore[no-untyped-call]

    def to_parquet(self, path: str | Path, *, compression: ParquetCompression = "zstd") -> Path:
        """Write a Parquet file, and return its path.

        Args:
            compression: as for `pyarrow.parquet.write_table`.

        Raises:
            OSError: it cannot be written.
        """
        import pyarrow.parquet

        target = named_path(path)
        pyarrow.parquet.write_table(self._table, target, compression=compression)
        return target

    def to_csv(self, path: str | Path) -> Path:
        """Write a CSV file (RFC 4180, UTF-8, with a header line), and return its path.

        NULL is an empty cell, and an empty text is ``""``.  Arrays, maps and structs are written as JSON, bytes as base64,
        times as ISO texts.

        Raises:
            OSError: it cannot be written.
        """
        target = named_path(path)
        with open(target, "w", encoding="utf-8", newline="") as file:
            file.write(self.csv_line(self.columns) + "\n")
            file.writelines(self.csv_line(row) + "\n" for row in self)
        return target

    @staticmethod
    def csv_line(values: Sequence[Any]) -> str:
        """A line of values as `to_csv` writes them, without a line end."""
        return ",".join(map(_csv_cell, values))

    @staticmethod
    def json_line(columns: Sequence[str], values: Sequence[Any]) -> str:
        """A row as a JSON object.  DECIMALs are numbers with all their digits, bytes base64, times ISO texts, and NaN is
        null.
        """
        import msgspec

        row = dict(zip(columns, values, strict=True))
        return msgspec.json.Encoder(enc_hook=_plain_text, decimal_format="number").encode(_json_ready(row)).decode()

    # --- for people ------------------------------------------------------------------------

    def show(self, rows_max: int | None = None) -> None:
        """Print the first rows as a table.

        Args:
            rows_max: None: 20 rows.
        """
        print(self.text(rows_max))

    def text(self, rows_max: int | None = None) -> str:
        """The first rows as a table of text."""
        rows_max = ROWS_SHOWN if rows_max is None else rows_max
        shown = grid(self.columns, self.cells(rows_max))
        left = len(self) - rows_max
        return shown + (f"\n({left} more rows)" if left > 0 else "")

    def cells(self, rows_max: int | None = None) -> list[list[str]]:
        """The first rows as text for people: NULL in words, and bounds of windows as times.

        Args:
            rows_max: None: all rows.
        """
        count = len(self) if rows_max is None else min(rows_max, len(self))
        bounds = [
            name in _WINDOW_BOUNDS and str(field.type) == "int64"
            for name, field in zip(self.columns, self._table.schema, strict=True)
        ]
        return [
            [instant(v) if bound and v is not None else _cell(v) for v, bound in zip(row, bounds, strict=True)]
            for row in self._rows(0, count)
        ]

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        """The rows as HTML, for notebooks."""
        left = len(self) - ROWS_SHOWN
        numeric = [type_.startswith(_NUMBERS) for type_ in self.types]
        count = f"<p>{len(self)} rows{f', {left} of them not shown' if left > 0 else ''}</p>" if len(self) != 1 else ""
        return html_table(self.columns, self.cells(ROWS_SHOWN), numeric) + count


def html_table(columns: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool]) -> str:
    """An HTML table of texts.  Numbers are aligned right, all other texts left, whatever the styles of the page are."""
    sides = [f' style="text-align:{"right" if right else "left"}"' for right in numeric]
    head = "".join(f'<th scope="col"{side}>{html.escape(name)}</th>' for name, side in zip(columns, sides, strict=True))
    lines = (zip(row, sides, strict=True) for row in cells)
    body = "".join(
        "<tr>" + "".join(f"<td{side}>{html.escape(cell)}</td>" for cell, side in line) + "</tr>" for line in lines
    )
    return f'<table class="penstock"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def monospaced(text: str, style: str = "") -> str:
    """A text as HTML in a fixed-width font, so that the marks under a text stand at the right place."""
    return f'<pre style="font-family:monospace;{style}">{html.escape(text)}</pre>'


def _library(name: str) -> Any:
    """Import a library that may not be installed.

    Raises:
        ImportError: it is not installed.  The error says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ImportError(f"{name} is not installed: pip install {name} (arrow() needs nothing else)") from error


def _series(column: Any) -> Any:
    import pandas
    import pyarrow as pa

    if column.null_count:
        nullable = {
            pa.int32(): pandas.Int32Dtype(),
            pa.int64(): pandas.Int64Dtype(),
            pa.bool_(): pandas.BooleanDtype(),
        }.get(column.type)
        if nullable is not None:
            return column.to_pandas(types_mapper=lambda _: nullable)
    if not pa.types.is_nested(column.type):
        try:
            return column.to_pandas()
        except (ValueError, OverflowError, pa.ArrowException):  # pandas cannot hold these times
            pass
    return pandas.Series(python_values(column), dtype=object)


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    text = _plain_text(value)
    quoted = text == "" or any(c in text for c in ',"\r\n') or text != text.strip()
    return '"' + text.replace('"', '""') + '"' if quoted else text


def _json_ready(value: Any) -> Any:
    """A value for JSON: times as CSV has them, and keys of maps as texts."""
    if isinstance(value, dict):
        return {str(key): _json_ready(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_ready(item) for item in value]
    return _plain_text(value) if isinstance(value, (datetime.datetime, bytes)) else value


def _plain_text(value: Any) -> str:
    if isinstance(value, (dict, list)):
        import msgspec

        return msgspec.json.encode(value, enc_hook=_plain_text).decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        import base64

        return base64.b64encode(value).decode()
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="milliseconds")
    return str(value)


def _cell(value: Any) -> str:
    return "NULL" if value is None else str(value)


def grid(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts, with a line between the header and the rows."""
    widths = [max([len(name), *(len(row[i]) for row in rows)]) for i, name in enumerate(columns)]
    lines = [" | ".join(name.ljust(w) for name, w in zip(columns, widths, strict=True)).rstrip()]
    lines.append("-+-".join("-" * w for w in widths))
    lines.extend(" | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)


def instant(timestamp_ms: int) -> str:
    """Milliseconds since 1970-01-01 as a time in UTC.  A time that Python's calendar does not have stays a number.

    >>> instant(1500)
    '1970-01-01T00:00:01.500Z'
    """
    try:
        moment = _EPOCH + datetime.timedelta(milliseconds=timestamp_ms)
    except OverflowError:
        return f"{timestamp_ms} ms"
    return moment.isoformat(timespec="milliseconds") + "Z"
