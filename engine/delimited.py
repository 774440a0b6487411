"""Reads CSV and TSV text as Arrow tables, for files that are loaded and files that are followed.

Blanks around the names in a header are ignored.  Spreadsheets and pandas write ``NA``, ``NULL``, ``nan`` and the like for a
missing value: in columns of numbers, times and booleans these cells are NULL.  In columns of text only an empty cell is
NULL, since ``NA`` may be a country.  An empty cell in quotes is an empty text.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from ..errors import StatementError

if TYPE_CHECKING:
    from pyarrow import csv

__all__ = ["delimiter_of", "inferred", "of_schema"]

_BLOCK_BYTES = 64 << 20
"""The longest text, in bytes, whose types are inferred from all of its lines."""


def delimiter_of(ending: str) -> str | None:
    """The character between the cells of files with this ending, such as ``.tsv``; None for other endings."""
    return {".csv": ",", ".tsv": "\t"}.get(ending.lower())


def _as_texts(names: Sequence[str]) -> csv.ConvertOptions:
    """Read these columns alone, as texts."""
    import pyarrow.csv as csv

    return csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        include_columns=list(names),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )


def inferred(path: Path, delimiter: str, head: bytes | None = None) -> pa.Table:
    """Read a file, and infer the types of its columns.

    Args:
        head: the first lines of the file, if only these are needed.

    Raises:
        StatementError: the text is not UTF-8, or its cells seem to be separated by another character.
        pyarrow.ArrowException: it is not CSV.
        OSError: it cannot be opened.
    """
    import pyarrow.csv as csv

    def text() -> Path | io.BytesIO:
        return path if head is None else io.BytesIO(head)

    reading = csv.ReadOptions(block_size=_BLOCK_BYTES)
    parsing = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    try:
        guessing = csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False)
        table = csv.read_csv(text(), reading, parsing, guessing)
    except pa.ArrowInvalid as error:
        other = next((c for c in ";\t|," if "Expected 1 columns" in str(error) and c in str(error) and c != delimiter), None)
        if other is None:
            raise
        raise _separated_otherwise(path, other) from error
    (only,) = table.column_names if table.num_columns == 1 else ("",)
    if (found := next((c for c in ";\t|" if c in only), None)) is not None:
        raise _separated_otherwise(path, found)
    for field in table.schema:
        if pa.types.is_binary(field.type):
            raise StatementError(
                f"{path} is not UTF-8 text: see the column {field.name}",
                suggestion=f"Convert it first, from Latin-1 for example: iconv -f latin1 -t utf8 {path.name} > new.csv",
            )
    names = table.column_names
    texts = [f.name for f in table.schema if pa.types.is_string(f.type) and names.count(f.name) == 1]
    if any(table[name].null_count for name in texts):
        as_they_are = csv.read_csv(text(), reading, parsing, _as_texts(texts))
        for name, column in zip(texts, as_they_are.columns, strict=True):
            table = table.set_column(names.index(name), name, column)
    return table.rename_columns([name.strip() for name in names])


def of_schema(lines: bytes, delimiter: str, schema: pa.Schema) -> pa.Table:
    """Read lines without a header as columns of known names and types.

    Raises:
        pyarrow.ArrowException: a cell does not have its column's type, or a line has more or fewer cells.
    """
    import pyarrow.csv as csv

    reading = csv.ReadOptions(column_names=schema.names, use_threads=False)
    parsing = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    rest = [field for field in schema if not pa.types.is_string(field.type)]
    converting = [_as_texts(texts)] if texts else []
    if rest:
        others = csv.ConvertOptions(
            column_types=pa.schema(rest),
            include_columns=[field.name for field in rest],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        converting.append(others)
    read = [csv.read_csv(io.BytesIO(lines), reading, parsing, options) for options in converting]
    columns = {name: table[name] for table in read for name in table.column_names}
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _separated_otherwise(path: Path, separator: str) -> StatementError:
    shown = {"\t": "a tabulator"}.get(separator, f"'{separator}'")
    hint = "Give it the ending .tsv."
    if separator != "\t":
        hint = (
            f"Write it with commas, or read it as a frame: db.create_stream(name, pandas.read_csv(.., sep='{separator}'))."
        )
    return StatementError(f"the cells of {path} seem to be separated by {shown}", suggestion=hint)
