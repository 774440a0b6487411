"""Converts columns of numbers to text, with each number as Java writes it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .arrow_calls import Column, null_is_false
from .java_doubles import format_doubles
from .java_texts import format_decimal

__all__ = ["decimal_column", "double_column"]


def double_column(array: Column) -> Column:
    """Convert a double[n] to a string[n], as Java's ``Double.toString`` does, see `java_doubles`.  A null stays null.

    >>> double_column(pa.array([1.0, None, 1e7])).to_pylist()
    ['1.0', None, '1.0E7']
    """
    values = pc.fill_null(array, 0.0).to_numpy(zero_copy_only=False)
    nulls = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
    return format_doubles(values.astype(np.float64, copy=False), nulls)


def decimal_column(array: Column) -> Column:
    """Convert a decimal[n] to a string[n] without exponents, with all digits of the scale.  A null stays null.

    >>> decimal_column(pa.array([1, None], pa.decimal128(9, 8))).to_pylist()
    ['1.00000000', None]
    """
    texts = array.cast(pa.string())
    if array.type.scale > 6:
        short = null_is_false(pc.match_substring(texts, "E"))  # Arrow's way with very small ones
        if pc.any(short).as_py():
            whole = [format_decimal(value) for value in array.filter(short).to_pylist()]
            texts = pc.replace_with_mask(texts, short, pa.array(whole, pa.string()))
    return texts
