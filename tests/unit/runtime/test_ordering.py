"""The order of a step, against taking records one at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.runtime.ordering import Order, Queue, merge


def one_by_one(queues: list[list[tuple[int, int]]], order: Order) -> list[tuple[int, int]]:
    """The reference: look at the heads of all queues, take the best, again and again; gives (queue, row) pairs."""
    heads = [0] * len(queues)
    taken = []
    while any(head < len(queue) for head, queue in zip(heads, queues)):
        best = min(
            (n for n, queue in enumerate(queues) if heads[n] < len(queue)),
            key=lambda n: (queues[n][heads[n]][1 if order == "arrival" else 0], queues[n][heads[n]][1], n),
        )
        taken.append((best, heads[best]))
        heads[best] += 1
    return taken


@st.composite
def records(draw: st.DrawFn) -> list[list[tuple[int, int]]]:
    """Up to three queues of (timestamp, arrival), arrivals distinct and ascending within each."""
    owners = draw(st.lists(st.integers(0, 2), max_size=25))
    queues: list[list[tuple[int, int]]] = [[], [], []]
    for arrival, owner in enumerate(owners):
        queues[owner].append((draw(st.integers(0, 9)), arrival))
    return queues


def as_queue(rows: list[tuple[int, int]], truncated: bool = False) -> Queue:
    return Queue(np.array([t for t, _ in rows], np.int64), np.array([a for _, a in rows], np.int64), truncated)


@settings(max_examples=200)
@given(records(), st.sampled_from(["timestamp", "arrival"]))
def test_merge_takes_what_one_at_a_time_would(queues: list[list[tuple[int, int]]], order: Order) -> None:
    """Positions are the ranks of a record-at-a-time merge."""
    merged = merge([as_queue(q) for q in queues], order, 1_000)
    expected = one_by_one(queues, order)
    got = sorted((int(p), n, row) for n, positions in enumerate(merged.positions) for row, p in enumerate(positions))
    assert [(n, row) for _, n, row in got] == expected
    assert [p for p, _, _ in got] == list(range(merged.total))


@settings(max_examples=200)
@given(records(), st.integers(1, 5), st.integers(1, 6), st.sampled_from(["timestamp", "arrival"]))
def test_cutting_into_steps_changes_nothing(
    queues: list[list[tuple[int, int]]], fetched: int, rows_max: int, order: Order
) -> None:
    """Fetching a few records at a time and taking a few per step gives the same order."""
    heads = [0] * len(queues)
    taken: list[tuple[int, int]] = []
    while any(head < len(queue) for head, queue in zip(heads, queues)):
        pieces = [as_queue(q[h : h + fetched], h + fetched < len(q)) for h, q in zip(heads, queues)]
        merged = merge(pieces, order, rows_max)
        assert merged.total >= 1
        step = sorted((int(p), n, heads[n] + row) for n, ps in enumerate(merged.positions) for row, p in enumerate(ps))
        taken.extend((n, row) for _, n, row in step)
        heads = [h + count for h, count in zip(heads, merged.taken)]
    assert taken == one_by_one(queues, order)


def test_a_queue_whose_next_records_are_unknown_holds_up_all() -> None:
    """A truncated queue with no record at hand may hold the smallest one behind a gap: nothing is taken before it."""
    merged = merge([as_queue([(1, 0), (2, 1)]), as_queue([], truncated=True)], "timestamp", 10)
    assert merged.taken == (0, 0)
