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
from ..limits import TIMESTAMP_MS_MAX
from .catalog import DataSource
from .types import TIME, Array, Map, SqlType, Struct, to_arrow


def columns_of(
    rows: Any, source: DataSource, now_ms: int | npt.NDArray[np.int64], *, exact: bool = False
) -> tuple[dict[str, Any], npt.NDArray[np.int64]]:
    """Arrow arrays by column name, and the timestamps (``now_ms``, or each row's of them, for rows without one).

    Args:
        exact: refuse what is converted with an eye on the other rows, that is values that Arrow only takes after it
            inferred the type of the whole column.  What a row becomes then depends on that row alone.

    Raises:
        StatementError: a column that the source has not, or a value that does not fit its type.
    """
    try:
        table = _arrow(rows)
    except _UNFIT as error:
        raise StatementError(f"rows cannot be taken from this {type(rows).__name__}: {error}") from error
    own = {c.name: c.type for c in source.schema if c.role in ("KEY", "VALUE")}
    if table is not None:
        places: dict[str, int] = {}
        for place, name in enumerate(table.column_names):
            found = _match(name, own, source)
            if places.setdefault(found, place) != place:
                raise StatementError(f"the column {found} of {source.name} is given twice")
        count = table.num_rows
        given = places.pop("ROWTIME", None)
        arrays = {found: _cast(table.column(place), own[found], found) for found, place in places.items()}
        times = None if given is None else _whole(table.column(given))
    else:
        dicts = list(rows)
        count = len(dicts)
        values = _by_column(dicts, own, source)
        times = values.pop("ROWTIME", None)
        if exact and times is not None and any(type(time) is not int for time in times if time is not None):
            raise StatementError("these times are taken one by one")
        arrays = {found: _from_python(given, own[found], found, exact) for found, given in values.items()}
    for found, array in arrays.items():
        _check_times(array, own[found], found)
    return arrays, _timestamps(times, count, now_ms)


def _check_times(array: Any, type_: SqlType, name: str) -> None:
    """Arrow takes any number for a time of day.  Raises: StatementError, for one that is none."""
    if type_ == TIME and len(array) > array.null_count:
        bounds = pc.min_max(array.view(pa.int32()))
        if bounds["min"].as_py() < 0 or bounds["max"].as_py() >= _DAY_MS:
            raise StatementError(f"a value for the column {name} is no time of day")


def _by_column(rows: list[Any], own: Mapping[str, SqlType], source: DataSource) -> dict[str, list[Any]]:
    """The values of dicts by column; a column may have different spellings in different rows."""
    spellings: dict[str, list[Any]] = {}
    known: dict[Any, str] = {}
    for row in rows:
        if not isinstance(row, Mapping):
            raise StatementError(f"a row must be a dict, not {type(row).__name__}")
        for name in row:
            if name not in known:
                known[name] = _match(name, own, source)
                spellings.setdefault(known[name], []).append(name)
    values: dict[str, list[Any]] = {}
    for found, names in spellings.items():
        if len(names) > 1 and any(sum(n in row for n in names) > 1 for row in rows):
            raise StatementError(f"the column {found} of {source.name} is given twice in a row")
        values[found] = [row.get(names[0]) if len(names) == 1 else _first(row, names) for row in rows]
    return values


def _first(row: Mapping[Any, Any], names: list[Any]) -> Any:
    return next((row[name] for name in names if name in row), None)


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


def _match(name: Any, own: Mapping[str, SqlType], source: DataSource) -> str:
    for candidate in (name, name.upper()) if isinstance(name, str) else ():
        if candidate in own or candidate == "ROWTIME":
            return str(candidate)
    raise StatementError(f"{source.name} has no column {name}", suggestion=f"It has {', '.join(own)}.")


_DAY_MS = 24 * 60 * 60 * 1000
_UNFIT = (ValueError, TypeError, OverflowError, NotImplementedError, AttributeError, LookupError)
"""What a value of the wrong kind raises: Arrow's errors are among them, and those of odd Python objects."""


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
    except _UNFIT as error:
        raise StatementError(f"the column {name} is {type_}, and {array.type} does not fit it: {error}") from error


def _nested(type_: SqlType) -> bool:
    return isinstance(type_, (Array, Map, Struct))


def _from_python(values: list[Any], type_: SqlType, name: str, exact: bool = False) -> Any:
    wanted = to_arrow(type_)
    try:
        if _nested(type_):
            values = [_shaped(value, type_) for value in values]
        try:
            return pa.array(values, wanted)
        except _UNFIT:  # such as text for a DATE: what Arrow infers may still be cast
            if exact:
                raise
            return _whole(pa.array(values).cast(wanted))
    except _UNFIT as error:
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


def _timestamps(times: Any | None, count: int, now_ms: int | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    if times is None:
        return np.full(count, now_ms, np.int64)
    try:
        return _milliseconds(times if isinstance(times, pa.Array) else pa.array(times), now_ms)
    except _UNFIT as error:
        raise StatementError(f"rowtime must be milliseconds or a timestamp: {error}") from error


def _milliseconds(times: Any, now_ms: int | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    if pa.types.is_timestamp(times.type):
        times = times.cast(pa.timestamp("ms"), safe=False).cast(pa.int64())
    elif not pa.types.is_integer(times.type):
        raise StatementError(f"rowtime must be milliseconds or a timestamp, not {times.type}")
    absent = now_ms if isinstance(now_ms, int) else pa.array(now_ms)
    stamps = np.asarray(pc.fill_null(times.cast(pa.int64()), absent).to_numpy(zero_copy_only=False), np.int64)
    if (stamps < 0).any():
        raise StatementError(f"rowtime cannot be negative: {int(stamps.min())}")
    if (stamps > TIMESTAMP_MS_MAX).any():
        raise StatementError(f"rowtime cannot be above {TIMESTAMP_MS_MAX}: {int(stamps.max())}")
    return stamps
