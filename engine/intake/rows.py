"""Converts rows from Python to Arrow columns of a source: the input of `Database.insert`.

A column is found by its exact name, then by its name in upper case, as names are read in the dialect.  ``rowtime`` gives the
timestamps.  What is stored depends only on the value and its column (`values`), never on the container or on other rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import StatementError
from ...limits import INSERTED_BYTES_MAX, TIMESTAMP_MS_MAX
from ..catalog import DataSource
from ..types import TIMESTAMP, SqlType, to_arrow
from .arrow import UnfitRow, from_arrow, from_values
from .containers import ABSENT, Given, pieces_in, spelled_once
from .unfolded import Column, unfolded_bytes
from .values import shown

_FOREIGN = (ValueError, TypeError, OverflowError, NotImplementedError, AttributeError, LookupError)
"""Errors that unusual objects raise when they are read, including Arrow's."""

_ROW_BYTES = 16
"""The bytes that each row of an iterable counts in addition to its values.  An iterable of empty rows may have no end,
too.
"""


def columns_of(
    rows: Any, source: DataSource, now_ms: int | npt.NDArray[np.int64]
) -> tuple[dict[str, Column], npt.NDArray[np.int64]]:
    """Convert rows.

    Args:
        now_ms: the timestamps of rows without one: one value, or one for each row.

    Returns:
        Arrow arrays by column name, and the timestamps in milliseconds.

    Raises:
        StatementError: the source lacks a column, or a value does not fit its type.  The error says the number of the row
            (from 1), the column and the value.
    """
    own: dict[str, SqlType] = {c.name: c.type for c in source.schema if c.role in ("KEY", "VALUE")}
    pieces = pieces_in(rows, own)
    made: list[tuple[dict[str, Column], npt.NDArray[np.int64]]] = []
    taken = 0
    while True:
        try:
            given = next(pieces, None)
            if given is None:
                break
            columns = _by_own_name(given, own, source)
            arrow = [c for c in columns.values() if isinstance(c, (pa.Array, pa.ChunkedArray))]
            size = taken + sum(unfolded_bytes(column) for column in arrow)
        except _FOREIGN as error:
            raise StatementError(f"rows cannot be read from this {type(rows).__name__}: {error}") from error
        _check_size(size, source)
        times = columns.pop("ROWTIME", None)
        arrays = {name: _converted(values, own[name], name, source, given.first) for name, values in columns.items()}
        stamps = None if times is None else _converted(times, TIMESTAMP, "ROWTIME", source, given.first)
        made.append((arrays, _timestamps(stamps, given.count, now_ms, given.first)))
        if given.first:
            taken += sum(array.nbytes for array in arrays.values()) + given.count * _ROW_BYTES
            _check_size(taken, source)
    return made[0] if len(made) == 1 else _joined(made, own)


def _check_size(size: float, source: DataSource) -> None:
    """Check the size of an insert in bytes.

    Raises:
        StatementError: it is too large.
    """
    if size > INSERTED_BYTES_MAX:
        raise StatementError(
            f"the columns for {source.name} need {int(size):,} bytes where their values are laid out one by one, more than "
            f"{INSERTED_BYTES_MAX:,} (INSERTED_BYTES_MAX)",
            suggestion="Insert the rows in parts.",
        )


def _joined(
    made: list[tuple[dict[str, Column], npt.NDArray[np.int64]]], own: Mapping[str, SqlType]
) -> tuple[dict[str, Column], npt.NDArray[np.int64]]:
    """Join the pieces of an iterable.  A piece may lack columns that others have."""
    names = dict.fromkeys(name for arrays, _ in made for name in arrays)
    joined: dict[str, Column] = {}
    for name in names:
        type_ = to_arrow(own[name])
        joined[name] = pa.concat_arrays([a[name] if name in a else pa.nulls(len(t), type_) for a, t in made])
    return joined, np.concatenate([stamps for _, stamps in made])


def _by_own_name(given: Given, own: Mapping[str, SqlType], source: DataSource) -> dict[str, Any]:
    """The columns under the source's names.  Rows may spell a column differently."""
    spellings: dict[str, list[Any]] = {}
    for name, values in given.columns:
        spellings.setdefault(_match(name, own, source), []).append(values)
    found: dict[str, Any] = {}
    for name, several in spellings.items():
        values = several[0]
        if len(several) > 1:
            merged = spelled_once(several, given.count) if all(isinstance(v, list) for v in several) else 0
            if isinstance(merged, int):
                raise StatementError(f"row {given.first + merged + 1} of {source.name} has the column {name} twice")
            values = merged
        if isinstance(values, list):
            values = [None if value is ABSENT else value for value in values]
        found[name] = values
    return found


def _match(name: Any, own: Mapping[str, SqlType], source: DataSource) -> str:
    for candidate in (name, name.upper()) if isinstance(name, str) else ():
        if candidate in own or candidate == "ROWTIME":
            return str(candidate)
    raise StatementError(f"{source.name} has no column {shown(name).strip(chr(39))}", suggestion=f"It has {', '.join(own)}.")


def _converted(values: Any, type_: SqlType, name: str, source: DataSource, first: int) -> Any:
    try:
        return from_values(values, type_) if isinstance(values, list) else from_arrow(values, type_)
    except UnfitRow as error:
        reason = str(error.cause)
        raise StatementError(
            f"row {first + error.row + 1}, column {name} of {source.name}: {shown(error.value)} does not fit {type_}: "
            f"{reason}",
            suggestion=error.cause.hint,
        ) from error.cause
    except _FOREIGN as error:
        raise StatementError(f"the column {name} of {source.name} does not fit {type_}: {error}") from error


def _timestamps(times: Any | None, count: int, now_ms: int | npt.NDArray[np.int64], first: int) -> npt.NDArray[np.int64]:
    if times is None:
        return np.full(count, now_ms, np.int64)
    absent = now_ms if isinstance(now_ms, int) else pa.array(now_ms)
    stamps = np.asarray(pc.fill_null(times.view(pa.int64()), absent).to_numpy(zero_copy_only=False), np.int64)
    for wrong, why in (
        (stamps < 0, "cannot be negative"),
        (stamps > TIMESTAMP_MS_MAX, f"cannot be above {TIMESTAMP_MS_MAX}"),
    ):
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise StatementError(f"row {first + row + 1}: rowtime {why}: {int(stamps[row])}")
    return stamps
