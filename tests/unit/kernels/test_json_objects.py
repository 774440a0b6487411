"""JSON objects of whole columns, compiled and plain."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import InternalError
from penstock.kernels.json_objects import objects
from tests.support import json_plain

NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.builds(
    lambda sign, power, change: max(-(2**63), min(2**63 - 1, sign * 10**power + change)),
    st.sampled_from([1, -1]),
    st.integers(0, 18),
    st.integers(-1, 1),
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\\b\f\n\r\t\x00\x1f\x7f/é€'), max_size=40)


@st.composite
def columns_of_rows(draw: st.DrawFn) -> tuple[list[Any], int]:
    """Columns of numbers and texts, some of them slices."""
    count, columns = draw(st.integers(0, 12)), []
    for value, type_ in draw(
        st.lists(st.sampled_from([(NUMBERS, pa.int64()), (TEXTS, pa.string())]), min_size=1, max_size=4)
    ):
        skipped = draw(st.integers(0, 9))
        values = draw(st.lists(st.none() | value, min_size=count + skipped, max_size=count + skipped))
        columns.append(pa.array(values, type_).slice(skipped))
    return columns, count


@given(columns_of_rows())
def test_objects_are_those_of_the_plain_version(drawn: tuple[list[Any], int]) -> None:
    """Numbers of every length, texts that need escapes, nulls."""
    columns, count = drawn
    names = [f"c{i}" for i in range(len(columns))]
    befores = [("," if i else "{").encode() + f'"{name}":'.encode() for i, name in enumerate(names)]
    made = objects(befores, columns, [True] * len(columns), count)
    made.validate(full=True)
    assert made.to_pylist() == json_plain.objects(names, [c.to_pylist() for c in columns], count)


def test_json_stands_as_it_is() -> None:
    """A text that is JSON already is not put in quotes."""
    assert objects([b'{"a":'], [pa.array(["[1]", None])], [False], 2).to_pylist() == ['{"a":[1]}', '{"a":null}']


def test_what_it_cannot_write_is_refused() -> None:
    """Other types, columns of other lengths, and columns without a text before them."""
    with pytest.raises(InternalError):
        objects([b"{"], [pa.array([1.5])], [False], 1)
    with pytest.raises(InternalError):
        objects([b"{"], [pa.array([1])], [False], 2)
    with pytest.raises(InternalError):
        objects([], [pa.array([1])], [False], 1)


def test_too_many_bytes_are_refused() -> None:
    """Offsets of 32 bits do not wrap."""
    text = pa.array(["\x01" * (1 << 20)]).take(pa.array([0] * 400))
    with pytest.raises(pa.ArrowInvalid, match="does not fit"):
        objects([b"{"], [text], [True], 400)
