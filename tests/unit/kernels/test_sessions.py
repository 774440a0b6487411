"""Rows and their sessions, compiled and in NumPy."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import InternalError
from penstock.kernels.sessions import InOrder, in_order
from tests.support import sessions_numpy

NOWHERE = -(1 << 62)
ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60)), max_size=40)
BOUNDS = st.lists(st.none() | st.tuples(st.integers(0, 60), st.integers(0, 9)), min_size=4, max_size=4)


@given(ROWS, BOUNDS, st.integers(1, 9), st.integers(0, 30), st.integers(0, 40), st.booleans())
def test_sessions_are_those_of_the_numpy_version(
    rows: list[tuple[int, int]],
    bounds: list[tuple[int, int] | None],
    gap: int,
    grace: int,
    visible: int,
    rising: bool,
) -> None:
    """Rows in order or not, late ones, groups with a session and without, hidden sessions."""
    if rising:
        rows = sorted(rows, key=lambda row: row[1])
    present = sorted({group for group, _ in rows})
    groups = np.array([present.index(group) for group, _ in rows], np.int64)
    timestamps = np.array([time for _, time in rows], np.int64)
    times = np.maximum.accumulate(timestamps) if len(timestamps) else timestamps
    known = [bounds[group] for group in present]
    starts = np.array([NOWHERE if b is None else b[0] for b in known], np.int64)
    ends = np.array([NOWHERE if b is None else b[0] + b[1] for b in known], np.int64)
    found, expected = (
        made(groups, timestamps, times, times - visible, starts, ends, gap=gap, open_=gap + grace, nowhere=NOWHERE)
        for made in (in_order, sessions_numpy.in_order)
    )
    for field in fields(InOrder):
        assert getattr(found, field.name).tolist() == getattr(expected, field.name).tolist(), field.name


def test_groups_that_do_not_exist_are_refused() -> None:
    """They would be somebody else's memory."""
    one, nothing = np.ones(1, np.int64), np.zeros(1, np.int64)
    with pytest.raises(InternalError):
        in_order(one, one, one, one, nothing, nothing, gap=1, open_=1, nowhere=NOWHERE)
