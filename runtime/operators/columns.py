"""Evaluates lists of kernels over a batch, for filter, project and re-key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...kernels.booleans import booleans
from ...kernels.gathering import Later
from ...storage.values.canonical import canonical
from ..batch import Bools
from ..kernel import Failures, Kernel


def evaluate(kernels: Sequence[Kernel], columns: Sequence[Any], length: int) -> tuple[list[Any], list[Failures]]:
    """Evaluate kernels: an array for each, and the failures of those that had any."""
    arrays = []
    failures = []
    for kernel in kernels:
        evaluated = kernel(columns, length)
        arrays.append(evaluated.values)
        if evaluated.failures is not None and len(evaluated.failures.rows):
            failures.append(evaluated.failures)
    return arrays, failures


def evaluate_keys(kernels: Sequence[Kernel], columns: Sequence[Any], length: int) -> tuple[list[Any], list[Failures]]:
    """`evaluate` for key columns, which get a canonical form in which equal keys have equal bytes."""
    arrays, failures = evaluate(kernels, columns, length)
    return [canonical(array) for array in arrays], failures


def merged(failures: Sequence[Failures]) -> Failures | None:
    """Merge failures: each failed row once, with the first reason given for it."""
    if not failures:
        return None
    if len(failures) == 1:
        return failures[0]
    rows = np.concatenate([f.rows for f in failures])
    reasons = [reason for f in failures for reason in f.reasons]
    distinct, first = np.unique(rows, return_index=True)
    return Failures(distinct, tuple(reasons[i] for i in first))


def without_rows(failures: Failures | None, excluded: Bools | None) -> Failures | None:
    """The failures of rows that are not excluded, or None if there are none."""
    if failures is None or excluded is None:
        return failures
    keep = ~excluded[failures.rows]
    if keep.all():
        return failures
    if not keep.any():
        return None
    return Failures(failures.rows[keep], tuple(r for r, k in zip(failures.reasons, keep) if k))


def nulled(array: Any, rows: Bools) -> Any:
    """The array with null in the given rows."""
    if isinstance(array, Later):
        array = array.all()
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if not rows.any():
        return array
    if array.type.num_fields == 0:
        return pc.if_else(pa.array(rows), pa.scalar(None, array.type), array)
    # Nested types: a null index is cheaper and better supported than if_else.
    return array.take(pa.array(np.arange(len(array), dtype=np.int64), mask=rows))


def null_rows(arrays: Sequence[Any]) -> Bools:
    """bool[n]: rows in which any of the arrays is null.  There must be at least one array."""
    result = np.zeros(len(arrays[0]), np.bool_)
    for array in arrays:
        if array.null_count:
            result |= booleans(array.is_null())
    return result
