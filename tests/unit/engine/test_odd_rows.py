"""Containers whose values could get lost on the way in: kept, or refused with the row and the column."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pydantic
import pytest

import penstock

STREAM = "CREATE STREAM s (id INT KEY, v {}) WITH (KAFKA_TOPIC = 's', VALUE_FORMAT = 'JSON', PARTITIONS = 1);"


def _stored(type_: str, rows: Any) -> list[Any]:
    with penstock.connect(threads=0) as db:
        db.execute(STREAM.format(type_))
        db.insert("s", rows)
        return db.sql("SELECT id, v FROM s;").fetchall()


def _refused(type_: str, rows: Any) -> str:
    with pytest.raises(penstock.StatementError) as caught:
        _stored(type_, rows)
    return str(caught.value)


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string()], ids=str)
def test_texts_that_are_no_utf8_are_refused(type_: Any) -> None:
    """They were written, and the row was then skipped by every reader."""
    raw = pa.large_binary() if type_ == pa.large_string() else pa.binary()
    values = pa.array([b"a", b"b", b"\xff\xfe", b"c"], raw).view(type_)
    message = _refused("STRING", pa.table({"id": [1, 2, 3, 4], "v": values}))
    assert "row 3, column V" in message
    assert "xff" in message
    nested = pa.ListArray.from_arrays([0, 1, 3, 4], values)
    assert "row 2, column V" in _refused("ARRAY<STRING>", pa.table({"id": [1, 2, 3], "v": nested}))


def test_times_beyond_their_day_and_dates_with_hours_are_refused() -> None:
    """Arrow can hold them; a value of another day was stored."""
    times = pa.array([1, 86_400], pa.int32()).view(pa.time32("s"))
    assert "row 2, column V of S: 86400" in _refused("TIME", pa.table({"id": [1, 2], "v": times}))
    dates = pa.array([86_400_000, 86_400_001], pa.int64()).view(pa.date64())
    assert "row 2, column V of S: 86400001" in _refused("DATE", pa.table({"id": [1, 2], "v": dates}))


def test_a_key_of_a_map_that_is_given_twice_is_refused_from_arrow_too() -> None:
    """As from Python, whatever the width of the values; slices and nulls change nothing."""
    for item in (pa.int64(), pa.int32(), pa.int8()):
        maps = pa.array([[("z", 0)], None, [("a", 1), ("b", 3)], [("a", 1), ("a", 2)]], pa.map_(pa.string(), item))
        assert "row 4, column V" in _refused("MAP<STRING, INT>", pa.table({"id": [1, 2, 3, 4], "v": maps}))
        whole = pa.table({"id": [1, 2], "v": maps[1:3]})
        assert _stored("MAP<STRING, INT>", whole) == [(1, None), (2, {"a": 1, "b": 3})]


def test_run_ends_over_anything() -> None:
    """Arrow's own kernel does not decode dictionaries, views and lists."""
    for values in (pa.array(["x", "y"]).dictionary_encode(), pa.array(["x", "y"], pa.string_view())):
        runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 4], pa.int16()), values)
        assert _stored("STRING", pa.table({"id": [1, 2, 3], "v": runs[1:]})) == [(1, "x"), (2, "y"), (3, "y")]
    lists = pa.RunEndEncodedArray.from_arrays(pa.array([1, 2], pa.int64()), pa.array([[1], None]))
    assert _stored("ARRAY<INT>", pa.table({"id": [1, 2], "v": lists})) == [(1, [1]), (2, None)]


def test_extra_fields_of_pydantic_objects_are_fields() -> None:
    """They were left out; unknown ones are refused as in dicts."""

    class Row(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="allow")
        id: int

    assert _stored("INT", [Row.model_validate({"id": 1, "v": 3})]) == [(1, 3)]
    assert "no column w" in _refused("INT", [Row.model_validate({"id": 1, "w": 3})])


def test_pandas_index_arrays_and_single_rows() -> None:
    """The keys of ``groupby`` are in the index; a row of a frame is a row; arrays with missing values are columns."""
    grouped = pd.DataFrame({"id": [7, 7, 8], "v": [1, 2, 3]}).groupby("id").sum()
    assert _stored("BIGINT", grouped) == [(7, 3), (8, 3)]
    assert _stored("BIGINT", grouped.rename_axis("other")) == [(None, 3), (None, 3)]
    frame = pd.DataFrame({"id": [7, 8], "v": [1, 2]})
    assert _stored("BIGINT", frame.iloc[0]) == [(7, 1)]
    assert _stored("BIGINT", [row for _, row in frame.iterrows()]) == [(7, 1), (8, 2)]
    for values in (pd.array([1, None], "Int64"), pd.Categorical([1, None]), pd.arrays.SparseArray([1.0, np.nan])):
        assert _stored("BIGINT", {"id": [1, 2], "v": values}) == [(1, 1), (2, None)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"id": 1, "v": [("a", 2)]}, [(1, {"a": 2})]),
        ({"id": 1, "v": []}, [(1, {})]),
        ({"id": [1], "v": [[("a", 2)]]}, [(1, {"a": 2})]),
        ({"v": [("a", 2), ("b", None)]}, [(None, {"a": 2, "b": None})]),
        ({"v": [[("a", 2)], {"b": 1}, None, []]}, [(None, {"a": 2}), (None, {"b": 1}), (None, None), (None, {})]),
        ((1, [("a", 2)]), [(1, {"a": 2})]),
    ],
)
def test_a_map_of_pairs_in_a_row_by_itself(given: Any, expected: list[Any]) -> None:
    """It is one row, as with a dict for the map; columns of maps are still columns."""
    assert _stored("MAP<STRING, INT>", given) == expected
