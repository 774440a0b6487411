"""The joins against record-at-a-time references: the same rows in the same order, however the input is cut."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.runtime.batch import Batch
from penstock.runtime.kernel import Evaluated, Failures
from penstock.runtime.operators.base import Operator, OperatorContext
from penstock.runtime.operators.foreign_key_join import ForeignKeyJoin
from penstock.runtime.operators.stream_stream_join import LEGACY_GRACE_MS, StreamStreamJoin
from penstock.runtime.operators.stream_table_join import StreamTableJoin
from penstock.runtime.operators.table_source import TableSource
from penstock.runtime.operators.table_table_join import TableTableJoin

KINDS = ("INNER", "LEFT", "RIGHT", "FULL")
SIDE = pa.schema([("K", pa.int64()), ("V", pa.string())])
VALUES = pa.schema([("V", pa.string())])
JOINED = pa.schema([("K", pa.int64()), ("L", pa.string()), ("R", pa.string())])

Row = tuple[int, Any, Any, int]
"""position, key, value (None: tombstone), timestamp"""

Sides = tuple[list[Row], list[Row]]


def batch(schema: pa.Schema, rows: Sequence[Row]) -> Batch:
    """Rows as a batch; values are tuples if there are several value columns."""
    width = len(schema) - 1
    values = [r[2] if isinstance(r[2], tuple) or width == 1 else (None,) * width for r in rows]
    values = [v if isinstance(v, tuple) else (v,) for v in values]
    columns = [pa.array([r[1] for r in rows], schema.field(0).type)]
    columns += [pa.array([v[i] for v in values], schema.field(i + 1).type) for i in range(width)]
    return Batch(
        schema,
        1,
        tuple(columns),
        np.array([r[3] for r in rows], np.int64),
        np.array([r[0] for r in rows], np.int64),
        np.array([r[2] is None for r in rows], np.bool_),
    )


def listed(output: Batch) -> list[tuple[Any, ...]]:
    """position, timestamp, tombstone, columns and, if there is one, the row before."""
    gone, absent = output.tombstone_mask(), output.absent_before_mask()
    columns = [c.to_pylist() for c in output.columns]
    before = None if output.before is None else [c.to_pylist() for c in output.before]
    rows = []
    for i in range(len(output)):
        old = None if before is None else (bool(absent[i]), tuple(c[i] for c in before))
        row = tuple(c[i] for c in columns)
        rows.append((int(output.positions[i]), int(output.timestamps[i]), bool(gone[i]), row, old))
    return rows


def in_order(sides: Sides) -> list[tuple[int, int, int, Any, Any, int]]:
    """All rows one by one: position, side, number, key, value, timestamp; the left side first."""
    events = [(p, s, i, k, v, ts) for s in (0, 1) for i, (p, k, v, ts) in enumerate(sides[s])]
    return sorted(events, key=lambda e: e[:3])


def run(
    make: Callable[[], Operator],
    sides: Sides,
    cuts: Sequence[int],
    schemas: Sequence[pa.Schema],
    restarts: bool = True,
) -> list[tuple[Any, ...]]:
    """Feed an operator in steps; at every other cut, go on with one restored from changes or from checkpoints."""
    operator, replica, output = make(), make(), []
    bounds = [-1, *sorted(set(cuts)), 1 << 40]
    for step, (low, high) in enumerate(itertools.pairwise(bounds)):
        inputs = [batch(s, [r for r in rows if low < r[0] <= high]) for s, rows in zip(schemas, sides)]
        output += listed(operator.process(inputs))
        for store, copy in zip(operator.stores, replica.stores):
            changes = store.drain_changes()
            if changes is not None:
                copy.apply_changes(changes)
                copy.apply_changes(changes)
        if restarts and step % 3 == 1:
            operator, replica = replica, make()
            for store, copy in zip(operator.stores, replica.stores):
                copy.restore(store.checkpoint())
        if restarts and step % 3 == 2:
            restored = make()
            for store, copy in zip(operator.stores, restored.stores):
                copy.restore(store.checkpoint())
            operator = restored
    return output


def sides_of(values: Sequence[st.SearchStrategy[Any]], keys: st.SearchStrategy[Any], lateness: int) -> Any:
    """Two inputs whose rows have common positions and roughly rising timestamps, and where to cut."""

    @st.composite
    def draw_sides(draw: Any) -> tuple[Sides, list[int]]:
        events = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6), st.integers(0, lateness)), max_size=40))
        sides: Sides = ([], [])
        time = 0
        for position, (who, step, late) in enumerate(events):
            time += step
            for side in (0, 1) if who == 2 else (who,):
                row = (position, draw(keys), draw(values[side]), max(0, time - late * (1 + side)))
                sides[side].append(row)
        return sides, draw(st.lists(st.integers(0, 40), max_size=5))

    return draw_sides()


texts = st.one_of(st.none(), st.sampled_from("abcde"), st.sampled_from("abcde"))
small_keys = st.one_of(st.none(), st.integers(-1, 3), st.integers(-1, 3))
inputs = sides_of((texts, texts), small_keys, 4)


def stream_table(kind: str, sides: Sides) -> list[tuple[Any, ...]]:
    table: dict[Any, Any] = {}
    output = []
    for position, side, _, key, value, ts in in_order(sides):
        if key is None:
            continue
        if side == 1:
            table[key] = value
        elif value is not None and (table.get(key) is not None or kind == "LEFT"):
            output.append((position, ts, False, (key, value, table.get(key)), None))
    return output


@settings(max_examples=60, deadline=None)
@given(inputs, st.sampled_from(("INNER", "LEFT")))
def test_stream_table_join(drawn: Any, kind: Any) -> None:
    """A stream row sees the table as of its position, in one step or in many."""
    sides, cuts = drawn

    def make() -> Operator:
        return StreamTableJoin(OperatorContext("join"), kind, JOINED, 1, VALUES, VALUES)

    assert run(make, sides, cuts, (SIDE, SIDE)) == stream_table(kind, sides)


def table_table(kind: str, sides: Sides) -> list[tuple[Any, ...]]:
    tables: tuple[dict[Any, Any], dict[Any, Any]] = ({}, {})

    def image(key: Any) -> tuple[Any, Any] | None:
        left, right = (t.get(key) for t in tables)
        there = {"INNER": left and right, "LEFT": left, "RIGHT": right, "FULL": left or right}[kind]
        return (left and left[0], right and right[0]) if there else None

    output = []
    for position, side, _, key, value, ts in in_order(sides):
        if key is None:
            continue
        old, other = image(key), tables[1 - side].get(key)
        tables[side].pop(key, None)
        if value is not None:
            tables[side][key] = (value, ts)
        new = image(key)
        if old is not None or new is not None or other is not None:
            time = ts if other is None else max(ts, other[1])
            before = (old is None, old or (None, None))
            output.append((position, time, new is None, (key, *(new or (None, None))), before))
    return output


@settings(max_examples=80, deadline=None)
@given(inputs, st.sampled_from(KINDS))
def test_table_table_join(drawn: Any, kind: Any) -> None:
    """Every change puts out the joined row, with the one before it."""
    sides, cuts = drawn

    def make() -> Operator:
        return TableTableJoin(OperatorContext("join"), kind, JOINED, 1, VALUES, VALUES, before=True)

    assert run(make, sides, cuts, (SIDE, SIDE)) == table_table(kind, sides)


@settings(max_examples=40, deadline=None)
@given(inputs, st.sampled_from(KINDS))
def test_table_table_join_without_every_update(drawn: Any, kind: Any) -> None:
    """With caching, one row per key and step: before images fit together and the final table is the same."""
    sides, cuts = drawn

    def make() -> Operator:
        return TableTableJoin(OperatorContext("join", every_update=False), kind, JOINED, 1, VALUES, VALUES, before=True)

    final: dict[Any, Any] = {}
    for _, _, gone, (key, *values), (absent, before) in run(make, sides, cuts, (SIDE, SIDE)):
        assert absent == (key not in final)
        assert before == tuple(final.get(key, (None, None)))
        final[key] = values
        if gone:
            del final[key]
    expected: dict[Any, Any] = {}
    for _, _, gone, (key, *values), _ in table_table(kind, sides):
        expected[key] = values
        if gone:
            del expected[key]
    assert final == expected


@settings(max_examples=40, deadline=None)
@given(inputs)
def test_table_source(drawn: Any) -> None:
    """Changes know what was there before; rows without a key are bad."""
    sides, cuts = drawn
    bad: list[int] = []

    def report(operator: str, rows: Batch, failures: Failures, *, dropped: bool) -> None:
        assert dropped
        bad.extend(rows.positions[failures.rows])

    def make() -> Operator:
        return TableSource(OperatorContext("table", report=report), SIDE, 1)

    table: dict[Any, Any] = {}
    expected = []
    for position, key, value, ts in sides[0]:
        if key is not None:
            old = table.get(key)
            expected.append((position, ts, value is None, (key, value), (old is None, (old,))))
            table[key] = value
    assert run(make, sides, cuts, (SIDE,)) == expected
    assert bad == [r[0] for r in sides[0] if r[1] is None]


def stream_stream(kind: str, sides: Sides, before: int, after: int, grace: int | None, early: bool) -> list[tuple[Any, ...]]:
    wait = 0 if grace is None or early else 1
    retention = max(1, before + after + (LEGACY_GRACE_MS if grace is None else grace) + wait)
    buffers: tuple[list[Any], list[Any]] = ([], [])
    largest = [-1, -1]
    stream_time = -1
    waiting: list[tuple[int, int, int, int, Any]] = []
    output = []
    outer = (kind in ("LEFT", "FULL"), kind in ("RIGHT", "FULL"))

    def padded(side: int, key: Any, value: Any) -> tuple[Any, ...]:
        return (key, value, None) if side == 0 else (key, None, value)

    for position, side, number, key, value, ts in in_order(sides):
        stream_time = max(stream_time, ts)
        if key is None or value is None:
            continue
        back, forth = ((before, after), (after, before))[side]
        if ts == stream_time and grace is not None:
            closed = [w for w in waiting if w[0] + (after, before)[w[1]] + grace < stream_time]
            for row in sorted(closed, key=lambda w: (w[0], -w[1], w[2] % (1 << 64), w[3])):
                waiting.remove(row)
                output.append((position, row[0], False, padded(row[1], row[2], row[4]), None))
        largest[side] = max(largest[side], ts)
        if ts > largest[side] - retention:
            buffers[side].append((key, ts, number, value))
        found = [
            row
            for row in buffers[1 - side]
            if row[0] == key and ts - back <= row[1] <= ts + forth and row[1] > largest[1 - side] - retention
        ]
        if outer[1 - side] and grace is not None and not early:
            found = [row for row in found if row[1] + (before, after)[side] + grace >= stream_time]
        for _, other_ts, other_number, other in sorted(found, key=lambda r: r[1:3]):
            pair = (value, other) if side == 0 else (other, value)
            output.append((position, max(ts, other_ts), False, (key, *pair), None))
            waiting = [w for w in waiting if (w[1], w[3]) != (1 - side, other_number)]
        if not found and outer[side]:
            if grace is None or ts + forth + (0 if early else grace) < stream_time:
                output.append((position, ts, False, padded(side, key, value), None))
            else:
                waiting.append((ts, side, key, number, value))
    return output


@settings(max_examples=150, deadline=None)
@given(
    sides_of((texts, texts), small_keys, 8),
    st.sampled_from(KINDS),
    st.integers(0, 8),
    st.integers(0, 8),
    st.sampled_from((None, 0, 5)),
    st.booleans(),
)
def test_stream_stream_join(drawn: Any, kind: Any, before: int, after: int, grace: int | None, early: bool) -> None:
    """Pairs and padded rows come as row by row, at the positions of the rows that cause them."""
    sides, cuts = drawn

    def make() -> Operator:
        return StreamStreamJoin(
            OperatorContext("join"),
            kind,
            JOINED,
            1,
            VALUES,
            VALUES,
            before_ms=before,
            after_ms=after,
            grace_ms=grace,
            early=early,
        )

    output = run(make, sides, cuts, (SIDE, SIDE))
    assert output == stream_stream(kind, sides, before, after, grace, early)
    if early or grace is None:
        return
    # Whatever comes within its grace is matched, and not put out without a match.
    stream_time, seen = -1, []
    matched = Counter(row for _, _, _, row, _ in output)
    for _, side, _, key, value, ts in in_order(sides):
        stream_time = max(stream_time, ts)
        if key is None or value is None:
            continue
        back, forth = ((before, after), (after, before))[side]
        for other_side, other_key, other, other_ts in seen:
            reach = (after, before)[other_side]
            if other_side == side or other_key != key or not ts - back <= other_ts <= ts + forth:
                continue
            if stream_time <= ts + forth + grace and stream_time <= other_ts + reach + grace:
                assert matched[(key, value, other) if side == 0 else (key, other, value)]
        seen.append((side, key, value, ts))


@pytest.mark.parametrize("early", [False, True])
def test_stream_stream_join_example(early: bool) -> None:
    """A padded row appears once stream time is past the grace; a late row matches it after that in ksqlDB's way only."""

    def make() -> Operator:
        return StreamStreamJoin(
            OperatorContext("join"), "LEFT", JOINED, 1, VALUES, VALUES, before_ms=10, after_ms=10, grace_ms=5, early=early
        )

    sides: Sides = ([(0, 1, "L", 0)], [(1, 2, "b", 15), (2, 2, "c", 16), (3, 1, "R", 9)])
    rows = [(ts, row) for _, ts, _, row, _ in run(make, sides, [], (SIDE, SIDE))]
    assert rows == [(0, (1, "L", None)), *([(9, (1, "L", "R"))] if early else [])]


def test_stream_stream_join_of_windowed_rows() -> None:
    """Rows of different windows do not match, and the output has the window's bounds."""
    join = StreamStreamJoin(
        OperatorContext("join"),
        "INNER",
        JOINED,
        1,
        VALUES,
        VALUES,
        before_ms=60,
        after_ms=60,
        grace_ms=None,
        windowed=True,
    )

    def windowed(rows: list[Row], bounds: list[tuple[int, int]]) -> Batch:
        plain = batch(SIDE, rows)
        starts, ends = (np.array([b[i] for b in bounds], np.int64) for i in (0, 1))
        return Batch(SIDE, 1, plain.columns, plain.timestamps, plain.positions, window_starts=starts, window_ends=ends)

    left = windowed([(0, 1, "a", 76)], [(23, 76)])
    right = windowed([(1, 1, "b", 56), (2, 1, "c", 76)], [(23, 56), (23, 76)])
    output = join.process([left, right])
    assert listed(output) == [(2, 76, False, (1, "a", "c"), None)]
    assert output.window_starts is not None and output.window_starts.tolist() == [23]
    assert output.window_ends is not None and output.window_ends.tolist() == [76]


REFERRING = pa.schema([("K", pa.int64()), ("F", pa.int64()), ("V", pa.string())])
REFERRED = pa.schema([("K", pa.int64()), ("F", pa.int64()), ("L", pa.string()), ("R", pa.string())])


def foreign_key(kind: str, sides: Sides) -> list[tuple[Any, ...]]:
    left: dict[Any, Any] = {}
    right: dict[Any, Any] = {}

    def image(key: Any) -> tuple[Any, ...] | None:
        if key not in left:
            return None
        reference, value = left[key]
        found = None if reference is None else right.get(reference)
        return None if found is None and kind == "INNER" else (reference, value, found and found[0])

    def row(position: int, ts: int, key: Any, old: Any, new: Any) -> tuple[Any, ...]:
        none = (None, None, None)
        return (position, ts, new is None, (key, *(new or none)), (old is None, old or none))

    output = []
    for position, side, _, key, value, ts in in_order(sides):
        if key is None:
            continue
        if side == 0:
            old, was_there = image(key), key in left
            old_reference = left[key][0] if was_there else None
            left.pop(key, None)
            if value is not None:
                left[key] = value
            reference = None if value is None else value[0]
            if kind == "LEFT":
                put_out, asked = value is not None or was_there, reference
            elif reference is not None:
                put_out, asked = reference in right or old_reference not in (None, reference), reference
            else:
                put_out, asked = old_reference is not None, old_reference
            if put_out:
                time = max(ts, right[asked][1]) if asked in right else ts
                output.append(row(position, time, key, old, image(key)))
        else:
            referring = sorted((k for k, v in left.items() if v[0] == key), key=lambda k: k % (1 << 64))
            olds = [image(k) for k in referring]
            right.pop(key, None)
            if value is not None:
                right[key] = (value, ts)
            output += [row(position, ts, k, old, image(k)) for k, old in zip(referring, olds)]
    return output


references = st.one_of(st.none(), st.tuples(st.one_of(st.none(), st.integers(0, 2)), st.sampled_from("abc")))


@settings(max_examples=120, deadline=None)
@given(sides_of((references, texts), st.integers(-1, 2), 4), st.sampled_from(("INNER", "LEFT")))
def test_foreign_key_join(drawn: Any, kind: Any) -> None:
    """Left changes look up, right changes fan out to the rows that refer to them at that moment."""
    sides, cuts = drawn

    def make() -> Operator:
        return ForeignKeyJoin(
            OperatorContext("join"),
            kind,
            REFERRED,
            1,
            pa.schema(list(REFERRING)[1:]),
            VALUES,
            right_keys=pa.schema([("K", pa.int64())]),
            foreign_key=[lambda columns, length: Evaluated(columns[1])],
            before=True,
        )

    assert run(make, sides, cuts, (REFERRING, SIDE)) == foreign_key(kind, sides)


@pytest.mark.parametrize("kind", ["INNER", "LEFT"])
def test_a_foreign_key_that_fails_is_null_and_reported(kind: Any) -> None:
    """The row stays in the table; a LEFT join still shows it."""
    reported: list[tuple[int, bool]] = []

    def report(operator: str, rows: Batch, failures: Failures, *, dropped: bool) -> None:
        reported.extend((int(r), dropped) for r in failures.rows)

    def failing(columns: Sequence[Any], length: int) -> Evaluated:
        return Evaluated(pa.nulls(length, pa.int64()), Failures(np.arange(length), ("no",) * length))

    join = ForeignKeyJoin(
        OperatorContext("join", report=report),
        kind,
        REFERRED,
        1,
        pa.schema(list(REFERRING)[1:]),
        VALUES,
        right_keys=pa.schema([("K", pa.int64())]),
        foreign_key=[failing],
    )
    left = batch(REFERRING, [(0, 9, None, 1), (1, 1, (7, "a"), 5)])
    output = listed(join.process([left, batch(SIDE, [])]))
    assert reported == [(0, False)]
    assert output == ([] if kind == "INNER" else [(1, 5, False, (1, 7, "a", None), None)])


def test_headers_are_those_of_the_row_that_causes_the_output() -> None:
    """A stream's headers pass a join."""
    type_ = pa.list_(pa.struct([("KEY", pa.string()), ("VALUE", pa.binary())]))
    plain = batch(SIDE, [(1, 1, "a", 5)])
    headers = pa.array([[{"KEY": "h", "VALUE": b"x"}]], type_)
    stream = Batch(SIDE, 1, plain.columns, plain.timestamps, plain.positions, headers=headers)
    join = StreamTableJoin(OperatorContext("join"), "LEFT", JOINED, 1, VALUES, VALUES)
    output = join.process([stream, batch(SIDE, [(0, 1, "t", 1)])])
    assert output.headers is not None and output.headers.to_pylist() == headers.to_pylist()


@pytest.mark.parametrize("kind", ["INNER", "LEFT"])
def test_what_becomes_of_rows_that_a_join_cannot_use(kind: Any) -> None:
    """Without a value: filtered; without a key: bad and reported; too late to be kept, with nothing to match: late."""
    reports: list[Any] = []

    def report(operator: str, batch: Batch, failures: Failures, *, dropped: bool) -> None:
        reports.append((failures.rows.tolist(), dropped))

    context = OperatorContext("Join", report=report)
    join = StreamStreamJoin(context, kind, JOINED, 1, VALUES, VALUES, before_ms=5, after_ms=5, grace_ms=0)
    left = [(0, 1, "a", 100), (1, None, "b", 100), (2, 1, None, 100), (3, None, None, 100), (5, 1, "late", 80)]
    join.process([batch(SIDE, left), batch(SIDE, [(4, 2, "x", 70)])])
    counters = context.counters
    late = 1 if kind == "INNER" else 0  # LEFT puts it out, padded
    assert (counters.filtered, counters.bad, counters.late) == (2, 1, late)
    assert reports == [([1], True)]
