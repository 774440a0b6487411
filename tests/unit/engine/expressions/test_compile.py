"""Compiled expressions: values, nulls and failures, row for row."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.engine import types as t
from penstock.engine.expressions import nodes as n
from penstock.engine.expressions.compile import compile_expression
from penstock.engine.expressions.like import like_matcher, like_regex
from penstock.errors import Span

D = Decimal
SPAN = Span(0, 0)
INT_MIN = -(2**31)
LONG_MIN = -(2**63)


@pytest.mark.parametrize(
    ("sql", "row", "columns", "expected"),
    [
        ("A + B", (2**31 - 1, 1), {"A": "INT", "B": "INT"}, INT_MIN),
        ("A * B", (2**62, 2), {"A": "BIGINT", "B": "INT"}, LONG_MIN),
        ("A - B", (1, 2**40), {"A": "INT", "B": "BIGINT"}, 1 - 2**40),
        ("A / 2", (-7,), {"A": "INT"}, -3),
        ("A / -1", (INT_MIN,), {"A": "INT"}, INT_MIN),
        ("A / -1", (LONG_MIN,), {"A": "BIGINT"}, LONG_MIN),
        ("A % 3", (-7,), {"A": "INT"}, -1),
        ("A % -3", (7,), {"A": "BIGINT"}, 1),
        ("A / 0", (7,), {"A": "INT"}, "failed"),
        ("A % 0", (7,), {"A": "BIGINT"}, "failed"),
        ("A / 0", (7.0,), {"A": "DOUBLE"}, float("inf")),
        ("A / 2", (7,), {"A": "DOUBLE"}, 3.5),
        ("A % 2.5e0", (-7.0,), {"A": "DOUBLE"}, -2.0),
        ("A + 1", (None,), {"A": "INT"}, None),
        ("-A", (INT_MIN,), {"A": "INT"}, INT_MIN),
        ("-A", (D("1.50"),), {"A": "DECIMAL(3, 2)"}, D("-1.50")),
        ("-A", (None,), {"A": "INT"}, None),
        ("+A", (5,), {"A": "INT"}, 5),
        ("A + B", (D("10.01"), D("5.1")), {"A": "DECIMAL(4,2)", "B": "DECIMAL(4,2)"}, D("15.11")),
        ("A + B", (D("10.01"), 3), {"A": "DECIMAL(4,2)", "B": "INT"}, D("13.01")),
        ("A * B", (D("-1.5"), D("2.25")), {"A": "DECIMAL(4,2)", "B": "DECIMAL(5,3)"}, D("-3.37500")),
        ("A / B", (D("10.10"), D("2.00")), {"A": "DECIMAL(4,2)", "B": "DECIMAL(4,2)"}, D("5.0500000")),
        ("A / B", (D("1"), D("3")), {"A": "DECIMAL(4,2)", "B": "DECIMAL(4,2)"}, "failed"),
        ("A / B", (D("1"), D("0")), {"A": "DECIMAL(4,2)", "B": "DECIMAL(4,2)"}, "failed"),
        ("A / B", (D("-10.1"), 4), {"A": "DECIMAL(10,2)", "B": "INT"}, D("-2.5250000000000")),
        ("A / B", (D("5.0"), 8), {"A": "DECIMAL(20,1)", "B": "INT"}, D("0.625000000000")),
        ("A / B", (D("5.0"), 7), {"A": "DECIMAL(20,1)", "B": "INT"}, "failed"),
        ("A / B", (None, 7), {"A": "DECIMAL(10,1)", "B": "INT"}, None),
        ("A % B", (D("-7.5"), D("2")), {"A": "DECIMAL(4,2)", "B": "DECIMAL(4,2)"}, D("-1.50")),
        ("A + 1e0", (D("1.5"),), {"A": "DECIMAL(4,2)"}, 2.5),
        ("A * B", (D(10) ** 29, D(10) ** 29), {"A": "DECIMAL(30,0)", "B": "DECIMAL(30,0)"}, D(10) ** 58),
        ("A + B", ("x", "y"), {"A": "STRING", "B": "STRING"}, "xy"),
        ("A || B", ("x", None), {"A": "STRING", "B": "STRING"}, "x"),
        ("A + 'y'", (None,), {"A": "STRING"}, "nully"),
        ("1 + 2 * 3", (), {}, 7),
        ("2.5 * 2", (), {}, D("5.0")),
        ("1 / 0", (), {}, "failed"),
        ("'a' || 'b'", (), {}, "ab"),
    ],
)  # fmt: skip
def test_arithmetic(bench: Any, sql: str, row: tuple[Any, ...], columns: dict[str, str], expected: Any) -> None:
    """Arithmetic gives Java's result, and fails where Java throws."""
    assert bench.one(sql, *row, **columns) == expected


@pytest.mark.parametrize(
    ("sql", "row", "columns", "expected"),
    [
        ("A = B", (1, 1.0), {"A": "INT", "B": "DOUBLE"}, True),
        ("A = B", (None, 1), {"A": "INT", "B": "INT"}, False),
        ("NOT (A = B)", (None, 1), {"A": "INT", "B": "INT"}, True),
        ("A <> 1", (None,), {"A": "INT"}, False),
        ("A <> 1", (float("nan"),), {"A": "DOUBLE"}, True),
        ("A = A", (float("nan"),), {"A": "DOUBLE"}, True),
        ("A <> A", (float("nan"),), {"A": "DOUBLE"}, False),
        ("A > B", (float("nan"), float("inf")), {"A": "DOUBLE", "B": "DOUBLE"}, True),
        ("A < B", (float("nan"), float("inf")), {"A": "DOUBLE", "B": "DOUBLE"}, False),
        ("A < B", (float("inf"), float("nan")), {"A": "DOUBLE", "B": "DOUBLE"}, True),
        ("A <= B", (float("nan"), float("nan")), {"A": "DOUBLE", "B": "DOUBLE"}, True),
        ("A >= B", (1.0, float("nan")), {"A": "DOUBLE", "B": "DOUBLE"}, False),
        ("A BETWEEN 0.5 AND B", (float("nan"), float("nan")), {"A": "DOUBLE", "B": "DOUBLE"}, True),
        ("A IN (B, 1.0)", (float("nan"), float("nan")), {"A": "DOUBLE", "B": "DOUBLE"}, True),
        ("A IN (0.0, 1.0)", (-0.0,), {"A": "DOUBLE"}, True),
        ("A IN (B)", (-0.0, 0.0), {"A": "DOUBLE", "B": "DOUBLE"}, True),
        ("A IS DISTINCT FROM B", (float("nan"), float("nan")), {"A": "DOUBLE", "B": "DOUBLE"}, False),
        ("A = B", ([float("nan"), -0.0], [float("nan"), 0.0]), {"A": "ARRAY<DOUBLE>", "B": "ARRAY<DOUBLE>"}, True),
        ("A <> B", ([float("nan")], [1.0]), {"A": "ARRAY<DOUBLE>", "B": "ARRAY<DOUBLE>"}, True),
        ("STRUCT(x := A) = STRUCT(x := B)", (float("nan"), float("nan")), {"A": "DOUBLE", "B": "DOUBLE"}, True),
        ("A = B", ({"k": float("nan")}, {"k": float("nan")}),
         {"A": "MAP<STRING, DOUBLE>", "B": "MAP<STRING, DOUBLE>"}, True),
        ("CASE A WHEN B THEN 'same' ELSE 'not' END = 'same'", (float("nan"), float("nan")),
         {"A": "DOUBLE", "B": "DOUBLE"}, True),
        ("A < 1.20", (D("1.19"),), {"A": "DECIMAL(4,3)"}, True),
        ("A > 1.5", (D(2),), {"A": "DECIMAL(38,0)"}, True),
        ("A = B", (D("1.5"), D("1.50")), {"A": "DECIMAL(38,30)", "B": "DECIMAL(30,2)"}, True),
        ("A < B", (2**62, D("0.5")), {"A": "BIGINT", "B": "DECIMAL(38,30)"}, False),
        ("A IN (1, 2.5)", (D("2.5"),), {"A": "DECIMAL(38,1)"}, True),
        ("A BETWEEN 0 AND B", (D(3), D("3.01")), {"A": "DECIMAL(38,0)", "B": "DECIMAL(20,10)"}, True),
        ("A <= 3.9", (3.9,), {"A": "DOUBLE"}, True),
        ("A < 'foo'", ("Foo",), {"A": "STRING"}, True),
        ("A IS DISTINCT FROM B", (None, 1), {"A": "INT", "B": "INT"}, True),
        ("A IS DISTINCT FROM B", (None, None), {"A": "INT", "B": "INT"}, False),
        ("A IS NOT DISTINCT FROM B", (None, None), {"A": "INT", "B": "INT"}, True),
        ("A IS DISTINCT FROM NULL", (None,), {"A": "INT"}, False),
        ("A = B", ([1, None], [1, None]), {"A": "ARRAY<INT>", "B": "ARRAY<BIGINT>"}, True),
        ("A = B", ({"k": 1}, {"k": 2}), {"A": "MAP<STRING, INT>", "B": "MAP<STRING, INT>"}, False),
        ("A <> B", ({"X": 1}, {"X": 2}), {"A": "STRUCT<X INT>", "B": "STRUCT<X INT>"}, True),
        ("A = B", (True, False), {"A": "BOOLEAN", "B": "BOOLEAN"}, False),
        ("A > B", (b"b", b"a"), {"A": "BYTES", "B": "BYTES"}, True),
        ("A > '1970-01-11'", (11,), {"A": "DATE"}, True),
        ("A = '1970-01-01T00:00:01'", (1000,), {"A": "TIMESTAMP"}, True),
        ("A = B", (1, 86_400_000), {"A": "DATE", "B": "TIMESTAMP"}, True),
        ("A >= '00:00:01'", (999,), {"A": "TIME"}, False),
        ("A = B", (1, "1970-01-02"), {"A": "DATE", "B": "STRING"}, True),
        ("A = B", (1, "soon"), {"A": "DATE", "B": "STRING"}, "failed"),
        ("ROWTIME > '2019-01-01T00:00:00+0445'", (1546283700001,), {"ROWTIME": "BIGINT"}, True),
        ("ROWTIME BETWEEN '2018' AND '2018-02'", (1514764800000,), {"ROWTIME": "BIGINT"}, True),
        ("A BETWEEN 2 AND 4", (4,), {"A": "INT"}, True),
        ("A NOT BETWEEN 2 AND 4", (None,), {"A": "INT"}, True),
        ("A BETWEEN B AND 5 / A", (0, 1), {"A": "INT", "B": "INT"}, False),
        ("A BETWEEN B AND 5 / A", (0, -1), {"A": "INT", "B": "INT"}, "failed"),
        ("A IN (1, 2.0, '4.000')", (4,), {"A": "INT"}, True),
        ("A IN (1, NULL)", (None,), {"A": "INT"}, False),
        ("A NOT IN (11, 20)", (10,), {"A": "INT"}, True),
        ("A IN (1, B + 1)", (1, None), {"A": "INT", "B": "INT"}, True),
        ("A IN (1, B + 1)", (2, None), {"A": "INT", "B": "INT"}, False),
        ("A IN (true, 10, '10.1', 10.30)", ("10.30",), {"A": "STRING"}, True),
        ("A IN (ARRAY[1,2], ARRAY['3', null])", ([3, None],), {"A": "ARRAY<BIGINT>"}, True),
        ("A IN (STRUCT(F0 := 10), STRUCT(`f0` := 20))", ({"F0": 20},), {"A": "STRUCT<F0 BIGINT>"}, False),
        ("A LIKE '%foo%'", ("barfoobaz",), {"A": "STRING"}, True),
        ("A LIKE 'f_o.'", ("foo.",), {"A": "STRING"}, True),
        ("A LIKE 'a%'", ("a\nb",), {"A": "STRING"}, True),
        ("A LIKE '_b'", ("\u2028b",), {"A": "STRING"}, True),
        ("A LIKE B", ("\r\n\u0085b", "%_b"), {"A": "STRING", "B": "STRING"}, True),
        ("A LIKE B", ("a\n", "a_"), {"A": "STRING", "B": "STRING"}, True),
        ("A LIKE B", ("aba", "aba%a"), {"A": "STRING", "B": "STRING"}, False),
        ("A LIKE B", ("a" * 60, "%a%a%a%a%a%a%b"), {"A": "STRING", "B": "STRING"}, False),
        ("A LIKE B", ("a" * 9999 + "b", "%a%a%a%a%a_a%b"), {"A": "STRING", "B": "STRING"}, True),
        ("A NOT LIKE '%b'", ("a",), {"A": "STRING"}, True),
        ("A LIKE 'a'", (None,), {"A": "STRING"}, None),
        ("A NOT LIKE 'a'", (None,), {"A": "STRING"}, None),
        ("A LIKE B", ("a", None), {"A": "STRING", "B": "STRING"}, None),
        ("A LIKE B ESCAPE '!'", ("%", "!%"), {"A": "STRING", "B": "STRING"}, True),
        ("A LIKE '!%' ESCAPE '!'", ("x",), {"A": "STRING"}, False),
        ("A LIKE 'x!' ESCAPE '!'", ("x",), {"A": "STRING"}, "failed"),
        ("A AND B", (False, None), {"A": "BOOLEAN", "B": "BOOLEAN"}, False),
        ("A AND B", (None, False), {"A": "BOOLEAN", "B": "BOOLEAN"}, False),
        ("A AND B", (None, True), {"A": "BOOLEAN", "B": "BOOLEAN"}, None),
        ("A AND B", (True, None), {"A": "BOOLEAN", "B": "BOOLEAN"}, None),
        ("A AND B", (None, None), {"A": "BOOLEAN", "B": "BOOLEAN"}, None),
        ("A OR B", (None, True), {"A": "BOOLEAN", "B": "BOOLEAN"}, True),
        ("A OR B", (None, False), {"A": "BOOLEAN", "B": "BOOLEAN"}, None),
        ("A OR LEN(B) = 1", (None, "x"), {"A": "BOOLEAN", "B": "STRING"}, True),
        ("A AND LEN(B) = 1", (None, "xy"), {"A": "BOOLEAN", "B": "STRING"}, False),
        ("A OR 1 / B = 1", (None, 0), {"A": "BOOLEAN", "B": "INT"}, "failed"),
        ("A OR B", (True, None), {"A": "BOOLEAN", "B": "BOOLEAN"}, True),
        ("A OR B", (False, None), {"A": "BOOLEAN", "B": "BOOLEAN"}, None),
        ("A OR EXPLODING(B) > 0", (True, -1), {"A": "BOOLEAN", "B": "INT"}, True),
        ("A AND EXPLODING(B) > 0", (True, -1), {"A": "BOOLEAN", "B": "INT"}, "failed"),
        ("NOT A", (None,), {"A": "BOOLEAN"}, None),
        ("NULL IS NULL", (), {}, True),
        ("A + 1 IS NULL", (None,), {"A": "INT"}, True),
    ],
)  # fmt: skip
def test_comparisons_and_logic(bench: Any, sql: str, row: tuple[Any, ...], columns: dict[str, str], expected: Any) -> None:
    """A NULL is unknown, and what decides on the left is enough."""
    assert bench.one(sql, *row, **columns) == expected


@pytest.mark.parametrize(
    ("sql", "row", "columns", "expected"),
    [
        ("A[1]", ([7, 8],), {"A": "ARRAY<INT>"}, 7),
        ("A[-1]", ([7, 8],), {"A": "ARRAY<INT>"}, 8),
        ("A[0]", ([7, 8],), {"A": "ARRAY<INT>"}, None),
        ("A[3]", ([7, 8],), {"A": "ARRAY<INT>"}, None),
        ("A[-3]", ([7, 8],), {"A": "ARRAY<INT>"}, None),
        ("A[1]", (None,), {"A": "ARRAY<INT>"}, None),
        ("A[B]", ([7, 8], None), {"A": "ARRAY<INT>", "B": "INT"}, None),
        ("A[1][2]", ([[0, 1], [2]],), {"A": "ARRAY<ARRAY<INT>>"}, 1),
        ("A['x']", ({"x": 1},), {"A": "MAP<STRING, INT>"}, 1),
        ("A['y']", ({"x": 1},), {"A": "MAP<STRING, INT>"}, None),
        ("A['y']", (None,), {"A": "MAP<STRING, INT>"}, None),
        ("A[B]", ({"x": 1}, "x"), {"A": "MAP<STRING, INT>", "B": "STRING"}, 1),
        ("A->X->Y", ({"X": {"Y": 3}},), {"A": "STRUCT<X STRUCT<Y INT>>"}, 3),
        ("A->X->Y", ({"X": None},), {"A": "STRUCT<X STRUCT<Y INT>>"}, None),
        ("A->X", (None,), {"A": "STRUCT<X INT>"}, None),
        ("ARRAY[A, B, 3]", (None, 2), {"A": "INT", "B": "INT"}, [None, 2, 3]),
        ("ARRAY[null, 10, '2e1', A, B]", (30, 40), {"A": "INT", "B": "BIGINT"}, [None, D(10), D(20), D(30), D(40)]),
        ("ARRAY[A + 1, 2]", (None,), {"A": "INT"}, [None, 2]),
        ("ARRAY[struct(x := A), struct(y := A)]", (1,), {"A": "INT"}, [{"X": 1, "Y": None}, {"X": None, "Y": 1}]),
        ("MAP(A := B, 'c' := 2)", ("b", 1), {"A": "STRING", "B": "INT"}, {"b": 1, "c": 2}),
        ("MAP(A := B, 'c' := 2)", ("c", 1), {"A": "STRING", "B": "INT"}, {"c": 2}),
        ("MAP(A := 1)", (None,), {"A": "STRING"}, {"null": 1}),
        ("MAP('k' := A, 10 := 'no')", (True,), {"A": "BOOLEAN"}, {"k": True, "10": False}),
        ("STRUCT(f := A, `g` := A * 2)", (2,), {"A": "INT"}, {"F": 2, "g": 4}),
        ("STRUCT(f := A + 1)", (None,), {"A": "INT"}, {"F": None}),
        ("CASE WHEN A < 2 THEN 'small' ELSE 'large' END", (None,), {"A": "INT"}, "large"),
        ("CASE WHEN A < 2 THEN 'small' END", (3,), {"A": "INT"}, None),
        ("CASE WHEN A = 0 THEN 0 ELSE 10 / A END", (0,), {"A": "INT"}, 0),
        ("CASE WHEN A = 0 THEN 10 / A ELSE 1 END", (0,), {"A": "INT"}, "failed"),
        ("CASE WHEN A >= 0 THEN EXPLODING(A) ELSE 0 END", (-1,), {"A": "INT"}, 0),
        ("CASE WHEN A >= 0 THEN EXPLODING(B) ELSE 0 END", (1, -1), {"A": "INT", "B": "INT"}, "failed"),
        ("CASE WHEN B THEN 1 ELSE 2 END", (None,), {"B": "BOOLEAN"}, 2),
        ("CASE WHEN B THEN LEN('a') WHEN NOT B THEN 3 ELSE 2 END", (None,), {"B": "BOOLEAN"}, 2),
        ("CASE WHEN B THEN 1 END", (None,), {"B": "BOOLEAN"}, None),
        ("CASE A WHEN 1 THEN 'one' WHEN 2 THEN 'two' END", (2,), {"A": "INT"}, "two"),
        ("CASE WHEN A = 1 THEN ARRAY[A] ELSE NULL END", (1,), {"A": "INT"}, [1]),
    ],
)  # fmt: skip
def test_structures_and_case(bench: Any, sql: str, row: tuple[Any, ...], columns: dict[str, str], expected: Any) -> None:
    """Items and fields, constructors that guard their parts, and CASE that looks only where it must."""
    assert bench.one(sql, *row, **columns) == expected


@pytest.mark.parametrize(
    ("sql", "row", "columns", "expected"),
    [
        ("COALESCE(A + B, 0)", (None, 1), {"A": "INT", "B": "INT"}, 0),
        ("COALESCE(CAST(A AS INT), 0)", ("z",), {"A": "STRING"}, 0),
        ("COALESCE(EXPLODING(A), 0)", (-1,), {"A": "INT"}, 0),
        ("EXPLODING(A) + 1", (-1,), {"A": "INT"}, "failed"),
        ("LEN(A)", (None,), {"A": "STRING"}, None),
        ("LEN(A) + 1", (None,), {"A": "STRING"}, None),
        ("ABS(A)", (-3,), {"A": "INT"}, 3),
        ("ABS(A)", (D("-3.1"),), {"A": "DECIMAL(4, 1)"}, D("3.1")),
        ("ROUGH(A)", (3,), {"A": "INT"}, 3.0),
        ("ROUGH(A)", (D("3.1"),), {"A": "DECIMAL(4, 1)"}, 3.1),
        ("GREATEST(A, NULL, '2022-06-14')", (19071,), {"A": "DATE"}, 19157),
        ("LATER(DAYS, A, B)", (2, 10), {"A": "INT", "B": "DATE"}, 12),
        ("TRANSFORM(A, x => x + 5)", ([3, 6],), {"A": "ARRAY<INT>"}, [8, 11]),
        ("TRANSFORM(A, x => x + 5)", ([3, None],), {"A": "ARRAY<INT>"}, [8, None]),
        ("TRANSFORM(A, x => x + B)", ([3, 6], 1), {"A": "ARRAY<INT>", "B": "INT"}, [4, 7]),
        ("TRANSFORM(A, x => TRANSFORM(x, y => y * B))", ([[1], [2, 3], []], 2),
         {"A": "ARRAY<ARRAY<INT>>", "B": "INT"}, [[2], [4, 6], []]),
        ("TRANSFORM(A, x => CASE WHEN x > 10 THEN 'hi' ELSE 'lo' END)", ([11.0, None],), {"A": "ARRAY<DOUBLE>"},
         ["hi", "lo"]),
        ("WORD(3)", (), {}, D("3")),
    ],
)  # fmt: skip
def test_calls(bench: Any, sql: str, row: tuple[Any, ...], columns: dict[str, str], expected: Any) -> None:
    """Functions of every style; calls guard themselves as arguments, arithmetic does not."""
    assert bench.one(sql, *row, **columns) == expected


def test_many_rows_keep_their_places(bench: Any) -> None:
    """Values and failures of a batch belong to the rows they came from."""
    result = bench.run("10 / A", [1, 0, None, -3, 10], A="INT")
    assert result.values == [10, None, None, -3, 1]
    assert sorted(result.failed) == [1]
    assert "division by zero" in result.failed[1]


@pytest.mark.parametrize("operator", ["/", "%"])
@pytest.mark.parametrize(("column", "least", "most"), [("INT", INT_MIN, -INT_MIN - 1), ("BIGINT", LONG_MIN, -LONG_MIN - 1)])
def test_division_by_a_constant_is_that_by_a_column(bench: Any, operator: str, column: str, least: int, most: int) -> None:
    """A divisor that is the same in all rows is not spread over them; the results are Java's all the same."""
    rows = [None, 0, 1, -1, 7, -7, 123, -123, most, most - 1, least, least + 1]
    for divisor in (1, -1, 2, -2, 7, -7, 123, most, -most):
        by_column = bench.run(f"A {operator} B", [(row, divisor) for row in rows], A=column, B=column)
        by_constant = bench.run(f"A {operator} {divisor}", rows, A=column)
        assert by_constant.values == by_column.values, divisor
        assert by_constant.failed == by_column.failed == {}


def test_case_over_many_rows(bench: Any) -> None:
    """The lazy CASE puts results of all branches back in order."""
    sql = "CASE WHEN A < 0 THEN EXPLODING(A) WHEN A < 3 THEN LEN('ab') + A ELSE A END"
    result = bench.run(sql, [5, 1, -1, None, 3, 2], A="INT")
    assert result.values == [5, 3, None, None, 3, 4]
    assert sorted(result.failed) == [2]


def test_predicates_are_false_where_they_fail(bench: Any) -> None:
    """A predicate never gives null; a failed row is false and reported."""
    result = bench.run("A / B > 0", [(1, 1), (1, 0), (None, 1)], predicate=True, A="INT", B="INT")
    assert result.values == [True, False, False]
    assert sorted(result.failed) == [1]
    assert bench.run("A LIKE 'x%'", ["xy", None, "y"], predicate=True, A="STRING").values == [True, False, False]


def test_guarded_failures_are_reported_on_request(bench: Any) -> None:
    """A failed CAST inside a value that is not null is reported when asked for."""
    from penstock.engine.expressions.compile import compile_expression

    arrays, schema = bench.table(["1", "z"], A="STRING")
    bound = bench.bind("COALESCE(CAST(A AS INT), 0)", A="STRING")
    assert compile_expression(bound, schema, functions=bench.functions)(arrays, 2).failures is None
    reported = compile_expression(bound, schema, functions=bench.functions, report_guarded=True)(arrays, 2)
    assert reported.values.to_pylist() == [1, 0]
    assert reported.failures is not None
    assert reported.failures.rows.tolist() == [1]


def test_volatile_functions_run_for_each_row(bench: Any) -> None:
    """A volatile function is neither folded nor shared."""
    kernel, _ = bench.kernel("DICE() + DICE()", __import__("pyarrow").schema([]))
    values = kernel([], 3).values.to_pylist()
    assert len(set(values)) == 3
    assert bench.functions.rolls == 6


def test_table_functions_give_lists(bench: Any) -> None:
    """A table function's kernel gives the rows to put out as a list."""
    arrays, schema = bench.table([[1, 2], None, []], A="ARRAY<INT>")
    from penstock.engine.expressions.compile import compile_expression

    kernel = compile_expression(bench.bind("EXPLODE(A)", A="ARRAY<INT>"), schema, functions=bench.functions)
    assert kernel(arrays, 3).values.to_pylist() == [[1, 2], None, []]


@given(st.text("ab\n%", max_size=8), st.lists(st.sampled_from("ab%_!\n"), max_size=7).map("".join))
def test_like_by_column_and_by_row(text: str, pattern: str) -> None:
    """A literal pattern goes through Arrow, others through `like_matcher`: both as the plainest reading says."""

    def like(rest: str, pieces: list[str]) -> bool:
        if not pieces:
            return not rest
        if pieces[0] == "%":
            return any(like(rest[i:], pieces[1:]) for i in range(len(rest) + 1))
        return bool(rest) and pieces[0] in ("_", rest[0]) and like(rest[1:], pieces[1:])

    expected = like(text, list(pattern))
    assert like_matcher(pattern, None)(text) == expected
    found = pc.match_substring_regex(pa.array([text]), pattern=f"\\A(?:{like_regex(pattern, None)})\\z")
    assert found.to_pylist() == [expected]


@pytest.mark.parametrize("values", [[0, 1, 6, 7, 8, 2**63 - 1, None], [-(2**63), -8, -7, -1, 0, 5, None], [None], []])
@pytest.mark.parametrize("divisor", [1, 7, 123, -7, -1, 2**62, -(2**63) + 1])
def test_a_constant_divisor_divides_as_a_column_does(values: list[int | None], divisor: int) -> None:
    """The quotient is cut off towards zero, and the remainder has the sign of the dividend, whatever the way there."""
    schema = pa.schema([("V", pa.int64()), ("D", pa.int64())])
    columns = [pa.array(values, pa.int64()), pa.array([divisor] * len(values), pa.int64())]
    value, column = (n.ColumnRef(type=t.BIGINT, span=SPAN, name=name) for name in ("V", "D"))
    constant = n.Literal(type=t.BIGINT, span=SPAN, value=divisor)
    operators: tuple[n.ArithmeticOperator, ...] = ("%", "/")
    for operator in operators:
        found, wanted = (
            compile_expression(n.Arithmetic(type=t.BIGINT, span=SPAN, operator=operator, left=value, right=right), schema)(
                columns, len(values)
            ).values
            for right in (constant, column)
        )
        assert found.to_pylist() == wanted.to_pylist()
        for v, result in zip(values, found.to_pylist()):
            if v is not None and abs(v) < 2**63:
                cut = abs(v) // abs(divisor) * (1 if (v < 0) == (divisor < 0) else -1)
                assert result == (cut if operator == "/" else v - cut * divisor)


INTEGERS = st.none() | st.integers(-(10**6), 10**6) | st.sampled_from([2**63 - 1, -(2**63), 10**17, 0])


@given(st.lists(INTEGERS, max_size=6), st.integers(-(10**4), 10**4), st.integers(0, 4), st.booleans())
def test_products_of_decimals_are_exact(values: list[int | None], digits: int, scale: int, constant: bool) -> None:
    """Whole numbers times a DECIMAL, a constant or a column: as Python multiplies them, however long they are."""
    kind = t.Decimal(8, scale)
    factor = Decimal(digits).scaleb(-scale)
    columns = [pa.array(values, pa.int64()), pa.array([factor] * len(values), t.to_arrow(kind))]
    schema = pa.schema([("V", pa.int64()), ("D", columns[1].type)])
    other: n.TypedExpression = n.ColumnRef(type=kind, span=SPAN, name="D")
    if constant:
        other = n.Literal(type=kind, span=SPAN, value=factor)
    product = n.Arithmetic(
        type=t.Decimal(28, scale),
        span=SPAN,
        operator="*",
        left=other,
        right=n.ColumnRef(type=t.BIGINT, span=SPAN, name="V"),
    )
    found = compile_expression(product, schema)(columns, len(values)).values
    assert found.type == t.to_arrow(product.type)
    assert found.to_pylist() == [None if v is None else v * factor for v in values]
