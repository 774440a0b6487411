"""Rows from Python -> Arrow columns of a source: what `Database.insert` accepts.

Rows are dicts, or anything that speaks Arrow's PyCapsule interface (pyarrow, polars, pandas, DuckDB).  Columns are found
by their exact name, then in upper case, as the dialect folds names; ``rowtime`` gives the timestamps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import StatementError
from .catalog import DataSource
from .types import Array, Map, SqlType, Struct, to_arrow


def columns_of(rows: Any, source: DataSource, now_ms: int) -> tuple[dict[str, Any], npt.NDArray[np.int64]]:
    """Arrow arrays by column name, and the timestamps (``now_ms`` for rows without one).

    Raises:
        StatementError: a column that the source has not, or a value that does not fit its type.
    """
    table = _arrow(rows)
    own = {c.name: c.type for c in source.schema if c.role in ("KEY", "VALUE")}
    if table is not None:
        names = {name: _match(name, own, source) for name in table.column_names}
        count = table.num_rows
        arrays = {found: _cast(table.column(name), own[found], found) for name, found in names.items() if found != "ROWTIME"}
        given = next((table.column(name) for name, found in names.items() if found == "ROWTIME"), None)
        times = None if given is None else _whole(given)
    else:
        dicts = list(rows)
        count = len(dicts)
        seen: dict[str, str] = {}
        for row in dicts:
            if not isinstance(row, Mapping):
                raise StatementError(f"a row must be a dict, not {type(row).__name__}")
            for name in row:
                if name not in seen:
                    seen[name] = _match(name, own, source)
        arrays = {
            found: _from_python([row.get(name) for row in dicts], own[found], found)
            for name, found in seen.items()
            if found != "ROWTIME"
        }
        name = next((n for n, found in seen.items() if found == "ROWTIME"), None)
        times = None if name is None else pa.array([row.get(name) for row in dicts])
    return arrays, _timestamps(times, count, now_ms)


def _arrow(rows: Any) -> Any | None:
    """A `pyarrow.Table`, or None for plain Python rows."""
    if isinstance(rows, pa.Table):
        return rows
    if isinstance(rows, pa.RecordBatch):
        return pa.Table.from_batches([rows])
    if hasattr(rows, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(rows).read_all()
    if hasattr(rows, "__arrow_c_array__"):
        return pa.Table.from_batches([pa.record_batch(rows)])
    if type(rows).__module__.startswith("pandas"):
        return pa.Table.from_pandas(rows, preserve_index=False)
    if not isinstance(rows, Iterable) or isinstance(rows, (str, bytes, Mapping)):
        raise StatementError(
            f"rows cannot be taken from a {type(rows).__name__}",
            suggestion="Give a list of dicts, an Arrow table, or a pandas or polars frame.",
        )
    return None


def _match(name: str, own: Mapping[str, SqlType], source: DataSource) -> str:
    for candidate in (name, name.upper()):
        if candidate in own or candidate == "ROWTIME":
            return candidate
    raise StatementError(f"{source.name} has no column {name}", suggestion=f"It has {', '.join(own)}.")


def _whole(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _cast(column: Any, type_: SqlType, name: str) -> Any:
    array, wanted = _whole(column), to_arrow(type_)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if array.type == wanted:
        return array
    try:
        if _nested(type_):
            return _from_python(array.to_pylist(), type_, name)
        return _whole(array.cast(wanted))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise StatementError(f"the column {name} is {type_}, and {array.type} does not fit it: {error}") from error


def _nested(type_: SqlType) -> bool:
    return isinstance(type_, (Array, Map, Struct))


def _from_python(values: list[Any], type_: SqlType, name: str) -> Any:
    wanted = to_arrow(type_)
    if _nested(type_):
        values = [_shaped(value, type_) for value in values]
    try:
        return pa.array(values, wanted)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        pass  # such as text for a DATE: what Arrow infers may still be cast
    try:
        return _whole(pa.array(values).cast(wanted))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        raise StatementError(f"a value for the column {name} does not fit {type_}: {error}") from error


def _shaped(value: Any, type_: SqlType) -> Any:
    """Dicts for STRUCT with fields under their names, pairs for MAP."""
    if value is None:
        return None
    match type_:
        case Array(item):
            return [_shaped(v, item) for v in value]
        case Map(_, item):
            pairs = value.items() if isinstance(value, Mapping) else value
            return [(k, _shaped(v, item)) for k, v in pairs]
        case Struct(fields):
            names = {n: n for n, _ in fields}
            given = {names.get(k) or names.get(k.upper()) or k: v for k, v in value.items()}
            unknown = [k for k in given if k not in names]
            if unknown:
                raise StatementError(f"the struct {type_} has no field {unknown[0]}")
            return {n: _shaped(given.get(n), t) for n, t in fields}
    return value


def _timestamps(times: Any | None, count: int, now_ms: int) -> npt.NDArray[np.int64]:
    if times is None:
        return np.full(count, now_ms, np.int64)
    if pa.types.is_timestamp(times.type):
        times = times.cast(pa.timestamp("ms"), safe=False).cast(pa.int64())
    elif not pa.types.is_integer(times.type):
        raise StatementError(f"rowtime must be milliseconds or a timestamp, not {times.type}")
    stamps = np.asarray(pc.fill_null(times.cast(pa.int64()), now_ms).to_numpy(zero_copy_only=False), np.int64)
    if (stamps < 0).any():
        raise StatementError(f"rowtime cannot be negative: {int(stamps.min())}")
    return stamps
