"""Columns of numbers as texts: each value as it is written alone."""

from __future__ import annotations

import math
from decimal import Decimal

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from penstock.storage.formats.delimited import DelimitedSerde
from penstock.storage.values.java_doubles import format_double
from penstock.storage.values.java_texts import format_decimal
from penstock.storage.values.number_texts import decimal_column, double_column

EDGES = [0.0, -0.0, math.nan, math.inf, -math.inf, 1e7, 9999999.999999998, 1e-3, 9.99e-4, 123456.0, 5e-324, -1e-3]


@given(st.lists(st.none() | st.floats() | st.sampled_from(EDGES), max_size=20))
def test_doubles(values: list[float | None]) -> None:
    """Also in a slice of a column."""
    wanted = [None if value is None else format_double(value) for value in values]
    column = pa.array(values, pa.float64())
    assert double_column(column).to_pylist() == wanted
    assert double_column(column[1:]).to_pylist() == wanted[1:]


@given(st.data(), st.integers(0, 38))
def test_decimals(data: st.DataObject, scale: int) -> None:
    """Arrow writes small ones with an exponent, and Java does not."""
    digits = st.integers(-(10**38) + 1, 10**38 - 1) | st.integers(-1000, 1000)
    values = data.draw(st.lists(st.none() | digits, max_size=20))
    column = pa.array([None if v is None else Decimal((v < 0, tuple(map(int, str(abs(v)))), -scale)) for v in values])
    column = (
        column.cast(pa.decimal128(38, scale)) if column.type != pa.null() else pa.array(values, pa.decimal128(38, scale))
    )
    wanted = [None if value is None else format_decimal(value) for value in column.to_pylist()]
    assert decimal_column(column).to_pylist() == wanted
    assert decimal_column(column[1:]).to_pylist() == wanted[1:]


@given(
    st.lists(st.tuples(*[st.none() | st.text('aZ0 #-",;\\\t\r\n\x00é\U0001f600', max_size=5)] * 2), min_size=1, max_size=9),
    st.sampled_from(",;|\t-é^]"),
)
def test_delimited_texts_are_quoted_where_they_must_be(rows: list[tuple[str | None, str | None]], delimiter: str) -> None:
    """What is written is read again; '' and NULL stay apart in the first column, which the format can."""
    schema = pa.schema([("a", pa.string()), ("b", pa.string())])
    serde = DelimitedSerde(delimiter)
    columns = [pa.array([row[n] for row in rows], pa.string()) for n in range(2)]
    data = serde.encode(columns, schema, None).data
    for (a, b), record in zip(rows, data.to_pylist(), strict=True):
        text = record.decode()
        if a is not None and not (a[:1].isascii() and a[:1].isalnum()):
            assert text.startswith('"')
        if b is not None and any(c in b for c in f'\r\n"{delimiter}'):
            assert text.endswith('"')
    decoded = serde.decode(data, schema)
    assert decoded.malformed is None
    assert decoded.columns[1].to_pylist() == [b if b else None for _, b in rows]
