"""Entries found by ranges of time, and joined in their order, against lists."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import InternalError
from penstock.kernels.intervals import Chains, Coming, join
from penstock.tests.support import interval_lists
from penstock.tests.support.interval_lists import IntervalLists, Row

SLOTS = 3
TIMES = st.integers(-(2**62), 2**62) | st.integers(0, 12)
ROWS = st.builds(Row, st.integers(0, SLOTS - 1), TIMES, st.booleans(), st.integers(-1, SLOTS - 1), TIMES, TIMES)


def numbers(values: list[int]) -> np.ndarray:
    return np.array(values, np.int64)


def filled(entries: list[tuple[int, int]]) -> tuple[Chains, IntervalLists]:
    chains, lists = Chains(), IntervalLists()
    for slot, time in entries:
        lists.add(slot, time)
    first = chains.add(numbers([slot for slot, _ in entries]), numbers([time for _, time in entries]))
    chains.link(first, len(entries))
    return chains, lists


ENTRIES = st.lists(st.tuples(st.integers(0, SLOTS - 1), TIMES), max_size=60)


@settings(max_examples=300, deadline=None)
@given(ENTRIES, st.lists(st.tuples(st.integers(-1, SLOTS - 1), TIMES, TIMES), max_size=8), TIMES)
def test_entries_are_found_by_time(entries: list[tuple[int, int]], asked: list[tuple[int, int, int]], expired: int) -> None:
    """In whatever order they came, before and after expired ones are dropped and others added."""
    chains, lists = filled([(slot, 0) for slot in range(SLOTS)])
    for round_ in range(2):
        first = chains.add(numbers([slot for slot, _ in entries]), numbers([time for _, time in entries]))
        chains.link(first, len(entries))
        for slot, time in entries:
            lists.add(slot, time)
        pairs = chains.find(*(numbers([query[i] for query in asked]) for i in range(3)))
        expected = [(n, e) for n, query in enumerate(asked) for e in lists.find(*query)]
        assert list(zip(pairs.queries.tolist(), pairs.entries.tolist())) == expected
        if round_ == 0:
            had = {slot for _, _, slot in lists.entries}
            kept, emptied = chains.compact(expired)
            assert kept.tolist() == lists.compact(expired)
            assert emptied.tolist() == sorted(had - {slot for _, _, slot in lists.entries})
    assert chains.times.tolist() == [time for time, _, _ in lists.entries]
    assert chains.slots.tolist() == [slot for _, _, slot in lists.entries]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 1), ROWS), max_size=40), max_size=3))
def test_sides_are_joined_row_by_row(steps: list[list[tuple[int, Row]]]) -> None:
    """Each row finds what came before it, in its step and in those before; those that are not kept are never found."""
    made = [filled([(slot, 5) for slot in range(SLOTS)]) for _ in range(2)]
    chains, lists = [m[0] for m in made], [m[1] for m in made]
    for step in steps:
        sides = []
        for side in (0, 1):
            rows = [row for own, row in step if own == side]
            kept = [row for row in rows if row.kept]
            first = chains[side].add(numbers([row.slot for row in kept]), numbers([row.time for row in kept]))
            entries = iter(range(first, first + len(kept)))
            sides.append(
                Coming(
                    chains[side],
                    numbers([place for place, (own, _) in enumerate(step) if own == side]),
                    numbers([next(entries) if row.kept else -1 for row in rows]),
                    numbers([row.asked for row in rows]),
                    numbers([row.low for row in rows]),
                    numbers([row.high for row in rows]),
                )
            )
        found = [list(zip(p.queries.tolist(), p.entries.tolist())) for p in join(sides)]
        assert found == list(interval_lists.join(lists, step))


def test_many_pairs_of_one_key() -> None:
    """Room for pairs grows, on both sides, and rows of one key that came long before others are found in few hops."""
    count = 700
    sides = []
    for side in (0, 1):
        chains = Chains()
        times = np.arange(count, dtype=np.int64)[:: -1 if side else 1]
        first = chains.add(np.zeros(count, np.int64), times)
        entries = np.arange(first, first + count, dtype=np.int64)
        low, high = np.full(count, -1), np.full(count, count)
        sides.append(Coming(chains, 2 * entries + side, entries, np.zeros(count, np.int64), low, high))
    left, right = join(sides)
    assert (len(left.queries), len(right.queries)) == (count * (count - 1) // 2, count * (count + 1) // 2)
    before = {(int(q), int(e)) for q, e in zip(left.queries, left.entries)}
    assert before == {(q, e) for q in range(count) for e in range(q)}


def test_numbers_that_are_not_there_are_refused() -> None:
    """They would be somebody else's memory."""
    chains, _ = filled([(0, 1)])
    with pytest.raises(InternalError):
        chains.find(numbers([1 << 20]), numbers([0]), numbers([1]))
    with pytest.raises(InternalError):
        chains.link(1, 1)
    with pytest.raises(InternalError):
        chains.add(numbers([-1]), numbers([0]))
    none = numbers([])
    nobody = Coming(Chains(), none, none, none, none, none)
    with pytest.raises(InternalError):
        join([Coming(chains, numbers([0]), numbers([7]), numbers([-1]), numbers([0]), numbers([0])), nobody])
