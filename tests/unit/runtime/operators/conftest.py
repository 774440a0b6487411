"""Batches from rows, and kernels from row functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.runtime.batch import Batch
from penstock.runtime.kernel import Evaluated, Failures, Kernel


def make_batch(
    schema: pa.Schema,
    key_count: int,
    rows: Sequence[Sequence[Any] | None],
    *,
    keys: Sequence[Sequence[Any]] | None = None,
    timestamps: Sequence[int] | None = None,
    positions: Sequence[int] | None = None,
    before: Sequence[Sequence[Any] | None] | None = None,
) -> Batch:
    """Rows are whole (keys first) or, where ``keys`` are given, values only; a value of None is a tombstone."""
    if keys is None:
        keys = [row[:key_count] for row in rows if row is not None]
        rows = [row[key_count:] for row in rows if row is not None]
    width = len(schema) - key_count

    def columns(values: Sequence[Sequence[Any] | None]) -> list[Any]:
        filled = [v if v is not None else (None,) * width for v in values]
        return [pa.array([v[i] for v in filled], schema.types[key_count + i]) for i in range(width)]

    n = len(rows)
    tombstones = np.array([r is None for r in rows], np.bool_)
    return Batch(
        schema,
        key_count,
        (*(pa.array([k[i] for k in keys], schema.types[i]) for i in range(key_count)), *columns(rows)),
        np.array(range(n) if timestamps is None else timestamps, np.int64),
        np.array(range(n) if positions is None else positions, np.int64),
        tombstones=tombstones if tombstones.any() else None,
        before=None if before is None else tuple(columns(before)),
        before_absent=None if before is None else np.array([b is None for b in before], np.bool_),
    )


def row_kernel(function: Callable[..., Any], type_: pa.DataType) -> Kernel:
    """A kernel calling ``function`` with each row's values; what it raises fails the row."""

    def kernel(columns: Sequence[Any], length: int) -> Evaluated:
        values, rows, reasons = [], [], []
        lists = [c.to_pylist() for c in columns]
        for i in range(length):
            try:
                values.append(function(*(c[i] for c in lists)))
            except ValueError as error:
                values.append(None)
                rows.append(i)
                reasons.append(str(error))
        failures = Failures(np.array(rows, np.int64), tuple(reasons)) if rows else None
        return Evaluated(pa.array(values, type_), failures)

    return kernel


def rows_of(batch: Batch) -> list[tuple[Any, ...]]:
    """(columns.., ) of each row, with None for the value of a tombstone."""
    tombstones = batch.tombstone_mask()
    columns = [c.to_pylist() for c in batch.columns]
    return [
        (
            *(c[i] for c in columns[: batch.key_count]),
            *((None,) if tombstones[i] else (c[i] for c in columns[batch.key_count :])),
        )
        for i in range(len(batch))
    ]


class Recorder:
    """An error reporter that remembers (rows, reasons, dropped)."""

    def __init__(self) -> None:
        self.reports: list[tuple[list[int], tuple[str, ...], bool]] = []

    def __call__(self, operator: str, batch: Batch, failures: Failures, *, dropped: bool) -> None:
        assert failures.rows.max(initial=-1) < len(batch)
        self.reports.append((failures.rows.tolist(), failures.reasons, dropped))


@pytest.fixture(scope="session")
def build() -> Any:
    """The functions of this module, for tests (which cannot import it)."""

    class Build:
        batch = staticmethod(make_batch)
        kernel = staticmethod(row_kernel)
        rows = staticmethod(rows_of)
        Recorder = Recorder

    return Build
