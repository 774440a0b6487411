"""CAST, cell by cell of its table."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from penstock.engine import types as t
from penstock.engine.expressions.casts import can_cast
from penstock.engine.expressions.values import from_python
from penstock.engine.java.decimals import rounded_to_type

D = Decimal


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        (2147483648, "BIGINT", "INT", -2147483648),
        (7, "INT", "BIGINT", 7),
        (7, "INT", "DOUBLE", 7.0),
        (-1.9, "DOUBLE", "INT", -1),
        (1e20, "DOUBLE", "INT", 2147483647),
        (-1e30, "DOUBLE", "BIGINT", -(2**63)),
        (float("nan"), "DOUBLE", "BIGINT", 0),
        (10, "INT", "DECIMAL(2,1)", "failed"),
        (-1, "INT", "DECIMAL(2,1)", D("-1.0")),
        (2**62, "BIGINT", "DECIMAL(20,1)", D(2**62)),
        (5, "BIGINT", "DECIMAL(76,60)", D(5)),
        (0.99, "DOUBLE", "DECIMAL(2,1)", D("1.0")),
        (0.25, "DOUBLE", "DECIMAL(2,1)", D("0.3")),
        (-0.25, "DOUBLE", "DECIMAL(2,1)", D("-0.3")),
        (float("inf"), "DOUBLE", "DECIMAL(2,1)", "failed"),
        (D("10.12"), "DECIMAL(4,2)", "DECIMAL(5,3)", D("10.120")),
        (D("10.15"), "DECIMAL(4,2)", "DECIMAL(3,1)", D("10.2")),
        (D("99.95"), "DECIMAL(4,2)", "DECIMAL(3,1)", "failed"),
        (D("10.99"), "DECIMAL(4,2)", "INT", 10),
        (D("4294967297.5"), "DECIMAL(12,2)", "INT", 1),
        (D("0.01"), "DECIMAL(4,2)", "DOUBLE", 0.01),
        (D("12345678901234567.89"), "DECIMAL(19,2)", "DOUBLE", 12345678901234567.89),
        (-1, "INT", "STRING", "-1"),
        (1e7, "DOUBLE", "STRING", "1.0E7"),
        (D("0.00"), "DECIMAL(4,2)", "STRING", "0.00"),
        (D("0.00000001"), "DECIMAL(9,8)", "STRING", "0.00000001"),
        (True, "BOOLEAN", "STRING", "true"),
        ("Ye", "STRING", "BOOLEAN", True),
        ("nope", "STRING", "BOOLEAN", False),
        (" 12 ", "STRING", "INT", 12),
        ("\x0112\t", "STRING", "BIGINT", 12),
        ("\xa012", "STRING", "INT", "failed"),
        ("\u20031.5", "STRING", "DOUBLE", "failed"),
        ("\x0b1.5\x00", "STRING", "DECIMAL(2,1)", D("1.5")),
        ("\uff15", "STRING", "DATE", "failed"),
        ("2147483648", "STRING", "INT", "failed"),
        ("1.5", "STRING", "INT", "failed"),
        ("z", "STRING", "BIGINT", "failed"),
        ("1e3", "STRING", "DOUBLE", 1000.0),
        ("NaN", "STRING", "DOUBLE", "failed"),
        ("1e999", "STRING", "DOUBLE", "failed"),
        ("0.99", "STRING", "DECIMAL(2,1)", D("1.0")),
        ("99.99", "STRING", "DECIMAL(2,1)", "failed"),
        ("1970-01", "STRING", "DATE", 0),
        ("1970-02-30", "STRING", "DATE", "failed"),
        ("1969-12-31", "STRING", "DATE", -1),
        ("10:11", "STRING", "TIME", 36660000),
        ("10:11:12.345678", "STRING", "TIME", 36672345),
        ("25:00", "STRING", "TIME", "failed"),
        ("2022-04-28T21:44:47.943Z", "STRING", "TIMESTAMP", 1651182287943),
        ("2022-04-28T21:44:47.943+0100", "STRING", "TIMESTAMP", 1651178687943),
        ("2022", "STRING", "TIMESTAMP", 1640995200000),
        ("later", "STRING", "TIMESTAMP", "failed"),
        ("aGk=", "STRING", "BYTES", b"hi"),
        ("?", "STRING", "BYTES", "failed"),
        (-2000, "TIMESTAMP", "DATE", -1),
        (-2000, "TIMESTAMP", "TIME", 86398000),
        (1651182287943, "TIMESTAMP", "STRING", "2022-04-28T21:44:47.943"),
        (-1, "DATE", "TIMESTAMP", -86400000),
        (10, "DATE", "STRING", "1970-01-11"),
        (36660999, "TIME", "STRING", "10:11"),
        (36672345, "TIME", "STRING", "10:11:12"),
        ([1, 2147483648, None], "ARRAY<BIGINT>", "ARRAY<INT>", [1, -2147483648, None]),
        (["1", "z"], "ARRAY<STRING>", "ARRAY<INT>", "failed"),
        ({"this": 2147483648}, "MAP<STRING, BIGINT>", "MAP<STRING, INT>", {"this": -2147483648}),
        ({"z": 1}, "MAP<STRING, INT>", "MAP<INT, INT>", "failed"),
        ({"F0": 1, "F1": "3"}, "STRUCT<F0 BIGINT, F1 STRING>", "STRUCT<F0 STRING, F3 STRING>",
         {"F0": "1", "F3": None}),
        ([1, 3], "ARRAY<INT>", "STRING", "[1, 3]"),
        ([[1.0, None]], "ARRAY<ARRAY<DOUBLE>>", "STRING", "[[1.0, null]]"),
        ({"k": 1}, "MAP<STRING, INT>", "STRING", "{k=1}"),
        ({"F0": 1, "f1": 3}, "STRUCT<F0 INT, `f1` INT>", "STRING", "Struct{F0=1,f1=3}"),
        ({"F0": None, "f1": 3}, "STRUCT<F0 INT, `f1` INT>", "STRING", "Struct{f1=3}"),
    ],
)  # fmt: skip
def test_cast(bench: Any, value: Any, source: str, target: str, expected: Any) -> None:
    """Each pair of types, inside a column with a null and another row's neighbours."""
    result = bench.run(f"CAST(A AS {target})", [None, value, value], A=source)
    assert result.values[0] is None
    if expected == "failed":
        assert result.values[1:] == [None, None]
        assert sorted(result.failed) == [1, 2]
    else:
        assert result.values[1:] == [expected, expected]
        assert not result.failed


def test_one_bad_item_fails_its_row_only(bench: Any) -> None:
    """A nested cast that fails empties its own row."""
    result = bench.run("CAST(A AS ARRAY<INT>)", [["1"], ["x", "2"], None, [], ["3"]], A="ARRAY<STRING>")
    assert result.values == [[1], None, None, [], [3]]
    assert list(result.failed) == [1]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (t.BYTES, t.STRING),
        (t.BIGINT, t.TIMESTAMP),
        (t.BOOLEAN, t.INTEGER),
        (t.STRING, t.Map(t.STRING, t.INTEGER)),
        (t.TIME, t.TIMESTAMP),
        (t.Array(t.BYTES), t.Array(t.STRING)),
        (t.Struct((("A", t.BOOLEAN),)), t.Struct((("A", t.INTEGER),))),
    ],
)
def test_casts_that_are_refused(source: t.SqlType, target: t.SqlType) -> None:
    """What the table does not allow is not allowed."""
    assert not can_cast(source, target)


def test_doubles_round_as_their_text_says(bench: Any) -> None:
    """Half up on the shortest text of the double: 0.285 becomes 0.29 although it is a little less than that."""
    values = [0.285, -0.285, 1.005, 2.5, 0.004999999, 0.005, None, 99999.994, 99999.995, -1e9, float("nan"), 12345.67]
    result = bench.run("CAST(A AS DECIMAL(7,2))", values, A="DOUBLE")
    expected = ["0.29", "-0.29", "1.01", "2.50", "0.00", "0.01", None, "99999.99", None, None, None, "12345.67"]
    assert result.values == [None if e is None else D(e) for e in expected]
    assert sorted(result.failed) == [8, 9, 10]


def test_casts_that_fail_are_null_and_say_why(bench: Any) -> None:
    """The reason names the cast and the text."""
    result = bench.run("CAST(A AS INT)", ["z"], A="STRING")
    assert result.failed[0] == "CAST(A AS INTEGER): 'z' is not an integer"


@pytest.mark.parametrize("value", [Decimal("1.005"), 1.005, "1.005", Decimal("1.015"), Decimal("-1.005"), Decimal("2.5e-3")])
def test_a_decimal_that_a_function_gives_is_rounded_as_in_a_cast(value: Any) -> None:
    """Half up, away from zero, alone and in lists; it was half to even."""
    type_ = t.Decimal(10, 2)
    wanted = rounded_to_type(Decimal(str(value)), type_)
    for number in (value, Decimal(str(value)) + 3):
        array, failures = from_python([number], type_)
        assert failures is None and array.to_pylist() == [rounded_to_type(Decimal(str(number)), type_)]
    array, failures = from_python([[value]], t.Array(type_))
    assert failures is None and array.to_pylist() == [[wanted]]
    assert from_python([Decimal("99999999.995")], type_)[1] is not None
