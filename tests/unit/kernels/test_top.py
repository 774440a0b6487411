"""The first rows of groups, compiled and plain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import InternalError
from penstock.kernels.top import top_rows, top_running
from tests.support import top_plain

ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1), st.booleans()), max_size=60
)


@given(ROWS, st.integers(1, 12))
def test_the_first_rows_are_those_of_the_plain_version(rows: list[tuple[int, int, bool]], k: int) -> None:
    """Equal keys, groups without rows, more to keep than there is."""
    groups, keys, marked = [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]
    found = top_rows(np.array(groups, np.int64), 5, np.array(keys, np.int64), np.array(marked, np.bool_), k)
    assert found.tolist() == top_plain.top_rows(groups, 5, keys, marked, k)
    found = top_rows(np.array(groups, np.int64), 5, np.array(keys, np.int64), None, k)
    assert found.tolist() == top_plain.top_rows(groups, 5, keys, [True] * len(rows), k)


def test_groups_that_do_not_exist_are_refused() -> None:
    """They would be somebody else's memory."""
    one = np.ones(1, np.int64)
    for count, k in ((1, 1), (2, 0)):
        with pytest.raises(InternalError):
            top_rows(one, count, one, np.ones(1, np.bool_), k)
    for group in (-1, 2):
        for rows in (1, 9):  # with room for each group's rows, and for as many as a group may keep
            with pytest.raises(InternalError):
                top_rows(np.full(rows, group), 2, np.zeros(rows, np.int64), None, 2)


@given(st.lists(st.lists(st.integers(-3, 3), max_size=4), min_size=1, max_size=4), ROWS, st.integers(1, 5), st.booleans())
def test_what_is_kept_after_each_row_is_that_of_the_plain_version(
    held: list[list[int]], rows: list[tuple[int, int, bool]], k: int, distinct: bool
) -> None:
    """Groups that begin with something, equal keys, rows that change nothing, groups without rows."""
    held = [sorted(set(own) if distinct else own)[:k] for own in [*held, *[[]] * 4][:4]]
    groups, keys, marked = [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]
    counts = np.array([len(own) for own in held], np.int64)
    old = np.array([key for own in held for key in own], np.int64)
    given = np.array(groups, np.int64), np.array(keys, np.int64), np.array(marked, np.bool_)
    found = top_running((counts, old), *given, k, distinct=distinct)
    after, final = top_plain.top_running(held, groups, keys, marked, k, distinct)
    assert [found.rows[a:b].tolist() for a, b in zip(found.ends, found.ends[1:])] == after
    ends = np.cumsum(found.sizes)
    assert [found.final[b - n : b].tolist() for n, b in zip(found.sizes, ends)] == final


def test_groups_keep_no_more_than_they_may() -> None:
    """What they begin with is looked at."""
    one, none = np.ones(1, np.int64), np.zeros(0, np.int64)
    for counts, old in ((one, none), (3 * one, np.zeros(3, np.int64)), (-one, none)):
        with pytest.raises(InternalError):
            top_running((counts, old), none, none, np.zeros(0, np.bool_), 2, distinct=False)
    with pytest.raises(InternalError):
        top_running((one, one), one, one, np.ones(1, np.bool_), 1, distinct=False)
