"""Columns of aggregate states: NumPy arrays, or Arrow arrays where `StateField.columnar` says so."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Any

import numpy as np
import pyarrow as pa

from ..kernels import gathering
from ..storage.state.store import StateField
from .batch import Bools, Int64s

__all__ = ["chosen", "initial", "joined", "picked", "replaced"]


def initial(field: StateField, count: int) -> Any:
    """The initial values of a field, for groups without rows."""
    if field.columnar:
        return pa.nulls(count, field.arrow)
    return np.fromiter(repeat(field.initial, count), field.dtype, count)  # which may be a list or tuple


def joined(parts: Sequence[Any]) -> Any:
    """Concatenate columns."""
    return np.concatenate(parts) if isinstance(parts[0], np.ndarray) else pa.concat_arrays(list(parts))


def picked(values: Any, rows: Int64s) -> Any:
    """The values at the given rows."""
    return values[rows] if isinstance(values, np.ndarray) else gathering.take(values, rows)


def chosen(condition: Bools, left: Any, right: Any) -> Any:
    """Elementwise ``left`` where the condition is true, else ``right``."""
    if isinstance(left, np.ndarray):
        return np.where(condition, left, right)
    rows = np.arange(len(condition), dtype=np.int64)
    return gathering.gather([left, right], np.where(condition, rows, gathering.references(1, rows)))


def replaced(values: Any, rows: Int64s, others: Any) -> Any:
    """Replace the values at the given rows; NumPy arrays are changed in place."""
    if isinstance(values, np.ndarray):
        values[rows] = others
        return values
    places = np.arange(len(values), dtype=np.int64)
    places[rows] = gathering.references(1, np.arange(len(rows), dtype=np.int64))
    return gathering.gather([values, others], places)
