"""Calls of Arrow that ``pyarrow-stubs`` types too narrowly, each wrapped once with its real types.

The stubs lack texts beside columns, and lists and maps with a mask; they type what comes from NumPy as a BOOLEAN column.
"""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = [
    "Column",
    "equal_to",
    "index_array",
    "join_texts",
    "less_than",
    "list_array",
    "map_array",
    "null_is_false",
    "repeated",
]

Column: TypeAlias = Any
"""An Arrow array whose type is known from its schema alone: the stubs have a class for each type, and none for some."""


def repeated(value: pa.Scalar[Any], length: int) -> pa.Array[Any]:
    """An array of ``length`` times the same value."""
    return cast("pa.Array[Any]", cast(Any, pa.repeat)(value, length))


def index_array(rows: npt.NDArray[np.integer[Any]], mask: npt.NDArray[np.bool_] | None = None) -> pa.Array[Any]:
    """Row numbers as an Arrow array of the same width, for ``take``; null where ``mask``."""
    return cast("pa.Array[Any]", pa.array(rows, mask=mask))


def join_texts(*pieces: Any) -> Any:
    """string[n]: the texts of each row joined.

    A ``str`` or a scalar is used for every row; a null part makes the row null.
    """
    return cast(Any, pc.binary_join_element_wise)(*pieces, "")


def equal_to(column: Any, value: Any) -> Any:
    """bool[n], true where a column has the value, null where it is null."""
    return cast(Any, pc.equal)(column, value)


def less_than(column: Any, value: int) -> Any:
    """bool[n], true where a column is below the value, null where it is null."""
    return cast(Any, pc.less)(column, value)


def list_array(offsets: Any, items: Any, type_: Any = None, mask: Any = None) -> pa.Array[Any]:
    """A list column from int32[n + 1] offsets and its items; null where ``mask`` (bool[n]) or an offset is."""
    return cast("pa.Array[Any]", cast(Any, pa.ListArray.from_arrays)(offsets, items, type=type_, mask=mask))


def map_array(offsets: Any, keys: Any, items: Any, type_: Any = None, mask: Any = None) -> pa.Array[Any]:
    """A map column from int32[n + 1] offsets, keys and items; null where ``mask`` (bool[n]) or an offset is."""
    return cast("pa.Array[Any]", cast(Any, pa.MapArray.from_arrays)(offsets, keys, items, type_, mask=mask))


def null_is_false(mask: Column) -> Column:
    """bool[n] from a column of BOOLEAN."""
    return pc.fill_null(mask, False)
