"""Converts rows from Python to Arrow columns of a source: the input of `Database.insert`.

Columns are matched by their exact name, then in upper case, as the dialect folds names; ``rowtime`` gives the timestamps.
The stored value depends only on the given value and its column (`values`), never on the container or on other rows.
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
from ..types import TIMESTAMP, SqlType
from .arrow import UnfitRow, from_arrow, from_values
from .containers import ABSENT, columns_in, spelled_once
from .unfolded import Column, unfolded_bytes
from .values import shown

_FOREIGN = (ValueError, TypeError, OverflowError, NotImplementedError, AttributeError, LookupError)
"""Errors that unusual objects raise when they are read, including Arrow's."""


def columns_of(
    rows: Any, source: DataSource, now_ms: int | npt.NDArray[np.int64]
) -> tuple[dict[str, Column], npt.NDArray[np.int64]]:
    """Arrow arrays by column name, and the timestamps.  Rows without one get ``now_ms`` (one value, or one per row).

    Raises:
        StatementError: the source lacks a column, or a value does not fit its type: with the number of the row (from 1), the
            column and the value.
    """
    own: dict[str, SqlType] = {c.name: c.type for c in source.schema if c.role in ("KEY", "VALUE")}
    try:
        given = columns_in(rows, own)
        columns = _by_own_name(given.columns, given.count, own, source)
        size = sum(unfolded_bytes(column) for column in columns.values() if isinstance(column, (pa.Array, pa.ChunkedArray)))
    except _FOREIGN as error:
        raise StatementError(f"rows cannot be taken from this {type(rows).__name__}: {error}") from error
    if size > INSERTED_BYTES_MAX:
        raise StatementError(
            f"the columns for {source.name} need {int(size):,} bytes where their values are laid out one by one, more than "
            f"{INSERTED_BYTES_MAX:,} (INSERTED_BYTES_MAX)",
            suggestion="Insert the rows in parts.",
        )
    times = columns.pop("ROWTIME", None)
    arrays = {name: _converted(values, own[name], name, source) for name, values in columns.items()}
    stamps = None if times is None else _converted(times, TIMESTAMP, "ROWTIME", source)
    return arrays, _timestamps(stamps, given.count, now_ms)


def _by_own_name(
    columns: list[tuple[Any, Any]], count: int, own: Mapping[str, SqlType], source: DataSource
) -> dict[str, Any]:
    """The columns under the source's names; rows may spell a column differently."""
    spellings: dict[str, list[Any]] = {}
    for name, values in columns:
        spellings.setdefault(_match(name, own, source), []).append(values)
    found: dict[str, Any] = {}
    for name, several in spellings.items():
        values = several[0]
        if len(several) > 1:
            merged = spelled_once(several, count) if all(isinstance(v, list) for v in several) else 0
            if isinstance(merged, int):
                raise StatementError(f"row {merged + 1} of {source.name} has the column {name} twice")
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


def _converted(values: Any, type_: SqlType, name: str, source: DataSource) -> Any:
    try:
        return from_values(values, type_) if isinstance(values, list) else from_arrow(values, type_)
    except UnfitRow as error:
        reason = str(error.cause)
        raise StatementError(
            f"row {error.row + 1}, column {name} of {source.name}: {shown(error.value)} does not fit {type_}: {reason}",
            suggestion=error.cause.hint,
        ) from error.cause
    except _FOREIGN as error:
        raise StatementError(f"the column {name} of {source.name} does not fit {type_}: {error}") from error


def _timestamps(times: Any | None, count: int, now_ms: int | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
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
            raise StatementError(f"row {row + 1}: rowtime {why}: {int(stamps[row])}")
    return stamps
