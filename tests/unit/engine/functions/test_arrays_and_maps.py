"""Arrays, maps and table functions."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from penstock.engine.functions import load_built_ins

Call = Callable[..., Any]


def test_concat_takes_the_one_that_is_there(call: Call) -> None:
    """A null array counts as absent; two give null."""
    types = ["ARRAY<INT>", "ARRAY<INT>"]
    assert call("ARRAY_CONCAT", types, ([1, 1], [1]), (None, [2]), ([3], None), (None, None)).values == [
        [1, 1, 1],
        [2],
        [3],
        None,
    ]


@pytest.mark.parametrize(
    ("name", "expected"), [("ARRAY_UNION", [0, None, 1, -2]), ("ARRAY_EXCEPT", [0]), ("ARRAY_INTERSECT", [None, 1])]
)
def test_set_functions(call: Call, name: str, expected: list[Any]) -> None:
    """Results are distinct, in the order of first occurrence, with null as an item like others; null arrays give null."""
    rows = [([0, None, 1, 0], [None, 1, -2, 1]), (None, [1]), ([1], None)]
    assert call(name, ["ARRAY<INT>", "ARRAY<INT>"], *rows).values == [expected, None, None]


def test_distinct_of_nested_items(call: Call) -> None:
    """Arrays, maps and structs are compared by value."""
    rows = [([{"a": 1, "b": 2}, {"b": 2, "a": 1}, None, {"a": 1}],)]
    assert call("ARRAY_DISTINCT", ["ARRAY<MAP<STRING, INT>>"], *rows).values == [[{"a": 1, "b": 2}, None, {"a": 1}]]
    assert call("ARRAY_DISTINCT", ["ARRAY<ARRAY<INT>>"], ([[1], [1], []],)).values == [[[1], []]]


def test_contains(call: Call) -> None:
    """Null may be looked for; a null array holds nothing; nested items are compared by value."""
    rows = [([1, 2], 2), ([1], 2), (None, 1), ([1, None], None), ([1], None), ([], 1)]
    assert call("ARRAY_CONTAINS", ["ARRAY<INT>", "INT"], *rows).values == [True, False, False, True, False, False]
    assert call("ARRAY_CONTAINS", ["ARRAY<STRING>", "STRING"], (["a"], "a"), (["b"], "a"), (None, "a")).values == [
        True,
        False,
        False,
    ]
    assert call("ARRAY_CONTAINS", ["ARRAY<ARRAY<INT>>", "ARRAY<INT>"], ([[1], [2]], [2]), ([[1]], [3])).values == [
        True,
        False,
    ]


def test_remove(call: Call) -> None:
    """All equal items go; null removes nulls."""
    rows = [([1, 2, 1], 1), ([None, 1], None), (None, 1), ([], 1)]
    assert call("ARRAY_REMOVE", ["ARRAY<INT>", "INT"], *rows).values == [[2], [1], None, []]


def test_join(one: Call) -> None:
    """Items are written as Java writes them; null is a word, a null delimiter is empty."""
    assert one("ARRAY_JOIN", "ARRAY<DOUBLE>;STRING", [1.23, -2.0, 1e7], " ") == "1.23 -2.0 1.0E7"
    assert one("ARRAY_JOIN", "ARRAY<BOOLEAN>", [True, None]) == "true,null"
    assert one("ARRAY_JOIN", "ARRAY<INT>;STRING", [1, 23], None) == "123"
    assert one("ARRAY_JOIN", "ARRAY<DECIMAL(9,7)>", [Decimal("0.0000001")]) == "0.0000001"


def test_length_minimum_maximum(call: Call) -> None:
    """Nulls count for the length, and for nothing else."""
    rows = [([1, None, 3],), ([],), (None,), ([None],)]
    assert call("ARRAY_LENGTH", ["ARRAY<INT>"], *rows).values == [3, 0, None, 1]
    assert call("ARRAY_MAX", ["ARRAY<INT>"], *rows).values == [3, None, None, None]
    assert call("ARRAY_MIN", ["ARRAY<INT>"], *rows).values == [1, None, None, None]


def test_sort(call: Call) -> None:
    """Nulls come last in both directions; an unknown direction gives null."""
    rows = [([3, None, 1], "asc"), ([3, None, 1], "DESCENDING"), ([1], "up"), (None, "ASC")]
    assert call("ARRAY_SORT", ["ARRAY<INT>", "STRING"], *rows).values == [[1, 3, None], [3, 1, None], None, None]
    assert call("ARRAY_SORT", ["ARRAY<STRING>"], (["foo", "Food", "F"],)).values == [["F", "Food", "foo"]]


def test_slice(call: Call, fails: Call) -> None:
    """Both ends are included, null ends are open, out of range is null, a reversed slice fails."""
    items = [1, 2, 3, 4]
    rows = [(items, 2, 3), (items, None, 2), (items, 3, None), (items, 0, 2), (items, 2, 9), (None, 1, 1), (items, 3, 2)]
    assert call("SLICE", ["ARRAY<INT>", "INT", "INT"], *rows).values == [[2, 3], [1, 2], [3, 4], None, None, None, []]
    assert "slice" in fails("SLICE", "ARRAY<INT>;INT;INT", items, 4, 1)


def test_generate_series(call: Call, one: Call, fails: Call) -> None:
    """Both ends are included; the step goes the way of the ends by default."""
    assert call("GENERATE_SERIES", ["INT", "INT"], (1, 3), (3, 1), (2, 2)).values == [[1, 2, 3], [3, 2, 1], [2]]
    assert one("GENERATE_SERIES", "BIGINT;BIGINT;INT", 0, 5, 2) == [0, 2, 4]
    assert one("GENERATE_SERIES", "INT;INT;INT", 5, 0, -3) == [5, 2]
    assert "0" in fails("GENERATE_SERIES", "INT;INT;INT", 1, 2, 0)
    assert "steps" in fails("GENERATE_SERIES", "INT;INT;INT", 1, 2, -1)
    assert "limit" in fails("GENERATE_SERIES", "BIGINT;BIGINT", 0, 2**40)


def test_as_map(call: Call, fails: Call) -> None:
    """Missing values are null, more values than keys are passed over, a null key fails."""
    rows = [(["a", "b"], [1]), (["a"], [1, 2]), (["a", "a"], [1, 2]), (None, [1])]
    assert call("AS_MAP", ["ARRAY<STRING>", "ARRAY<INT>"], *rows).values == [{"a": 1, "b": None}, {"a": 1}, {"a": 2}, None]
    assert "null key" in fails("AS_MAP", "ARRAY<STRING>;ARRAY<INT>", [None], [1])


def test_maps(call: Call, one: Call) -> None:
    """Keys, values, entries and unions."""
    assert one("MAP_KEYS", "MAP<STRING, INT>", {"b": 1, "a": None}) == ["a", "b"]
    assert one("MAP_VALUES", "MAP<STRING, INT>", {"b": 1, "a": None}) == [None, 1]
    assert one("ENTRIES", "MAP<STRING, INT>;BOOLEAN", {"b": 1, "a": 2}, True) == [{"K": "a", "V": 2}, {"K": "b", "V": 1}]
    rows = [({"a": 1, "b": 2}, {"a": None}), (None, {"a": 1}), ({"a": 1}, None), (None, None)]
    types = ["MAP<STRING, INT>", "MAP<STRING, INT>"]
    assert call("MAP_UNION", types, *rows).values == [{"a": None, "b": 2}, {"a": 1}, {"a": 1}, None]


def test_maps_are_walked_in_hash_order(one: Call) -> None:
    """Keys come by the low bits of their hashes."""
    for given, expected in (("bac", "abc"), (["yes, thanks", "nope", "sure, yeah"], ["yes, thanks", "sure, yeah", "nope"])):
        assert one("MAP_KEYS", "MAP<STRING, INT>", dict.fromkeys(given, 1)) == list(expected)


def test_entries_behind_an_offset() -> None:
    """A map column may begin within its entries, which Arrow's `keys` and `items` pass over."""
    type_ = pa.map_(pa.string(), pa.int32())
    columns = [pa.array(["x", "a", "b"]), pa.array([0, 1, 2], pa.int32())]
    entries = pa.StructArray.from_arrays(columns, fields=[type_.key_field, type_.item_field])
    offsets = pa.array([0, 1, 2], pa.int32()).buffers()[1]
    function = load_built_ins().find("MAP_KEYS")
    assert function is not None
    maps = pa.Array.from_buffers(type_, 2, [None, offsets], children=[entries.slice(1)])
    assert function.overloads[0].implementation(maps).to_pylist() == [["a"], ["b"]]


def test_cube_explode() -> None:
    """All ways of blanking items, all nulls first; an item that is null adds none; too many items fail."""
    function = load_built_ins().find("CUBE_EXPLODE")
    assert function is not None
    arrays = pa.array([[1, 2], [1, None], [], None, list(range(21)), [7]], pa.list_(pa.int32()))
    made = function.overloads[0].implementation(arrays)
    made.values.validate(full=True)
    assert made.values.to_pylist() == [
        [[None, None], [None, 2], [1, None], [1, 2]],
        [[None, None], [1, None]],
        [[]],
        None,
        None,
        [[None], [7]],
    ]
    assert made.failures.rows.tolist() == [4]
    assert "20" in made.failures.reasons[0]
