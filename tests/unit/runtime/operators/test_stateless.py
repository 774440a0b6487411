"""Filter, project, re-key, explode, limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from penstock.runtime.operators.base import OperatorContext
from penstock.runtime.operators.explode import Explode
from penstock.runtime.operators.filter import Filter
from penstock.runtime.operators.project import Project
from penstock.runtime.operators.rekey import GroupBy, PartitionBy

SCHEMA = pa.schema([("K", pa.string()), ("A", pa.int64()), ("L", pa.list_(pa.int64()))])
NARROW = pa.schema([("K", pa.string()), ("A", pa.int64())])


def positive(k: str, a: int | None, *_: Any) -> bool | None:
    if a == 99:
        raise ValueError("99 is not liked")
    return None if a is None else a > 0


def test_filter_on_a_stream_drops_false_null_failed_and_tombstones(build: Any) -> None:
    """Only true passes; a failure is counted as bad and reported, the rest as filtered."""
    context = OperatorContext("F", report=build.Recorder())
    batch = build.batch(NARROW, 1, [(1,), (None,), (-1,), (99,), None, (2,)], keys=[(k,) for k in "abcdef"])
    output = Filter(context, build.kernel(positive, pa.bool_())).process([batch])
    assert build.rows(output) == [("a", 1), ("f", 2)]
    assert output.tombstones is None
    assert output.positions.tolist() == [0, 5]
    assert context.counters.filtered == 3
    assert context.counters.bad == 1
    assert context.report.reports == [([3], ("99 is not liked",), True)]


def test_filter_on_a_table_turns_leaving_rows_into_tombstones(build: Any) -> None:
    """A row leaves with a tombstone if it passed before; if it never passed there is nothing."""
    batch = build.batch(
        NARROW,
        1,
        [(5,), (-5,), (-1,), None, None, (3,)],
        keys=[(k,) for k in "abcdef"],
        before=[None, (5,), (-2,), (4,), (-4,), (1,)],
    )
    output = Filter(OperatorContext("F"), build.kernel(positive, pa.bool_()), table=True).process([batch])
    assert build.rows(output) == [("a", 5), ("b", None), ("d", None), ("f", 3)]
    assert output.before[0].to_pylist() == [None, 5, 4, 1]
    assert output.before_absent.tolist() == [True, False, False, False]


def test_project_nulls_failures_and_tombstones_and_projects_before(build: Any) -> None:
    """A failed item is null and reported once, also with before images; tombstones stay null."""

    def double(k: str, a: int | None) -> int:
        if a is None:
            return 7
        if a < 0:
            raise ValueError("negative")
        return 2 * a

    context = OperatorContext("P", report=build.Recorder())
    batch = build.batch(NARROW, 1, [(1,), (-1,), None], keys=[("a",), ("b",), ("c",)], before=[(-3,), (4,), (5,)])
    schema = pa.schema([("KEY", pa.string()), ("B", pa.int64()), ("C", pa.string())])
    kernels = [
        build.kernel(lambda k, a: k.upper(), pa.string()),
        build.kernel(double, pa.int64()),
        build.kernel(lambda k, a: k, pa.string()),
    ]
    output = Project(context, schema, 1, kernels).process([batch])
    assert build.rows(output) == [("A", 2, "a"), ("B", None, "b"), ("C", None)]
    assert [c.to_pylist() for c in output.before] == [[None, 8, 10], ["a", "b", "c"]]
    assert context.report.reports == [([1], ("negative",), False)]
    assert context.counters.bad == 0


def test_partition_by_gives_tombstones_a_null_key(build: Any) -> None:
    """Null and failed keys stay null and the rows pass; a tombstone keeps a key computed from key columns only."""

    def key(k: str, a: int | None) -> str | None:
        if a == 99:
            raise ValueError("bad key")
        return None if a is None else str(a)

    context = OperatorContext("P", report=build.Recorder())
    batch = build.batch(NARROW, 1, [(1,), (None,), (99,), None], keys=[(k,) for k in "abcd"])
    schema = pa.schema([("ID", pa.string()), ("K", pa.string())])
    output = PartitionBy(
        context, schema, 1, [build.kernel(key, pa.string()), build.kernel(lambda k, a: k, pa.string())]
    ).process([batch])
    assert build.rows(output) == [("1", "a"), (None, "b"), (None, "c"), (None, None)]
    assert context.report.reports == [([2], ("bad key",), False)]
    upper = build.kernel(lambda k, a: k.upper(), pa.string())
    output = PartitionBy(context, schema, 1, [upper, upper], tombstones_have_keys=True).process([batch])
    assert build.rows(output)[3] == ("D", None)


def test_group_by_on_a_stream_drops_rows_without_a_group(build: Any) -> None:
    """Null and failed keys are bad rows, tombstones are filtered."""

    def key(k: str, a: int | None) -> int | None:
        if a == 99:
            raise ValueError("bad key")
        return a

    context = OperatorContext("G", report=build.Recorder())
    batch = build.batch(NARROW, 1, [(1,), (None,), None, (99,), (3,)], keys=[(k,) for k in "abcde"])
    schema = pa.schema([("G", pa.int64()), ("K", pa.string())])
    kernels = [build.kernel(key, pa.int64()), build.kernel(lambda k, a: k, pa.string())]
    output = GroupBy(context, schema, 1, kernels).process([batch])
    assert build.rows(output) == [(1, "a"), (3, "e")]
    assert context.counters.filtered == 1
    assert context.counters.bad == 2
    assert context.report.reports == [([1, 2], ("a GROUP BY expression is NULL", "bad key"), True)]


def test_group_by_on_a_table_takes_back_before_it_adds(build: Any) -> None:
    """Each change becomes the old row with undo and the new row, as far as they exist and have a group."""
    context = OperatorContext("G", report=build.Recorder())
    batch = build.batch(
        NARROW,
        1,
        [(1,), (2,), None, (None,), (4,)],
        keys=[(k,) for k in "abcde"],
        before=[None, (1,), (3,), (5,), (None,)],
    )
    schema = pa.schema([("G", pa.int64()), ("K", pa.string())])
    kernels = [build.kernel(lambda k, a: a, pa.int64()), build.kernel(lambda k, a: k, pa.string())]
    output = GroupBy(context, schema, 1, kernels, table=True).process([batch])
    assert build.rows(output) == [(1, "a"), (1, "b"), (2, "b"), (3, "c"), (5, "d"), (4, "e")]
    assert output.undo.tolist() == [False, True, False, True, True, False]
    assert output.positions.tolist() == [0, 1, 1, 2, 3, 4]
    assert context.counters.bad == 1  # the new row of d; the old row of e was reported when it was new


def test_explode_zips_lists_and_drops_rows_without_items(build: Any) -> None:
    """Shorter lists are padded with null, null and empty lists give no row, a failing row is dropped."""

    def pair(k: str, a: int | None, items: list[int] | None) -> list[int] | None:
        if a == 99:
            raise ValueError("no pair")
        return None if a is None else [a, -a]

    context = OperatorContext("E", report=build.Recorder())
    rows = [(1, [10, 20, 30]), (2, []), (None, None), (99, [1]), (3, [7]), None, (None, [])]
    batch = build.batch(SCHEMA, 1, rows, keys=[(k,) for k in "abcdefg"]).slice(0, 7)
    schema = SCHEMA.append(pa.field("X", pa.int64())).append(pa.field("Y", pa.int64()))
    kernels = [
        build.kernel(lambda k, a, items: items, pa.list_(pa.int64())),
        build.kernel(pair, pa.list_(pa.int64())),
    ]
    output = Explode(context, schema, 1, kernels).process([batch])
    assert [(r[0], *r[3:]) for r in build.rows(output)] == [
        ("a", 10, 1),
        ("a", 20, -1),
        ("a", 30, None),
        ("b", None, 2),
        ("b", None, -2),
        ("e", 7, 3),
        ("e", None, -3),
    ]
    assert output.positions.tolist() == [0, 0, 0, 1, 1, 4, 4]
    assert context.counters.bad == 1
    assert context.counters.filtered == 3


def test_empty_batches_pass_through_every_stateless_operator(build: Any) -> None:
    """A step without rows is legal everywhere."""
    empty = build.batch(SCHEMA, 1, [], before=[])
    column = build.kernel(lambda k, a, items: k, pa.string())
    out = pa.schema([("K", pa.string())])
    for operator in (
        Filter(OperatorContext("F"), build.kernel(positive, pa.bool_()), table=True),
        Project(OperatorContext("P"), out, 1, [column]),
        PartitionBy(OperatorContext("R"), out, 1, [column]),
        GroupBy(OperatorContext("G"), out, 1, [column]),
        GroupBy(OperatorContext("G"), out, 1, [column], table=True),
        Explode(OperatorContext("E"), SCHEMA, 1, [build.kernel(lambda k, a, items: items, pa.list_(pa.int64()))]),
    ):
        output = operator.process([empty])
        assert len(output) == 0
        assert all(len(c) == 0 for c in output.columns)
        assert output.timestamps.dtype == np.int64
