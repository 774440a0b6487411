"""JSON in text."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

Call = Callable[..., Any]
DOC = '{"a": {"b": [1, 2.50, "x"], "c d": null}, "e-f": "t", "n": 12345678901234567890.10, "x": 1e5}'


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$.a.b[0]", "1"),
        ("$.a.b[1]", "2.50"),
        ("$.a.b[2]", "x"),
        ("$.a.b[3]", None),
        ("$.a.b", '[1,2.50,"x"]'),
        ('$.a["c d"]', "null"),
        ("$.e-f", "t"),
        ("$.n", "12345678901234567890.10"),
        ("$.x", "1E+5"),
        ("$.nope.deeper", None),
        ("$.e-f.deeper", None),
        ("$.a.b.c", None),
    ],
)
def test_extract(one: Call, path: str, expected: str | None) -> None:
    """Strings come as they are, everything else as compact JSON with its digits; what is missing is null."""
    assert one("EXTRACTJSONFIELD", "STRING;STRING", DOC, path) == expected


@pytest.mark.parametrize("path", ["a.b", "$.a[", "$..a", '$["a', "$.a]"])
def test_bad_paths_fail(fails: Call, path: str) -> None:
    """A path that cannot be read is an error of the row."""
    assert "path" in fails("EXTRACTJSONFIELD", "STRING;STRING", DOC, path)


def test_bad_json_fails(fails: Call, one: Call) -> None:
    """Text that is not JSON fails; blank text is just nothing."""
    for text in ("{", "NaN", "{'a': 1}", "[1,]", "abc", "[" * 100_000):
        assert "JSON" in fails("EXTRACTJSONFIELD", "STRING;STRING", text, "$.a")
    assert one("EXTRACTJSONFIELD", "STRING;STRING", " ", "$.a") is None


def test_is_json_string(call: Call) -> None:
    """Null, blank and broken text are not JSON; a bare value is, and what stands behind it is not looked at."""
    rows = [("1",), ("abc",), ('"abc"',), ("",), (None,), ("null",), ("[1] x",)]
    assert call("IS_JSON_STRING", ["STRING"], *rows).values == [True, False, True, False, False, True, True]


def test_array_contains(one: Call) -> None:
    """Values are found by type and value, on the top level only."""
    array = '["Pink", 1, 2.0, true, null, [7]]'
    assert one("JSON_ARRAY_CONTAINS", "STRING;STRING", array, "Pink")
    assert one("JSON_ARRAY_CONTAINS", "STRING;INT", array, 1)
    assert not one("JSON_ARRAY_CONTAINS", "STRING;INT", array, 7)
    assert one("JSON_ARRAY_CONTAINS", "STRING;DOUBLE", array, 2.0)
    assert not one("JSON_ARRAY_CONTAINS", "STRING;BIGINT", array, 2)
    assert one("JSON_ARRAY_CONTAINS", "STRING;DECIMAL(2,1)", array, Decimal("2.0"))
    assert one("JSON_ARRAY_CONTAINS", "STRING;BOOLEAN", array, True)
    assert one("JSON_ARRAY_CONTAINS", "STRING;STRING", array, None)
    assert one("JSON_ARRAY_CONTAINS", "STRING;DATE", array, date(1970, 1, 2)) is False
    assert one("JSON_ARRAY_CONTAINS", "STRING;STRING", "{}", "a") is False
    assert one("JSON_ARRAY_CONTAINS", "STRING;STRING", None, "a") is False


def test_array_contains_a_bare_null(functions: Call) -> None:
    """NULL needs no type to be looked for."""
    assert functions("JSON_ARRAY_CONTAINS('[1, null]', NULL)", (), {}) is True
    assert functions("JSON_ARRAY_CONTAINS('[1]', NULL)", (), {}) is False


def test_parts(one: Call) -> None:
    """Length, items, keys and records; null for another kind of value."""
    assert one("JSON_ARRAY_LENGTH", "STRING", "[1,[2]]") == 2
    assert one("JSON_ARRAY_LENGTH", "STRING", "{}") is None
    assert one("JSON_ITEMS", "STRING", '[{"a": 1}, [2], null]') == ['{"a":1}', "[2]", "null"]
    assert one("JSON_KEYS", "STRING", '{"b": 1, "a": 2}') == ["b", "a"]
    assert one("JSON_KEYS", "STRING", "[]") is None
    assert one("JSON_RECORDS", "STRING", '{"a": 1, "b": "x"}') == {"a": "1", "b": "x"}


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ('{"a": 1}', '{"a": {"3": 4}, "b": 2}', '{"a":{"3":4},"b":2}'),
        ("[1, 2]", '{"a": 1}', '[1,2,{"a":1}]'),
        ("null", "null", "[null,null]"),
        ("[1]", "[[2]]", "[1,[2]]"),
        ("1", "", None),
        (None, "[1]", None),
    ],
)
def test_concat(one: Call, left: str | None, right: str | None, expected: str | None) -> None:
    """Objects are merged, everything else becomes one array, null and blank text give null."""
    assert one("JSON_CONCAT", "STRING;STRING", left, right) == expected


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        ("STRING", 'a"b', '"a\\"b"'),
        ("BOOLEAN", True, "true"),
        ("DOUBLE", 123.456, "123.456"),
        ("DOUBLE", float("nan"), '"NaN"'),
        ("DECIMAL(6,3)", Decimal("1.500"), "1.500"),
        ("BYTES", b"!", '"IQ=="'),
        ("DATE", -1, '"1969-12-31"'),
        ("TIME", 60_220_000, '"16:43:40"'),
        ("TIMESTAMP", 60_220_000_000, '"1971-11-28T23:46:40.000"'),
        ("ARRAY<DATE>", [0, None], '["1970-01-01",null]'),
        ("STRUCT<B INT, A TIMESTAMP>", {"B": 1, "A": 0}, '{"A":"1970-01-01T00:00:00.000","B":1}'),
        ("MAP<STRING, ARRAY<INT>>", {"z": [1], "a": None}, '{"a":null,"z":[1]}'),
        ("INT", None, "null"),
    ],
)
def test_to_json_string(one: Call, type_: str, value: Any, expected: str) -> None:
    """All types have a text; keys are sorted and null is a word."""
    assert one("TO_JSON_STRING", type_, value) == expected
