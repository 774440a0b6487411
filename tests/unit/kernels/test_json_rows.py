"""Plain JSON objects to columns, against Python's parser."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.errors import InternalError
from penstock.kernels.json_rows import objects_to_columns
from penstock.tests.support.json_objects import plain

TYPES = [pa.int64(), pa.int32(), pa.float64(), pa.bool_(), pa.string(), pa.timestamp("ms"), pa.date32()]
KEYS: dict[str, int | None] = {"a": 0, "ab": 1, "f": 2, "": 3, "Text": 4, "t": 5, "d": 6, "skipped": None, "ü": None}

KNOWN = {key: None if column is None else (TYPES[column], column) for key, column in KEYS.items()}

NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.integers(-99, 99).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(
        ["0", "-0", "00", "1.", ".5", "-", "+1", "1e5", "0.1", "-0.0", "2147483648", "123456789012345678", "1" * 19]
    ),
)
SCALARS = NUMBERS | st.sampled_from(["true", "false", "null", "nul", "truer", '"', "{}", "[1]", '"a"b'])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(lambda t: json.dumps(t, ensure_ascii=False))
FITTING = {
    "a": st.integers(-(10**17), 10**17).map(str),
    "ab": st.integers(-(2**31), 2**31 - 1).map(str),
    "f": st.decimals(-(10**9), 10**9, places=3).map(str),
    "": st.sampled_from(["true", "false"]),
    "Text": TEXTS,
    "t": st.integers(0, 10**12).map(str),
    "d": st.integers(-9, 9).map(str),
    "skipped": TEXTS | st.sampled_from(["1.5", "null"]),
    "ü": TEXTS,
}
NO_CHARACTERS = [
    b.decode(errors="surrogateescape") for b in (b"\xff", b"\xc3", b"\xc1\x81", b"\xed\xa0\x80", b"\xf4\x90\x80\x80")
]
"""Bytes that are not UTF-8."""
BLANK = st.sampled_from(["", "", "", " ", "\t\n "])


@st.composite
def objects(draw: st.DrawFn) -> bytes:
    """Mostly plain ones."""
    pairs = []
    for key in draw(st.lists(st.sampled_from(list(FITTING)), unique=draw(st.integers(0, 9)) > 0, max_size=9)):
        value = draw(FITTING[key]) if draw(st.integers(0, 9)) else draw(SCALARS | TEXTS)
        pairs.append(f"{draw(BLANK)}{json.dumps(key, ensure_ascii=False)}{draw(BLANK)}:{draw(BLANK)}{value}{draw(BLANK)}")
    text = draw(BLANK) + "{" + (",".join(pairs) or draw(BLANK)) + "}" + draw(BLANK)
    if draw(st.integers(0, 15)) == 0:
        at = draw(st.integers(0, len(text)))
        text = (
            text[:at]
            + draw(st.sampled_from(["", ",", "}", '"', "x", "\\", "\x01", *NO_CHARACTERS]))
            + text[at + draw(st.integers(0, 1)) :]
        )
    return text.encode(errors="surrogateescape")


@settings(max_examples=600, deadline=None)
@given(st.lists(objects(), max_size=8), st.integers(0, 2), st.sets(st.sampled_from(range(7))))
@example([b'{"f":0.1,"a":1}', b'{"f":123456789.123456}', b"{}", b'{"a":1,"a":2}'], 0, {0, 2})
@example([b'{"Text":"0123456\\"89"}'], 0, set())
@example([b'{"Text":"a long text, \x1f with a control character"}'], 0, {4})
@example([b'{"Text":"a text that goes on in what is behind', b'"}'], 0, {4})
@example(['{"Text":"\u20ac and \U0001f600"}'.encode(), b'{"Text":"half of it: \xe2\x82"}'], 0, set())
def test_plain_objects_are_read(texts: list[bytes], start: int, wanted: set[int]) -> None:
    """As many as come before the first that is not plain; their values are Python's.  Columns that nobody wants make no
    difference."""
    texts = [b'{"a":7}'] * start + texts
    array = pa.array(texts, pa.binary()).slice(start)
    read, columns = objects_to_columns(array, KNOWN, TYPES)
    expected = []
    for text in texts[start:]:
        row = plain(text, KEYS, TYPES)
        if row is None:
            break
        expected.append(row)
    assert read == len(expected)
    for column, (kind, made) in enumerate(zip(TYPES, columns)):
        made.validate(full=True)
        assert made.type == kind
        assert made.equals(pa.array([row[column] for row in expected], kind))
        assert made.null_count == sum(row[column] is None for row in expected)
    some = sorted(wanted)
    known = {
        key: None if place is None else (TYPES[place], some.index(place) if place in wanted else None)
        for key, place in KEYS.items()
    }
    assert objects_to_columns(array, known, [TYPES[place] for place in some]) == (read, [columns[place] for place in some])


def test_texts_end_where_there_is_no_more_room() -> None:
    """What has been read until then is given."""
    array = pa.array([b'{"a":"four"}', b'{"a":"0123"}', b'{"a":"x"}'])
    known = {"a": (pa.string(), 0)}
    for room, rows in ((0, 0), (3, 0), (4, 1), (8, 2), (9, 3), (1_000, 3)):
        read, (column,) = objects_to_columns(array, known, [pa.string()], [room])
        assert (read, column.to_pylist()) == (rows, ["four", "0123", "x"][:rows])


def test_what_no_kernel_reads_is_refused() -> None:
    """Lists have another way, and so have arrays with nulls."""
    with pytest.raises(InternalError):
        objects_to_columns(pa.array([b"{}"]), {}, [pa.list_(pa.int64())])
    with pytest.raises(InternalError):
        objects_to_columns(pa.array([b"{}"]), {"a": (pa.list_(pa.int64()), None)}, [])
    with pytest.raises(InternalError):
        objects_to_columns(pa.array([b"{}"]), {"a": (pa.string(), 0)}, [pa.int64()])
    with pytest.raises(InternalError):
        objects_to_columns(pa.array([b"{}", None]), {}, [pa.int64()])


def test_columns_without_a_key_are_null() -> None:
    """Also where there are no keys at all."""
    empty: dict[str, Any] = {}
    read, columns = objects_to_columns(pa.array([b"{}", b"{ }"]), empty, [pa.int64(), pa.string()])
    assert (read, [column.to_pylist() for column in columns]) == (2, [[None, None], [None, None]])
