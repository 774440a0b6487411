"""Rows that are moved through a topic come out as they went in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.runtime.batch import Batch
from penstock.runtime.operators.base import OperatorContext
from penstock.runtime.operators.moving import Pack, Unpack, moving_schema
from penstock.runtime.operators.rekey import with_undo

SCHEMA = pa.schema([("k", pa.string()), ("a", pa.int64()), ("b", pa.list_(pa.string()))])
VALUES = pa.schema(list(SCHEMA)[1:])

rows = st.tuples(st.none() | st.integers(0, 9), st.none() | st.lists(st.none() | st.sampled_from("xyz"), max_size=2))
changes = st.lists(st.tuples(st.sampled_from("pqr"), st.none() | rows, st.none() | rows), max_size=8)


def columns(values: list[Any]) -> tuple[Any, ...]:
    filled = [(None, None) if v is None else v for v in values]
    return tuple(pa.array([v[i] for v in filled], VALUES.types[i]) for i in range(2))


def batch_of(drawn: list[tuple[str, Any, Any]], windowed: bool) -> Batch:
    n = len(drawn)
    after, before = [d[1] for d in drawn], [d[2] for d in drawn]
    gone = np.array([a is None for a in after], np.bool_)
    stamps = np.arange(n, dtype=np.int64) * 10
    return Batch(
        SCHEMA,
        1,
        (pa.array([d[0] for d in drawn], pa.string()), *columns(after)),
        stamps,
        np.arange(n, dtype=np.int64),
        tombstones=gone if gone.any() else None,
        before=columns(before),
        before_absent=np.array([b is None for b in before], np.bool_),
        window_starts=stamps + 1 if windowed else None,
        window_ends=stamps + 5 if windowed else None,
    )


def moved(batch: Batch, *, before: bool) -> Batch:
    packed = Pack(OperatorContext("pack"), SCHEMA, 1).process([batch])
    moving = moving_schema(SCHEMA, 1)
    assert packed.keys[0].type == pa.string()
    read = Batch(moving, 0, packed.values, packed.timestamps, np.arange(len(packed), dtype=np.int64), headers=packed.headers)
    return Unpack(OperatorContext("unpack"), SCHEMA, 1, before=before).process([read])


def said(batch: Batch) -> list[tuple[Any, ...]]:
    def of(values: Any) -> list[Any]:
        return [None] * len(batch) if values is None else list(values.tolist())

    before = [()] * len(batch) if batch.before is None else list(zip(*(c.to_pylist() for c in batch.before)))
    undo = np.zeros(len(batch), np.bool_) if batch.undo is None else batch.undo
    return list(
        zip(
            *(c.to_pylist() for c in batch.columns),
            batch.timestamps.tolist(),
            batch.tombstone_mask().tolist(),
            before,
            batch.absent_before_mask().tolist(),
            of(batch.window_starts),
            of(batch.window_ends),
            undo.tolist(),
        )
    )


@given(changes, st.booleans())
def test_changes_of_a_table(drawn: list[tuple[str, Any, Any]], windowed: bool) -> None:
    batch = batch_of(drawn, windowed)
    assert said(moved(batch, before=True)) == said(batch)
    plain = replace(batch, before=None, before_absent=None)
    assert said(moved(plain, before=False)) == said(plain)


@given(changes)
def test_rows_to_take_back_come_with_what_replaces_them(drawn: list[tuple[str, Any, Any]]) -> None:
    """Of the same group, in one record, so that a step takes in both or none."""
    drawn = [d for d in drawn if d[1] is not None or d[2] is not None]
    batch = with_undo(batch_of(drawn, windowed=False))
    packed = Pack(OperatorContext("pack"), SCHEMA, 1).process([batch])
    assert len(packed) == len(drawn)
    result = moved(batch, before=False)
    assert said(result) == said(batch)
    pairs = [i for i in range(1, len(batch)) if batch.positions[i] == batch.positions[i - 1]]
    assert all(result.positions[i] == result.positions[i - 1] for i in pairs)


def test_groups_that_a_row_leaves_and_enters_are_two_records() -> None:
    batch = with_undo(batch_of([("p", (1, None), (2, None))], windowed=False))
    other = replace(batch, columns=(pa.array(["p", "q"]), *batch.values))
    packed = Pack(OperatorContext("pack"), SCHEMA, 1).process([other])
    assert packed.keys[0].to_pylist() == ["p", "q"]
    assert said(moved(other, before=False)) == said(other)


def test_headers_travel() -> None:
    batch = batch_of([("p", (1, None), None)], windowed=False)
    kind = pa.list_(pa.struct([("KEY", pa.string()), ("VALUE", pa.binary())]))
    batch = replace(batch, headers=pa.array([[{"KEY": "h", "VALUE": b"v"}]], kind))
    assert moved(batch, before=True).headers.to_pylist() == [[{"KEY": "h", "VALUE": b"v"}]]


@pytest.mark.parametrize("before", [True, False])
def test_no_rows(before: bool) -> None:
    batch = moved(batch_of([], windowed=False), before=before)
    assert len(batch) == 0 and (batch.before is not None) is before
