"""Keys with bytes behind them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import InternalError
from penstock.kernels.texts import with_tails

KEYS = st.lists(st.tuples(st.none() | st.binary(max_size=40), st.binary(min_size=12, max_size=12)), max_size=30)


@given(KEYS, st.integers(0, 9))
def test_keys_get_tails(rows: list[tuple[bytes | None, bytes]], start: int) -> None:
    """Null keys stay null; slices begin where they begin."""
    keys = pa.array([key for key, _ in rows], pa.binary()).slice(start)
    rows = rows[start:]
    tails = np.frombuffer(b"".join(tail for _, tail in rows), np.uint8).reshape(len(rows), 12)
    made = with_tails(keys, tails)
    made.validate(full=True)
    assert made.to_pylist() == [None if key is None else key + tail for key, tail in rows]


def test_each_key_needs_a_tail() -> None:
    """Another number of them, or keys that are no bytes, are refused."""
    for keys in (pa.array([b"a"]), pa.array(["a", "b"])):
        with pytest.raises(InternalError):
            with_tails(keys, np.zeros((2, 8), np.uint8))
