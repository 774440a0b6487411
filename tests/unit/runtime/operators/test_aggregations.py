"""Aggregations against one record at a time in plain Python, for any cut of the input into steps."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.engine import types as t
from penstock.engine.functions import aggregate  # noqa: F401  (registers the functions)
from penstock.engine.functions.registry import BUILT_INS
from penstock.runtime.batch import Batch
from penstock.runtime.operators.aggregate import Aggregate
from penstock.runtime.operators.base import Operator, OperatorContext
from penstock.runtime.operators.group_states import BoundAggregator, view_transform
from penstock.runtime.operators.rekey import with_undo
from penstock.runtime.operators.session_aggregate import SessionAggregate
from penstock.runtime.operators.window_aggregate import WindowAggregate
from penstock.runtime.windows import SessionWindows, TimeWindows

INPUT = pa.schema([("K", pa.string()), ("V", pa.int64())])
RESULTS = [("N", pa.int64()), ("S", pa.int64()), ("L", pa.list_(pa.int64())), ("E", pa.int64())]
OUTPUT = pa.schema([("K", pa.string()), *RESULTS])
BOUNDED = pa.schema([*OUTPUT, ("WINDOWSTART", pa.int64()), ("WINDOWEND", pa.int64())])


def calls(*, table: bool = False) -> list[BoundAggregator]:
    """COUNT(*), SUM, COLLECT_LIST and EARLIEST_BY_OFFSET (on tables ATTR): their results tell order and undo."""
    names = [("COUNT", ()), ("SUM", (1,)), ("COLLECT_LIST", (1,)), ("ATTR" if table else "EARLIEST_BY_OFFSET", (1,))]
    made = []
    for name, arguments in names:
        function = BUILT_INS.find(name)
        assert function is not None
        overload = function.overloads[1 if name == "SUM" else 0]
        made.append(BoundAggregator(overload.make([t.BIGINT] * len(arguments), [None] * len(arguments)), arguments))
    return made


def fold(values: list[int], *, table: bool = False) -> tuple[Any, ...]:
    """What the four calls give for the values of a group in order."""
    last = (values[0] if len(set(values)) == 1 else None) if table else values[0] if values else None
    return (len(values), sum(values), list(values), last)


def run(operator: Operator, batch: Batch, cuts: Sequence[int]) -> list[Batch]:
    """The outputs of the steps that the input is cut into."""
    bounds = [0, *sorted(cuts), len(batch)]
    return [operator.process([batch.slice(start, stop)]) for start, stop in itertools.pairwise(bounds)]


def emitted(batches: Sequence[Batch]) -> list[tuple[Any, ...]]:
    """(position, key, window, timestamp, results or None, results before or None) of every row put out."""
    rows = []
    for batch in batches:
        columns = [c.to_pylist() for c in batch.columns]
        tombstones = batch.tombstone_mask()
        for i in range(len(batch)):
            window = None
            if batch.window_starts is not None and batch.window_ends is not None:
                window = (int(batch.window_starts[i]), int(batch.window_ends[i]))
            before = None
            if batch.before is not None and not batch.absent_before_mask()[i]:
                before = tuple(b[i].as_py() for b in batch.before)
            value = None if tombstones[i] else tuple(c[i] for c in columns[1:5])
            if window is not None and not tombstones[i]:
                assert tuple(c[i] for c in columns[5:]) == window
            if before is not None:
                before = before[:4]
            rows.append((int(batch.positions[i]), columns[0][i], window, int(batch.timestamps[i]), value, before))
    assert [r[0] for r in rows] == sorted(r[0] for r in rows)
    return rows


def last_ones(rows: list[tuple[Any, ...]], steps: Sequence[int]) -> dict[Any, Any]:
    """The table that a list of changes leaves behind."""
    table: dict[Any, Any] = {}
    for _, key, window, timestamp, value, _ in rows:
        if value is None:
            table.pop((key, window), None)
        else:
            table[key, window] = (timestamp, value)
    return table


EVENTS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 40), st.integers(-3, 3)), max_size=14)


def events(build: Any, rows: Sequence[tuple[str, int, int]]) -> Batch:
    """A batch of (key, timestamp, value)."""
    batch: Batch = build.batch(INPUT, 1, [(k, v) for k, _, v in rows], timestamps=[ts for _, ts, _ in rows])
    return batch


def check(
    make: Callable[[bool], Operator],
    batch: Batch,
    expected: list[tuple[Any, ...]],
    cuts: Sequence[int],
    keep_order: bool = True,
) -> None:
    """All updates are as expected; with only the last updates of steps, the table is the same."""
    operator = make(True)
    assert emitted(run(operator, batch, cuts)) == expected
    merged = make(False)
    got = emitted(run(merged, batch, cuts))
    assert last_ones(got, cuts) == last_ones(expected, cuts)
    table: dict[Any, Any] = {}
    for _, key, window, _, value, before in got:
        assert table.get((key, window)) == before
        table[key, window] = value
    assert operator.context.counters.late == merged.context.counters.late
    for store, other in zip(operator.stores, merged.stores):
        assert sorted(map(str, store.checkpoint().to_pylist())) == sorted(map(str, other.checkpoint().to_pylist()))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_aggregate_of_a_stream(build: Any, data: st.DataObject) -> None:
    """Every row updates its group; the timestamp is the largest so far."""
    rows = data.draw(EVENTS)
    cuts = data.draw(st.lists(st.integers(0, len(rows)), max_size=4))
    groups: dict[str, tuple[int, list[int]]] = {}
    expected = []
    for position, (key, ts, value) in enumerate(rows):
        old = groups.get(key)
        new = (max(ts, old[0]) if old else ts, [*(old[1] if old else []), value])
        groups[key] = new
        expected.append((position, key, None, new[0], fold(new[1]), fold(old[1]) if old else None))
    check(
        lambda every: Aggregate(OperatorContext("A", every_update=every), OUTPUT, 1, calls(), before=True),
        events(build, rows),
        expected,
        cuts,
    )


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_aggregate_of_a_table(build: Any, data: st.DataObject) -> None:
    """Each change takes the old row back from its group and adds the new one; a change within a group is one update."""
    changes = data.draw(
        st.lists(
            st.tuples(st.sampled_from("xyz"), st.none() | st.tuples(st.sampled_from("ab"), st.integers(0, 3))), max_size=12
        )
    )
    table: dict[str, Any] = {}
    groups: dict[str, list[int]] = {}
    times: dict[str, int] = {}
    expected, before, after = [], [], []
    for position, (key, new) in enumerate(changes):
        old = table.get(key)
        before.append(old)
        after.append(new)
        table[key] = new
        touched = list(dict.fromkeys(x[0] for x in (old, new) if x))
        for group in touched:
            values = groups.get(group)
            was = None if values is None else fold(values, table=True)
            values = list(values or [])
            if old and old[0] == group:
                values.reverse()
                values.remove(old[1])  # COLLECT_LIST takes back the last equal item
                values.reverse()
            if new and new[0] == group:
                values.append(new[1])
            groups[group] = values
            times[group] = position
            expected.append((position, group, None, position, fold(values, table=True), was))
    batch = build.batch(INPUT, 0, after, keys=[()] * len(after), before=before)
    batch = with_undo(batch)
    batch = batch.with_columns(INPUT, 1, batch.columns)
    steps = [int(np.searchsorted(batch.positions, c)) for c in data.draw(st.lists(st.integers(0, len(changes)), max_size=3))]
    check(
        lambda every: Aggregate(OperatorContext("A", every_update=every), OUTPUT, 1, calls(table=True), before=True),
        batch,
        expected,
        steps,
    )


def windows_reference(
    rows: Sequence[tuple[str, int, int]], windows: TimeWindows, *, final: bool, retention_ms: int, emit_expired: bool
) -> tuple[list[tuple[Any, ...]], int]:
    """WindowAggregate, one record at a time."""
    state: dict[tuple[str, int], tuple[int, list[int]]] = {}
    done: set[tuple[str, int]] = set()
    stream_time, late, out = -1, 0, []
    for position, (key, ts, value) in enumerate(rows):
        stream_time = max(stream_time, ts)
        taken = False
        for start in range(0, ts + 1, windows.advance_ms):
            if not (start <= ts < start + windows.size_ms and start + windows.size_ms > stream_time - windows.grace_ms):
                continue
            taken = True
            old = state.get((key, start))
            new = (max(ts, old[0]) if old else ts, [*(old[1] if old else []), value])
            state[key, start] = new
            if not final:
                window = (start, start + windows.size_ms)
                out.append((position, key, window, new[0], fold(new[1]), fold(old[1]) if old else None))
        late += not taken
        if final:
            latest = stream_time - stream_time % windows.advance_ms
            for key_, start in sorted(state, key=lambda k: (k[1], k[0])):
                if (key_, start) in done or start + windows.size_ms > stream_time - windows.grace_ms:
                    continue
                done.add((key_, start))
                if emit_expired or start >= latest - retention_ms:
                    time, values = state[key_, start]
                    out.append((position, key_, (start, start + windows.size_ms), time, fold(values), None))
    return out, late


@settings(max_examples=80, deadline=None)
@given(st.data(), st.booleans(), st.booleans())
def test_window_aggregate(build: Any, data: st.DataObject, final: bool, emit_expired: bool) -> None:
    """Tumbling and hopping windows, grace, late rows, EMIT FINAL with and without expired windows."""
    rows = data.draw(EVENTS)
    cuts = data.draw(st.lists(st.integers(0, len(rows)), max_size=4))
    advance, size = data.draw(st.sampled_from([(10, 10), (5, 10), (4, 10), (3, 3)]))
    windows = TimeWindows(size, advance, data.draw(st.sampled_from([0, 5, 100])))
    retention = windows.size_ms + windows.grace_ms + data.draw(st.sampled_from([0, 0, 7]))
    expected, late = windows_reference(rows, windows, final=final, retention_ms=retention, emit_expired=emit_expired)
    made = []

    def make(every: bool) -> Operator:
        operator = WindowAggregate(
            OperatorContext("W", every_update=every),
            BOUNDED,
            1,
            calls(),
            windows,
            retention_ms=retention,
            final=final,
            emit_expired=emit_expired,
            before=True,
            extras=("WINDOWSTART", "WINDOWEND"),
        )
        made.append(operator)
        return operator

    check(make, events(build, rows), expected, cuts)
    assert [o.context.counters.late for o in made] == [late, late]
    if rows:
        latest = max(ts for _, ts, _ in rows)
        starts = made[0].stores[0].checkpoint()["WINDOWSTART"].to_pylist()
        assert all(start >= latest - latest % advance - retention for start in starts)


def sessions_reference(
    rows: Sequence[tuple[str, int, int]], windows: SessionWindows, *, final: bool, retention_ms: int
) -> tuple[list[tuple[Any, ...]], int]:
    """SessionAggregate, one record at a time.  A session is [start, end, values, number of the earliest row, its value]."""
    state: dict[str, list[list[Any]]] = {}
    stream_time, late, out = -1, 0, []
    longest = windows.gap_ms + windows.grace_ms + 1
    visible = longest if final else max(retention_ms, longest)
    done: list[list[Any]] = []

    def result(session: list[Any]) -> tuple[Any, ...]:
        return (*fold(session[2])[:3], session[4])

    for position, (key, ts, value) in enumerate(rows):
        before_row, stream_time = stream_time, max(stream_time, ts)
        sessions = state.setdefault(key, [])
        joined = [
            s
            for s in sorted(sessions)
            if s[1] > before_row - visible and s[0] - windows.gap_ms <= ts <= s[1] + windows.gap_ms
        ]
        start = min([ts, *(s[0] for s in joined)])
        end = max([ts, *(s[1] for s in joined)])
        if end < stream_time - windows.grace_ms - windows.gap_ms:
            late += 1
        else:
            first = min([(s[3], s[4]) for s in joined], default=(position, value))
            merged = [start, end, [v for s in joined for v in s[2]] + [value], *first]
            before = None
            for session in joined:
                if start == end:
                    before = result(session)
                elif not final:
                    out.append((position, key, (session[0], session[1]), session[1], None, result(session)))
            state[key] = [s for s in sessions if s not in joined and s[0] != start] + [merged]
            if not final:
                out.append((position, key, (start, end), end, result(merged), before))
        if final:
            closing = [
                (s[1], s[0], k, s)
                for k, group in state.items()
                for s in group
                if s[1] < stream_time - windows.grace_ms - windows.gap_ms and not any(s is d for d in done)
            ]
            for end_, start_, key_, session in sorted(closing, key=lambda c: c[:3]):
                done.append(session)
                out.append((position, key_, (start_, end_), end_, result(session), None))
    return out, late


@settings(max_examples=150, deadline=None)
@given(st.data(), st.booleans())
def test_session_aggregate(build: Any, data: st.DataObject, final: bool) -> None:
    """Merging, tombstones, late rows, hidden sessions, EMIT FINAL; in order and out of order."""
    rows = data.draw(EVENTS)
    if data.draw(st.booleans()):
        rows = sorted(rows, key=lambda row: row[1])
    cuts = data.draw(st.lists(st.integers(0, len(rows)), max_size=4))
    windows = SessionWindows(data.draw(st.sampled_from([1, 3, 8])), data.draw(st.sampled_from([0, 4, 100])))
    retention = windows.gap_ms + windows.grace_ms + data.draw(st.sampled_from([0, 0, 6]))
    expected, late = sessions_reference(rows, windows, final=final, retention_ms=retention)
    made = []

    def make(every: bool) -> Operator:
        operator = SessionAggregate(
            OperatorContext("S", every_update=every),
            BOUNDED,
            1,
            calls(),
            windows,
            retention_ms=retention,
            final=final,
            before=True,
            extras=("WINDOWSTART", "WINDOWEND"),
        )
        made.append(operator)
        return operator

    check(make, events(build, rows), expected, cuts)
    assert [o.context.counters.late for o in made] == [late, late]


@pytest.mark.parametrize("cuts", [[], [2], [3], [1, 2, 3]])
def test_a_session_that_is_replaced_was_put_out(build: Any, cuts: list[int]) -> None:
    """A hidden session and the one that begins at its instant come in one step or in several: both are in the output."""
    rows = [("b", 38, 0), ("a", 40, 0), ("b", 39, 0), ("b", 38, 0)]
    windows = SessionWindows(1, 0)
    expected, late = sessions_reference(rows, windows, final=False, retention_ms=1)

    def make(every: bool) -> Operator:
        context = OperatorContext("S", every_update=every)
        bounds = ("WINDOWSTART", "WINDOWEND")
        return SessionAggregate(
            context, BOUNDED, 1, calls(), windows, retention_ms=1, final=False, before=True, extras=bounds
        )

    assert late == 0
    check(make, events(build, rows), expected, cuts)


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("cuts", [[], [5], [3, 5]])
def test_a_session_around_one_that_can_no_longer_be_joined(build: Any, cuts: list[int], final: bool) -> None:
    """A hidden session goes at the end of the step; the wider one that formed around it meanwhile stays."""
    rows = [("b", 23, 0), ("a", 8, 1), ("b", 28, 2), ("a", 10, 3), ("a", 7, 4), ("a", 11, 5), ("a", 14, 6)]
    windows = SessionWindows(4, 15)
    expected, late = sessions_reference(rows, windows, final=final, retention_ms=19)

    def make(every: bool) -> Operator:
        context = OperatorContext("S", every_update=every)
        bounds = ("WINDOWSTART", "WINDOWEND")
        return SessionAggregate(
            context, BOUNDED, 1, calls(), windows, retention_ms=19, final=final, before=True, extras=bounds
        )

    assert late == 0
    check(make, events(build, rows), expected, cuts)


@pytest.mark.parametrize("kind", ["plain", "windows", "final", "sessions", "final sessions"])
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_restart_from_checkpoint_and_changes_is_never_seen(build: Any, kind: str, data: st.DataObject) -> None:
    """An operator whose stores were restored goes on as the first one would have."""
    rows = data.draw(EVENTS)
    first, second = sorted(data.draw(st.tuples(*[st.integers(0, len(rows))] * 2)))
    final = kind.startswith("final")

    def make() -> Operator:
        context = OperatorContext("O")
        if kind == "plain":
            return Aggregate(context, OUTPUT, 1, calls())
        extras = ("WINDOWSTART", "WINDOWEND")
        if "sessions" in kind:
            return SessionAggregate(context, BOUNDED, 1, calls(), SessionWindows(5, 4), final=final, extras=extras)
        return WindowAggregate(
            context, BOUNDED, 1, calls(), TimeWindows(10, 5, 4), retention_ms=30, final=final, extras=extras
        )

    batch = events(build, rows)
    whole = make()
    expected = emitted(run(whole, batch, [first, second]))
    one, two = make(), make()
    got = emitted([one.process([batch.slice(0, first)])])
    for store in one.stores:
        store.drain_changes()
    checkpoints = [store.checkpoint() for store in one.stores]
    got += emitted([one.process([batch.slice(first, second)])])
    for store, other, checkpoint in zip(one.stores, two.stores, checkpoints):
        other.restore(checkpoint)
        changes = store.drain_changes()
        if changes is not None:
            other.apply_changes(changes)
    got += emitted([two.process([batch.slice(second, len(rows))])])
    assert got == expected


# The worked examples of reference section 16; times in ms, key a


def test_example_1_tumbling_windows_and_grace(build: Any) -> None:
    """GRACE 0 drops the late row, GRACE 5 takes it; EMIT FINAL waits for stream time 15."""
    rows = [("a", 3, 0), ("a", 12, 0), ("a", 9, 0)]

    def counts(grace: int, rows: list[tuple[str, int, int]], final: bool = False) -> list[Any]:
        operator = WindowAggregate(
            OperatorContext("W"),
            BOUNDED,
            1,
            calls(),
            TimeWindows(10, 10, grace),
            final=final,
            extras=("WINDOWSTART", "WINDOWEND"),
        )
        return [(r[2], r[4][0]) for r in emitted(run(operator, events(build, rows), [1]))]

    assert counts(0, rows) == [((0, 10), 1), ((10, 20), 1)]
    assert counts(5, rows) == [((0, 10), 1), ((10, 20), 1), ((0, 10), 2)]
    assert counts(5, [*rows, ("a", 14, 0)], final=True) == []
    assert counts(5, [*rows, ("b", 15, 0)], final=True) == [((0, 10), 2)]


@pytest.mark.parametrize("session", [False, True])
def test_a_final_result_has_the_headers_of_the_row_that_closes_the_window(build: Any, session: bool) -> None:
    """As everything that a row puts out."""
    type_ = pa.list_(pa.struct([("KEY", pa.string()), ("VALUE", pa.binary())]))
    headers = [[{"KEY": "h", "VALUE": number}] for number in (b"0", b"1")]
    batch = replace(events(build, [("a", 3, 0), ("b", 15, 0)]), headers=pa.array(headers, type_))
    context, extras = OperatorContext("W"), ("WINDOWSTART", "WINDOWEND")
    operator: Operator = (
        SessionAggregate(context, BOUNDED, 1, calls(), SessionWindows(5), final=True, extras=extras)
        if session
        else WindowAggregate(context, BOUNDED, 1, calls(), TimeWindows(10, 10), final=True, extras=extras)
    )
    (output,) = run(operator, batch, [])
    assert len(output) == 1 and output.headers is not None
    assert output.headers.to_pylist() == headers[1:]


def test_example_2_hopping_windows_update_in_order(build: Any) -> None:
    """A row at 7 updates [0, 10) and then [5, 15)."""
    operator = WindowAggregate(OperatorContext("W"), OUTPUT, 1, calls(), TimeWindows(10, 5))
    assert [r[2] for r in run_bare(operator, events(build, [("a", 7, 0)]))] == [(0, 10), (5, 15)]


def run_bare(operator: Operator, batch: Batch) -> list[tuple[Any, ...]]:
    """Like ``emitted``, for outputs without columns for the bounds."""
    output = operator.process([batch])
    bounds = [(int(s), int(e)) for s, e in zip(output.window_starts, output.window_ends)]
    rows = emitted([replace(output, window_starts=None, window_ends=None)])
    return [(*row[:2], bound, *row[3:]) for row, bound in zip(rows, bounds)]


def test_example_3_sessions_merge(build: Any) -> None:
    """A row at the distance of the gap joins both neighbours: two tombstones, then the joined session."""
    operator = SessionAggregate(OperatorContext("S"), OUTPUT, 1, calls(), SessionWindows(5, 100))
    rows = run_bare(operator, events(build, [("a", 0, 1), ("a", 9, 2), ("a", 5, 3)]))
    assert [(r[2], None if r[4] is None else r[4][0]) for r in rows] == [
        ((0, 0), 1),
        ((9, 9), 1),
        ((0, 0), None),
        ((9, 9), None),
        ((0, 9), 3),
    ]
    assert [r[3] for r in rows] == [0, 9, 0, 9, 9]


def test_example_4_having_is_a_filter_over_the_aggregate(build: Any) -> None:
    """HAVING SUM(v) > 100: nothing, 110, a tombstone, nothing."""
    from penstock.runtime.operators.filter import Filter

    operator = Aggregate(OperatorContext("A"), OUTPUT, 1, calls(), before=True)
    having = Filter(OperatorContext("H"), build.kernel(lambda k, n, s, *_: s > 100, pa.bool_()), table=True)
    batch = events(build, [("a", 0, 50), ("a", 0, 60), ("a", 0, -20), ("a", 0, 1)])
    for cuts in ([], [1, 2, 3]):
        operator = Aggregate(OperatorContext("A"), OUTPUT, 1, calls(), before=True)
        out = [having.process([o]) for o in run(operator, batch, cuts)]
        assert [(r[0], r[4] and r[4][1]) for r in emitted(out)] == [(1, 110), (2, None)]


def test_example_5_a_table_row_moves_between_groups(build: Any) -> None:
    """(1, A, 5) gives A=5; (1, B, 7) A=0 and B=7; its deletion B=0."""
    batch = build.batch(INPUT, 0, [("A", 5), ("B", 7), None], keys=[()] * 3, before=[None, ("A", 5), ("B", 7)])
    batch = with_undo(batch)
    operator = Aggregate(OperatorContext("A"), OUTPUT, 1, calls(table=True))
    rows = emitted([operator.process([batch.with_columns(INPUT, 1, batch.columns)])])
    assert [(r[1], r[4][1]) for r in rows] == [("A", 5), ("A", 0), ("B", 7), ("B", 0)]


def test_all_rows_are_one_group_without_a_key(build: Any) -> None:
    """key_count 0 is an aggregation without GROUP BY."""
    schema = pa.schema(RESULTS)
    operator = Aggregate(OperatorContext("A", every_update=False), schema, 0, calls())
    batch = events(build, [("a", 0, 1), ("b", 0, 2)])
    output = operator.process([batch.with_columns(INPUT, 0, batch.columns)])
    assert [c.to_pylist() for c in output.columns] == [[2], [3], [[1, 2]], [1]]


def viewed(transform: Any, operator: Any) -> pa.Table:
    """An operator's store as its view shows it."""
    table = operator.stores[0].snapshot().table()
    columns = transform({name: column.combine_chunks() for name, column in zip(table.column_names, table.columns)})
    bounds = ["WINDOWSTART", "WINDOWEND"] if len(columns) == 8 else []
    return pa.table(columns, names=["K", *bounds, "N", "S", "L", "E", "ROWTIME"])


def test_views_read_the_stores(build: Any) -> None:
    """The transform for pull queries gives keys, bounds, results and ROWTIME."""
    batch = events(build, [("a", 3, 1), ("b", 14, 2), ("a", 5, 3)])
    plain = Aggregate(OperatorContext("A"), OUTPUT, 1, calls())
    plain.process([batch])
    view = viewed(view_transform(1, calls()), plain)
    assert sorted(map(list, (r.values() for r in view.to_pylist()))) == [["a", 2, 4, [1, 3], 1, 5], ["b", 1, 2, [2], 2, 14]]
    windowed = WindowAggregate(OperatorContext("W"), OUTPUT, 1, calls(), TimeWindows(10, 10, 100))
    windowed.process([batch])
    view = viewed(view_transform(1, calls(), size_ms=10), windowed)
    assert view.column_names == ["K", "WINDOWSTART", "WINDOWEND", "N", "S", "L", "E", "ROWTIME"]
    assert sorted((r["K"], r["WINDOWSTART"], r["WINDOWEND"], r["N"], r["ROWTIME"]) for r in view.to_pylist()) == [
        ("a", 0, 10, 2, 5),
        ("b", 10, 20, 1, 14),
    ]
    sessions = SessionAggregate(OperatorContext("S"), OUTPUT, 1, calls(), SessionWindows(5, 100))
    sessions.process([batch])
    view = viewed(view_transform(1, calls(), session=True), sessions)
    assert sorted((r["K"], r["WINDOWSTART"], r["WINDOWEND"], r["N"], r["ROWTIME"]) for r in view.to_pylist()) == [
        ("a", 3, 5, 2, 5),
        ("b", 14, 14, 1, 14),
    ]
