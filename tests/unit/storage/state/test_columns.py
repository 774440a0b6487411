"""Columns that are read as they were while they are written."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock.storage.state.columns import BLOCK_ROWS, GrowingColumn

ROWS = 5 * BLOCK_ROWS
PLACES = st.integers(0, ROWS)


@given(
    st.lists(st.lists(st.integers(0, ROWS - 1), max_size=5, unique=True), max_size=4),
    st.lists(st.tuples(PLACES, PLACES), min_size=1, max_size=4),
    st.booleans(),
)
def test_a_frozen_column_is_read_as_it_was(writes: list[list[int]], ranges: list[tuple[int, int]], at_a_block: bool) -> None:
    """Row by row, some rows, neighbours from anywhere to anywhere, and all from the first on."""
    column = GrowingColumn(np.int64)
    column.reserve(ROWS)
    column.put(np.arange(ROWS), np.arange(ROWS))
    frozen = column.freeze()
    for number, rows in enumerate(writes):
        column.put(np.array(rows, np.int64), -number)
    for first, after in ranges:
        first, after = min(first, after), max(first, after)
        if at_a_block:
            first -= first % BLOCK_ROWS
        wanted = list(range(first, after))
        assert frozen.between(first, after).tolist() == wanted
        assert frozen.take(np.arange(first, after)).tolist() == wanted
        assert [frozen.at(row) for row in wanted[:3]] == wanted[:3]
        assert frozen.between(0, after).tolist() == list(range(after))
