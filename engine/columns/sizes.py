"""Limits the size of the columns that expressions make.

One call can make gigabytes from a few bytes: LPAD of a million rows, REPLACE of every character by a long text, a text that
REDUCE doubles with every item.  Functions that can make a text much longer limit each text (`check_grown`).  `check_column`
limits every column, before it is made or while it grows.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ...errors import DataError
from ...limits import COLUMN_BYTES_MAX, GROWN_CHARS_MAX
from ...storage.values.arrow_calls import repeated

__all__ = ["ColumnTooLargeError", "check_column", "check_grown", "has_any_size", "size_of", "bounded_broadcast"]


class ColumnTooLargeError(DataError):
    """The values of an expression take more memory than a column may take.

    The error itself fails no row.  A query that keeps running tries again with fewer rows, until one row alone is too large.
    """

    def __init__(self) -> None:
        super().__init__(f"the values of an expression need more than {COLUMN_BYTES_MAX:,} bytes of memory")


def check_column(size: int) -> None:
    """Check the size of a column in bytes.

    Raises:
        ColumnTooLargeError: it is larger than `limits.COLUMN_BYTES_MAX`.
    """
    if size > COLUMN_BYTES_MAX:
        raise ColumnTooLargeError


def check_grown(size: int, before: int) -> None:
    """Check the length of a text that a function makes from a text of length ``before``.

    Raises:
        ValueError: it has grown and is longer than `limits.GROWN_CHARS_MAX`.
    """
    if size > GROWN_CHARS_MAX and size > before:
        raise ValueError(f"a length of {size} is above the limit of {GROWN_CHARS_MAX}")


def has_any_size(type_: pa.DataType) -> bool:
    """Whether values of an Arrow type have no fixed size."""
    return bool(pa.types.is_nested(type_) or pa.types.is_binary(type_) or pa.types.is_string(type_))


def size_of(data: Any, length: int) -> int:
    """The size in bytes of an argument over ``length`` rows.  A literal counts once for each row."""
    if not isinstance(data, pa.Scalar):
        return int(data.nbytes)
    return int(repeated(data, 1).nbytes) * length if data.is_valid and has_any_size(data.type) else 0


def bounded_broadcast(value: Any, length: int) -> Any:
    """Repeat a literal.

    Raises:
        ColumnTooLargeError: the column would be larger than `limits.COLUMN_BYTES_MAX`.
    """
    check_column(size_of(value, length))
    return repeated(value, length)
