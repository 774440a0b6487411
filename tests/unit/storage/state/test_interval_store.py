"""The interval store against a list of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.storage.state.interval_store import _CHUNK_ROWS_JOINED_MAX, IntervalStore

KEYS = pa.schema([("k", pa.string())])
ROWS = pa.schema([("v", pa.int64()), ("k", pa.string())])


def make(retention_ms: int) -> IntervalStore:
    return IntervalStore("s", KEYS, ROWS, retention_ms)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30)), max_size=15), max_size=10),
    st.sampled_from((1, 10, 10**6)),
    st.sampled_from((1, 1 << 33)),
)
def test_it_finds_what_a_list_holds(steps: Any, retention_ms: int, scale: int) -> None:
    """Ranges of time per key, in order of time and arrival, through merges, expiry and restarts."""
    retention_ms *= scale
    store, replica = make(retention_ms), make(retention_ms)
    rows: list[tuple[str, int, int]] = []
    for number, step in enumerate(steps):
        first = len(rows)
        rows += [(k, ts * scale, first + i) for i, (k, ts) in enumerate(step)]
        numbers = np.arange(first, len(rows), dtype=np.int64)
        times = np.array([r[1] for r in rows[first:]], np.int64)
        keys = pa.array([r[0] for r in rows[first:]], pa.string())
        store.append([keys], times, numbers, [pa.array(numbers * 2), keys])
        largest = max([r[1] for r in rows], default=0)
        low = np.full(4, largest - retention_ms + 1, np.int64)
        high = np.array([largest, largest - 3 * scale, largest + scale, largest - retention_ms], np.int64)
        asked = ["a", "b", "zzz", "a"]
        found = store.find([pa.array(asked)], low, high)
        expected = [
            (q, r[1], r[2])
            for q in range(4)
            for r in sorted(rows, key=lambda r: r[1:])
            if r[0] == asked[q] and low[q] <= r[1] <= high[q]
        ]
        got = list(zip(found.queries.tolist(), found.timestamps.tolist(), found.rows.tolist()))
        assert got == expected
        assert store.columns(found)[0].to_pylist() == [2 * r[2] for r in expected]
        store.settle()
        live = sorted(r for r in rows if r[1] > largest - retention_ms)
        table = store.checkpoint()
        assert sorted(zip(*(table.column(i).to_pylist() for i in range(3)))) == live
        changes = store.drain_changes()
        if changes is not None:
            replica.apply_changes(changes)
            replica.apply_changes(changes)
        assert replica.checkpoint().equals(table)
        looked_up = store.snapshot().lookup([pa.array(["a"])])
        assert looked_up.num_rows == sum(r[0] == "a" for r in live)
        if number % 2:
            store = make(retention_ms)
            store.restore(table)


@pytest.mark.parametrize("merge", [False, True])
def test_expired_rows_are_let_go(merge: bool) -> None:
    """Memory and keys stay bounded when time moves on."""
    store = make(100)
    for step in range(200):
        keys = pa.array([f"{step}-{i}" for i in range(10)])
        times = np.full(10, step * 50, np.int64)
        store.append([keys], times, np.arange(step * 10, step * 10 + 10), [pa.array(times), keys])
        if merge or step % 10 == 9:
            store.settle()
    assert len(store) <= 400
    assert store.checkpoint().num_rows == 20


def test_rows_that_lie_in_the_log_take_the_place_of_copies() -> None:
    """What was lent is used from the next step on, in the pieces in which it lies; anything else stays as it is."""
    store = make(1_000)
    count = _CHUNK_ROWS_JOINED_MAX + 10
    for first in (0, count):
        rows = np.arange(first, first + count, dtype=np.int64)
        keys = pa.array([f"{row % 7}" for row in rows])
        store.append([keys], rows % 50, rows, [pa.array(rows * 2), keys])
        changes = store.drain_changes()
        assert changes is not None
        cut = count // 3
        lent = [pa.concat_batches([changes.slice(0, cut)]), pa.concat_batches([changes.slice(cut)])]
        if first:
            store.lend([changes.slice(5)])  # not all of it
        store.lend(lent)
        before = store.checkpoint()
        store.settle()
        assert store.checkpoint().equals(before)
        lies = [piece[0].buffers()[1].address for piece in store.pieces[-2:]]
        assert lies == [batch.column(3).buffers()[1].address for batch in lent]
    found = store.find([pa.array(["3"])], np.array([0]), np.array([50]))
    assert store.columns(found)[0].to_pylist() == [2 * row for row in found.rows.tolist()]
    assert sorted(found.rows.tolist()) == [row for row in range(2 * count) if row % 7 == 3]
