"""Arrow columns that hold many values in few bytes: what they become is known before, and has a bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock import connect
from penstock.engine.intake import rows
from penstock.engine.intake.unfolded import unfolded_bytes
from penstock.errors import StatementError

MANY = 1_000_000
TEXT = "x" * 1_000_000


def views(text: str, count: int) -> pa.Array:
    """So many views of one text."""
    one = pa.array([text], pa.string_view()).buffers()
    repeated = np.tile(np.frombuffer(one[1], np.uint8)[:16], count)
    return pa.Array.from_buffers(pa.string_view(), count, [None, pa.py_buffer(repeated), *one[2:]])


def list_views(items: pa.Array, count: int, large: bool = False) -> pa.Array:
    """So many views of one list."""
    whole = pa.int64() if large else pa.int32()
    starts, sizes = pa.array(np.zeros(count), whole), pa.array(np.full(count, len(items)), whole)
    return (pa.LargeListViewArray if large else pa.ListViewArray).from_arrays(starts, sizes, items)


def runs(value: Any, count: int) -> pa.Array:
    return pa.RunEndEncodedArray.from_arrays(pa.array([count], pa.int64()), value)


def dictionary(value: Any, count: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int8)), value)


def lists(items: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array([0, len(items)], pa.int32()), items)


BOMBS: dict[str, Callable[[], tuple[str, pa.Array]]] = {
    "nulls": lambda: ("V", pa.nulls(10**10)),
    "texts of a dictionary": lambda: ("T", dictionary(pa.array([TEXT]), MANY)),
    "runs": lambda: ("V", runs(pa.array([1]), 2**40)),
    "runs of a text": lambda: ("T", runs(pa.array([TEXT]), MANY)),
    "views of a list": lambda: ("A", list_views(pa.array(np.arange(10_000, dtype=np.int32)), MANY)),
    "large views of a list": lambda: ("A", list_views(pa.array(np.arange(10_000, dtype=np.int32)), MANY, large=True)),
    "views of a text": lambda: ("T", views(TEXT, MANY)),
    "no bytes": lambda: ("B", pa.Array.from_buffers(pa.binary(0), 2**40, [None, pa.py_buffer(b"")])),
    "no fields": lambda: ("ST", pa.Array.from_buffers(pa.struct([]), 2**40, [None])),
    "a list of runs": lambda: ("TS", lists(runs(pa.array([TEXT]), MANY))),
    "a list of nulls": lambda: ("A", pa.ListArray.from_arrays(pa.array([0, 2**31 - 1], pa.int32()), pa.nulls(2**31 - 1))),
    "a struct of a dictionary": lambda: (
        "ST",
        pa.StructArray.from_arrays([pa.nulls(MANY, pa.int32()), dictionary(pa.array([TEXT]), MANY)], ["X", "Y"]),
    ),
    "a dictionary of a dictionary": lambda: ("T", dictionary(dictionary(pa.array([TEXT]), 100), MANY)),
    "views of lists of views": lambda: ("TS", list_views(views(TEXT, 100), MANY)),
    "runs of a dictionary of lists": lambda: ("TS", runs(lists(dictionary(pa.array([TEXT]), 100)), MANY)),
    "a dictionary in chunks": lambda: ("T", pa.chunked_array([dictionary(pa.array(["x" * 1000]), MANY)] * 4)),
    "a fixed list of nothing": lambda: (
        "A",
        pa.FixedSizeListArray.from_arrays(pa.nulls(2**31 - 1).cast(pa.null()), 2**31 - 1),
    ),
}
SOURCE = """
CREATE STREAM s (v INT, t STRING, b BYTES, a ARRAY<INT>, ts ARRAY<STRING>, st STRUCT<x INT, y STRING>)
    WITH (KAFKA_TOPIC = 's', VALUE_FORMAT = 'JSON', PARTITIONS = 1);
"""


@pytest.mark.parametrize("kind", BOMBS)
def test_what_would_become_too_large_is_refused(kind: str) -> None:
    """Before it is laid out."""
    name, column = BOMBS[kind]()
    with connect(threads=0) as db:
        db.execute(SOURCE)
        with pytest.raises(StatementError, match="INSERTED_BYTES_MAX"):
            db.insert("s", pa.table({name: column}))
        assert db.log.end_offset("s", 0) == 0


SMALL: dict[str, Callable[[], tuple[str, pa.Array, list[Any]]]] = {
    "nulls": lambda: ("V", pa.nulls(3), [None] * 3),
    "dictionary": lambda: ("T", pa.array(["a", None, "bb", "a"]).dictionary_encode().slice(1), [None, "bb", "a"]),
    "runs": lambda: ("V", pa.RunEndEncodedArray.from_arrays(pa.array([2, 5]), pa.array([7, 8])).slice(1, 3), [7, 8, 8]),
    "views": lambda: ("T", pa.array(["a", None, "x" * 30], pa.string_view()).slice(1), [None, "x" * 30]),
    "list views": lambda: ("A", list_views(pa.array([1, 2], pa.int32()), 3).slice(1), [[1, 2]] * 2),
    "fixed lists": lambda: ("A", pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int32(), 2)).slice(1), [None, [3, 4]]),
    "nested": lambda: ("TS", lists(dictionary(pa.array(["a"]), 2)), [["a", "a"]]),
    "nothing": lambda: ("V", pa.nulls(0), []),
}


@pytest.mark.parametrize("kind", SMALL)
def test_what_fits_is_stored(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a column takes is enough, and a bound below what its plain values take is not."""
    name, column, values = SMALL[kind]()
    with connect(threads=0) as db:
        db.execute(SOURCE)
        db.insert("s", pa.table({name: column}))
        assert [row[0] for row in db.sql(f"SELECT {name} FROM s;")] == values
        if values:
            monkeypatch.setattr(rows, "INSERTED_BYTES_MAX", 1)
            with pytest.raises(StatementError, match="INSERTED_BYTES_MAX"):
                db.insert("s", pa.table({name: column}))


def test_plain_columns_have_no_bound() -> None:
    """They are as large as they are."""
    for column in (pa.array([1, 2]), pa.array(["a"]), pa.array([["a"], []]), pa.array([{"x": 1}])):
        assert unfolded_bytes(column) == 0
