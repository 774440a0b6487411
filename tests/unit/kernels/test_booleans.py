"""Arrow's booleans as NumPy's: whatever part of whatever array, false at nulls."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kernels.booleans import booleans


@given(st.lists(st.sampled_from([True, False, None]), max_size=70), st.integers(0, 70), st.integers(0, 70))
def test_part_of_an_array(values: list[bool | None], start: int, length: int) -> None:
    array = pa.array(values, pa.bool_()).slice(min(start, len(values)), length)
    found = booleans(array)
    assert found.dtype == np.bool_
    assert found.tolist() == [bool(v) for v in array.to_pylist()]


@pytest.mark.parametrize("chunks", [[], [[True]], [[True, None], [], [False, True]]])
def test_chunks(chunks: list[list[bool | None]]) -> None:
    array = pa.chunked_array(chunks, pa.bool_())
    assert booleans(array).tolist() == [bool(v) for v in array.to_pylist()]


def test_result_may_be_written_to() -> None:
    array = pa.array([True, False, True])
    found = booleans(array)
    found[:] = False
    assert array.to_pylist() == [True, False, True]


def test_nulls_without_values() -> None:
    assert booleans(pa.nulls(9, pa.bool_())).tolist() == [False] * 9
