"""Compiled folds, against their versions in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import InternalError
from penstock.kernels import folds
from penstock.runtime import segmented
from penstock.runtime.kernel import Segments
from penstock.tests.support import segmented_numpy as oracle

WHOLE = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Segments, Any, Any, Any]:
    """Rows by group (each group has one), the groups' values before, the rows' values, and marks."""
    count = draw(st.integers(1, 6))
    groups = [*range(count), *draw(st.lists(st.integers(0, count - 1), max_size=80))]
    groups = draw(st.permutations(groups))
    values, initial = (draw(st.lists(WHOLE, min_size=n, max_size=n)) for n in (len(groups), count))
    marked = draw(st.lists(st.booleans(), min_size=len(groups), max_size=len(groups)))
    return (
        Segments(np.array(groups, np.int64), count),
        np.array(initial, np.int64),
        np.array(values, np.int64),
        np.array(marked),
    )


@settings(max_examples=200)
@given(batches())
def test_folds_are_those_of_numpy(batch: tuple[Segments, Any, Any, Any]) -> None:
    """Sums that wrap, extremes and last marked rows, in the end and after every row; what went in stays as it was."""
    segments, initial, values, marked = batch
    kept = initial.copy(), values.copy()
    for name in ("running_sums", "final_sums"):
        ours, theirs = (getattr(m, name)(segments, initial, values) for m in (segmented, oracle))
        assert ours.tolist() == theirs.tolist()
    for operation in (np.maximum, np.minimum):
        for name in ("running_values", "final_values"):
            ours, theirs = (getattr(m, name)(operation, segments, initial, values) for m in (segmented, oracle))
            assert ours.tolist() == theirs.tolist()
    for name in ("running_last", "final_last", "final_first"):
        ours, theirs = (getattr(m, name)(segments, marked) for m in (segmented, oracle))
        assert ours.tolist() == theirs.tolist()
    everything = np.ones(len(values), np.bool_)
    assert segments.last.tolist() == oracle.final_last(segments, everything).tolist()
    assert initial.tolist() == kept[0].tolist() and values.tolist() == kept[1].tolist()


def test_a_group_that_is_not_there_is_refused() -> None:
    """It would be somebody else's memory."""
    with pytest.raises(InternalError, match="group"):
        folds.sums(np.array([0, 2]), np.zeros(2, np.int64), np.ones(2, np.int64), every=False)
