"""The first rows of groups, compiled and plain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import InternalError
from penstock.kernels.top import top_rows
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


def test_groups_that_do_not_exist_are_refused() -> None:
    """They would be somebody else's memory."""
    one = np.ones(1, np.int64)
    for count, k in ((1, 1), (2, 0)):
        with pytest.raises(InternalError):
            top_rows(one, count, one, np.ones(1, np.bool_), k)
