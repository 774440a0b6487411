"""Finds the columns of rows in any kind of container.  A column is an Arrow array if the container has one, otherwise a
list.
"""

from __future__ import annotations

import array as arrays
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from ...errors import StatementError
from ...limits import ITERATED_ROWS_MAX
from ...storage import interrupts
from ..types import Array, Map
from .values import fields_of, is_series, shown

_TAKEN = (
    "Give a list of dicts, tuples or objects, one of them, a dict of columns, an Arrow table, or a pandas or polars frame."
)


@dataclass(frozen=True, slots=True)
class Given:
    """Columns in the order in which they were found, with the names that the program uses.

    Attributes:
        columns: for each column its name, and an Arrow array or a list of ``count`` Python values.
        first: the number of rows before these, see `pieces_in`.
    """

    columns: list[tuple[Any, Any]]
    count: int
    first: int = 0


_PIECE_ROWS_MAX = 65_536
"""The number of rows that are taken from an iterable at once: as many as a frame of the log has."""


def pieces_in(rows: Any, own: Mapping[str, Any]) -> Iterator[Given]:
    """Find the columns of any container of rows.

    The columns come in one piece.  If the container can only be iterated, it may have no end, so the columns come in several
    pieces.

    Args:
        rows: the container.
        own: the source's columns with their SQL types.  The values of tuples have this order.  The types also show whether a
            mapping with lists is one row or has columns.

    Raises:
        StatementError: the container has no rows.
    """
    whole = _whole(rows, own)
    if whole is not None:
        yield whole
        return
    with interrupts.UserCode():
        iterator = iter(rows)
    first, size = 0, 1  # rows may be large: the caller counts each piece, and the first ones are small
    while True:
        with interrupts.UserCode():  # the iterator may run for long, and can be interrupted
            piece = list(islice(iterator, size))
        if piece or not first:
            yield replace(_rows(piece, own, first), first=first)
        first += len(piece)
        if len(piece) < size:
            return
        size = min(size * 2, _PIECE_ROWS_MAX)


def columns_in(rows: Any, own: Mapping[str, Any]) -> Given:
    """Find the columns of any container of rows, in one piece, see `pieces_in`.

    Raises:
        StatementError: the container has no rows, or can only be iterated and has more than `ITERATED_ROWS_MAX`.
    """
    whole = _whole(rows, own)
    if whole is not None:
        return whole
    with interrupts.UserCode():
        taken = list(islice(iter(rows), ITERATED_ROWS_MAX + 1))
    if len(taken) > ITERATED_ROWS_MAX:
        raise StatementError(
            f"this {type(rows).__name__} has more than {ITERATED_ROWS_MAX:,} rows (ITERATED_ROWS_MAX)",
            suggestion="Create the stream, and insert the rows: insert() takes them piece by piece.",
        )
    return _rows(taken, own)


def _whole(rows: Any, own: Mapping[str, Any]) -> Given | None:
    """The columns of a container; None if it can only be iterated."""
    if type(rows) is list:
        return _rows(rows, own)
    if isinstance(rows, pa.Table):
        return _table(rows)
    if isinstance(rows, pa.RecordBatch):
        return _table(pa.Table.from_batches([rows]))
    library = type(rows).__module__.partition(".")[0]
    if library == "pandas" and hasattr(rows, "iloc") and hasattr(rows, "columns"):
        columns = [(name, _pandas(rows.iloc[:, i])) for i, name in enumerate(rows.columns)]
        return Given([*_index(rows, own), *columns], len(rows))
    if library == "polars" and hasattr(rows, "collect") and hasattr(rows, "lazy"):
        rows = rows.collect() if type(rows).__name__ == "LazyFrame" else rows
    if library == "polars" and hasattr(rows, "get_columns"):
        return Given([(series.name, _polars(series)) for series in rows.get_columns()], rows.height)
    if not isinstance(rows, pa.ChunkedArray) and not is_series(rows):
        if hasattr(rows, "__arrow_c_stream__"):
            return _table(pa.RecordBatchReader.from_stream(rows).read_all())
        if hasattr(rows, "__arrow_c_array__"):
            return _table(pa.Table.from_batches([pa.record_batch(rows)]))
    if isinstance(rows, np.ndarray) and rows.ndim == 0:
        rows = rows[()]
    if isinstance(rows, np.ndarray) and rows.dtype.names:
        return Given([(name, _numpy(rows[name])) for name in rows.dtype.names], len(rows))
    if isinstance(rows, Mapping) and _holds_columns(rows, own):
        return _by_name(rows)
    if fields_of(rows) is not None or _is_plain_row(rows):
        return _rows([rows], own)
    if not isinstance(rows, Iterable) or isinstance(rows, (str, bytes, bytearray, memoryview, Mapping, type)):
        raise StatementError(f"rows cannot be read from a {type(rows).__name__}", suggestion=_TAKEN)
    return _rows(list(rows), own) if isinstance(rows, Sequence) else None


def _table(table: pa.Table) -> Given:
    return Given([(name, table.column(i)) for i, name in enumerate(table.column_names)], table.num_rows)


def _index(frame: Any, own: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """The levels of a frame's index that have the name of a column.  (``groupby`` makes its keys levels of the index.)"""
    levels = [(name, i) for i, name in enumerate(frame.index.names) if isinstance(name, str)]
    return [
        (name, _pandas(frame.index.get_level_values(i).to_series()))
        for name, i in levels
        if (name in own or name.upper() in own) and name not in frame.columns
    ]


def _pandas(series: Any) -> Any:
    """A column of a frame.  In its float columns, pandas uses NaN for a missing value, too: here it becomes NULL."""
    if series.dtype == object:
        values = series.to_list()
        return [None if isinstance(v, float) and v != v else v for v in values]
    try:
        column = pa.array(series, from_pandas=True)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        column = None
    if column is None or isinstance(column.type, pa.BaseExtensionType):  # periods and intervals
        return series.astype(object).to_list()
    return column


def _polars(series: Any) -> Any:
    if str(series.dtype) in ("Object", "Int128", "UInt128"):
        return series.to_list()
    import polars

    try:
        return series.to_arrow(compat_level=polars.CompatLevel.oldest())
    except (pa.ArrowException, polars.exceptions.PolarsError):  # 128-bit integers inside of lists and structs
        return series.to_list()


def _numpy(values: Any) -> Any:
    if (
        values.ndim != 1
        or values.dtype == object
        or isinstance(values, np.ma.MaskedArray)
        or values.dtype.kind not in "biufMU"
    ):
        return list(values) if values.dtype.kind == "M" or values.dtype.names else values.tolist()
    try:
        return pa.array(values)
    except (pa.ArrowException, ValueError, TypeError):
        return list(values)


# --- columns by name -------------------------------------------------------------------------


def _is_column(value: Any) -> bool:
    if isinstance(value, (list, range, arrays.array, pa.Array, pa.ChunkedArray)):
        return True
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return is_series(value) or (isinstance(value, tuple) and not hasattr(type(value), "_fields"))


def _holds_columns(rows: Mapping[Any, Any], own: Mapping[str, Any]) -> bool:
    """Whether a mapping holds columns by name, and is not one row.

    It holds columns if a column has a list and is neither an ARRAY nor a MAP (which may be a list of pairs).  If all columns
    are ARRAYs or MAPs, it holds columns if the items of all lists are ARRAYs or MAPs themselves.
    """
    listed = [name for name, value in rows.items() if _is_column(value)]
    may_be = len(listed) == len(rows) and any(len(rows[name]) for name in listed)
    for name in listed:
        type_ = own.get(name) or own.get(name.upper()) if isinstance(name, str) else None
        if not isinstance(type_, Array | Map):
            return True
        may_be = may_be and _all_may_be(rows[name], type_)
    return may_be


def _all_may_be(column: Iterable[object], type_: object) -> bool:
    """Whether each item of a column may be a whole ARRAY or MAP."""
    if not isinstance(column, (pa.Array, pa.ChunkedArray)):
        return all(item is None or _may_be(item, type_) for item in column)
    found = column.type
    if isinstance(found, pa.BaseExtensionType):
        found = found.storage_type
    if pa.types.is_dictionary(found) or pa.types.is_run_end_encoded(found):
        found = found.value_type
    if isinstance(type_, Array):
        return pa.types.is_null(found) or _is_list(found)
    return pa.types.is_null(found) or pa.types.is_map(found) or pa.types.is_struct(found) or _is_list(found)


def _is_list(found: pa.DataType) -> bool:
    return (
        pa.types.is_list(found)
        or pa.types.is_large_list(found)
        or pa.types.is_fixed_size_list(found)
        or pa.types.is_list_view(found)
        or pa.types.is_large_list_view(found)
    )


def _may_be(item: object, type_: object) -> bool:
    """Whether an item of a list may be a whole ARRAY or MAP."""
    if isinstance(type_, Array):
        return _is_column(item)
    if isinstance(item, list | tuple):
        return all(isinstance(pair, list | tuple | Mapping) for pair in item)
    return isinstance(item, Mapping)


def _by_name(rows: Mapping[Any, Any]) -> Given:
    columns: list[tuple[Any, Any]] = []
    lengths: dict[Any, int] = {}
    for name, value in rows.items():
        if not _is_column(value):
            raise StatementError(
                f"the column {shown(name)} is a {type(value).__name__}, others are lists", suggestion=_TAKEN
            )
        if isinstance(value, np.ndarray):
            value = _numpy(value)
        elif is_series(value):
            value = _pandas(_as_series(value)) if type(value).__module__.startswith("pandas") else _polars(value)
        elif not isinstance(value, (pa.Array, pa.ChunkedArray)):
            value = list(value)
        columns.append((name, value))
        lengths[name] = len(value)
    if len(set(lengths.values())) > 1:
        shown_lengths = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise StatementError(f"the columns have different lengths: {shown_lengths}")
    return Given(columns, next(iter(lengths.values()), 0))


def _as_series(value: Any) -> Any:
    return value if hasattr(value, "iloc") else value.to_series() if hasattr(value, "to_series") else _series_of(value)


def _series_of(value: Any) -> Any:
    import pandas

    return pandas.Series(value)


# --- rows ------------------------------------------------------------------------------------


def _is_plain_row(rows: Any) -> bool:
    """Whether a tuple is one row by itself: none of its values is a row or a list."""
    return isinstance(rows, tuple) and bool(rows) and not all(_is_row(item) for item in rows)


def _is_row(value: Any) -> bool:
    return (
        isinstance(value, (tuple, list))
        or (isinstance(value, np.ndarray) and value.ndim == 1)
        or fields_of(value) is not None
    )


def _rows(rows: list[Any], own: Mapping[str, Any], first: int = 0) -> Given:
    kinds = set(map(type, rows))
    if kinds and kinds != {dict}:
        rows = [_named(row, number, own) for number, row in enumerate(rows, first + 1)]
    names: dict[Any, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
    return Given([(name, [row.get(name, ABSENT) for row in rows]) for name in names], len(rows))


class Absent:
    """Stands for the value of a column that a row does not have."""


ABSENT = Absent()


def _named(row: Any, number: int, own: Mapping[str, Any]) -> Mapping[Any, Any]:
    named = fields_of(row)
    if named is not None:
        return named
    if isinstance(row, (tuple, list)) or (isinstance(row, np.ndarray) and row.ndim == 1):
        names = list(own)
        if len(row) != len(names):
            raise StatementError(
                f"row {number} has {len(row)} values, and there are {len(names)} columns",
                suggestion=f"The columns are {', '.join(names)}; give dicts to name some of them.",
            )
        return dict(zip(names, row, strict=True))
    raise StatementError(
        f"row {number} is of type {type(row).__name__}: a row is a dict, a tuple or an object with named fields",
        suggestion=_TAKEN,
    )


def spelled_once(spellings: Sequence[list[Any]], count: int) -> list[Any] | int:
    """Merge columns that rows spell differently into one.

    Returns:
        the column, or the number of a row (from 0) that has two of them.
    """
    merged: list[Any] = []
    for number in range(count):
        present = [values[number] for values in spellings if values[number] is not ABSENT]
        if len(present) > 1:
            return number
        merged.append(present[0] if present else ABSENT)
    return merged
