"""Ascending runs, merged by kernels and by a stable sort."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import InternalError
from penstock.kernels.merging import merge, merge_beside

RUNS = st.lists(
    st.lists(st.integers(0, 8) | st.integers(-(2**63), 2**63 - 1), max_size=20).map(sorted), min_size=1, max_size=5
)


@given(RUNS)
def test_runs_are_merged_as_a_stable_sort_orders_them(runs: list[list[int]]) -> None:
    """One run, empty ones, equal keys in several; what stands beside the keys goes with them."""
    arrays = [np.array(run, np.int64) for run in runs]
    keys = [key for run in runs for key in run]
    expected = sorted(range(len(keys)), key=keys.__getitem__)
    assert merge(arrays).tolist() == expected
    bounds = np.cumsum([0, *map(len, runs)])
    moved, ordered = merge_beside(arrays, [np.arange(a, b, dtype=np.int64) for a, b in pairwise(bounds)])
    assert moved.tolist() == expected
    assert ordered.tolist() == sorted(keys)


def test_as_much_stands_beside_as_there_are_keys() -> None:
    """Otherwise the kernel would read somebody else's memory."""
    with pytest.raises(InternalError):
        merge_beside([np.zeros(2, np.int64)], [np.zeros(1, np.int64)])
