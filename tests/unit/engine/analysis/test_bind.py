"""What binding accepts, what type it gives, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from penstock.engine import types as t
from penstock.engine.analysis.bind import bind_to
from penstock.engine.analysis.binding import NoColumns
from penstock.engine.analysis.coercion import coerce, common_type
from penstock.engine.analysis.types import resolve_type
from penstock.engine.expressions import nodes as n
from penstock.engine.expressions.compile import compile_expression
from penstock.engine.expressions.values import to_python
from penstock.errors import StatementError, UnsupportedError
from penstock.grammar.parse import parse_expression, parse_type

COLUMNS = {
    "I": "INT", "L": "BIGINT", "D": "DOUBLE", "DE": "DECIMAL(4,2)", "S": "STRING", "B": "BOOLEAN", "BB": "BYTES",
    "DT": "DATE", "TI": "TIME", "TS": "TIMESTAMP", "AI": "ARRAY<INT>", "M": "MAP<STRING, INT>", "ST": "STRUCT<F INT>",
    "ROWTIME": "BIGINT",
}  # fmt: skip


@pytest.mark.parametrize(
    ("sql", "type_"),
    [
        ("1", "INTEGER"),
        ("2147483648", "BIGINT"),
        ("1.50", "DECIMAL(3, 2)"),
        (".05", "DECIMAL(3, 2)"),
        ("1e3", "DOUBLE"),
        ("I + L", "BIGINT"),
        ("I + D", "DOUBLE"),
        ("DE + DE", "DECIMAL(5, 2)"),
        ("DE * I", "DECIMAL(15, 2)"),
        ("DE / DE", "DECIMAL(11, 7)"),
        ("DE % I", "DECIMAL(4, 2)"),
        ("DE + D", "DOUBLE"),
        ("S + 'x'", "STRING"),
        ("ARRAY[1, L]", "ARRAY<BIGINT>"),
        ("ARRAY[I, 1.5]", "DECIMAL(11, 1)"),
        ("ARRAY[I, '3']", "ARRAY<INTEGER>"),
        ("ARRAY[I, '2e1', L]", "ARRAY<DECIMAL(19, 0)>"),
        ("MAP('a' := 1)", "MAP<STRING, INTEGER>"),
        ("STRUCT(a := 1, `b` := S)", "STRUCT<`A` INTEGER, `b` STRING>"),
        ("AI[1]", "INTEGER"),
        ("ST->F", "INTEGER"),
        ("CAST(NULL AS ARRAY<INT>)", "ARRAY<INTEGER>"),
        ("ABS(DE)", "DECIMAL(4, 2)"),
        ("ABS(I)", "INTEGER"),
        ("TRANSFORM(AI, x => S)", "ARRAY<STRING>"),
        ("MIDDLE(I, D, D, S)", "BIGINT"),
        ("MIDDLE(I, S)", "BIGINT"),
        ("EXPLODE(AI)", "INTEGER"),
        ("CASE WHEN B THEN NULL ELSE L END", "BIGINT"),
    ],
)
def test_types(bench: Any, sql: str, type_: str) -> None:
    """The type of an expression."""
    found = str(bench.bind(sql, **COLUMNS).type)
    assert found == (f"ARRAY<{type_}>" if sql == "ARRAY[I, 1.5]" else type_)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("NULL", "NULL"),
        ("I + NULL", "NULL"),
        ("I = NULL", "NULL"),
        ("NULL <> NULL", "NULL"),
        ("I >= 'not an int'", "compared"),
        ("B > B", "compared"),
        ("M < M", "compared"),
        ("TI = DT", "compared"),
        ("I + S", "not possible"),
        ("S - S", "not possible"),
        ("-S", "number"),
        ("I || S", "strings"),
        ("I AND B", "BOOLEAN"),
        ("NOT I", "BOOLEAN"),
        ("I LIKE 'x'", "LIKE"),
        ("S LIKE 'x' ESCAPE 'ab'", "ESCAPE"),
        ("I IN (10, true)", "does not go with"),
        ("I IN (10, '10 - not')", "10 - not"),
        ("B IN (true, 'Not')", "Not"),
        ("B IN (true, 10)", "does not go with"),
        ("S IN ('a', D)", "does not go with"),
        ("ARRAY[NULL]", "ARRAY"),
        ("ARRAY[1, 'no']", "no"),
        ("MAP(S := NULL)", "MAP"),
        ("MAP(NULL := I)", "MAP"),
        ("STRUCT(a := 1, a := 2)", "two fields"),
        ("STRUCT(a := NULL)", "type"),
        ("CASE WHEN B THEN NULL ELSE NULL END", "NULL"),
        ("CASE WHEN B THEN 1 ELSE L END", "one type"),
        ("CASE WHEN I THEN 1 END", "BOOLEAN"),
        ("CASE WHEN B THEN EXPLODE(AI) END", "table function"),
        ("EXPLODE(ARRAY[EXPLODE(AI)])", "table function"),
        ("CAST(S AS MAP<STRING, INT>)", "cannot be cast"),
        ("CAST(BB AS STRING)", "cannot be cast"),
        ("CAST(S AS NOTHING)", "no type named"),
        ("ST->G", "no field"),
        ("I->F", "STRUCT"),
        ("I[1]", "ARRAY"),
        ("AI['x']", "index"),
        ("NOPE", "no column"),
        ("LENN(S)", "no function"),
        ("COALESCE()", "cannot be called"),
        ("LEN(I)", "cannot be called"),
        ("TWICE(I)", "several functions"),
        ("ABS(NULL)", "several functions"),
        ("TRANSFORM(AI, S => 1)", "also a column"),
        ("TRANSFORM(AI, x => TRANSFORM(AI, x => x))", "already"),
        ("TRANSFORM(AI, x => NOPE)", "no column"),
        ("LEN(x => x)", "lambda"),
        ("TOPK(I, I)", "literal"),
        ("TOPK(TOPK(I, 1)[1], 1)", "aggregate"),
        ("ROWTIME > 'yesterday'", "timestamp"),
        ("DT = 'yesterday'", "date"),
    ],
)
def test_refusals(refuses: Callable[..., StatementError], sql: str, words: str) -> None:
    """What makes no sense is refused with a span, in words that name the trouble."""
    error = refuses(sql, **COLUMNS)
    assert words in f"{error.message} {error.suggestion}"


def test_at_time_zone_is_refused_by_name(bench: Any) -> None:
    """AT TIME ZONE parses and is unsupported."""
    with pytest.raises(UnsupportedError, match="AT TIME ZONE"):
        bench.bind("TS AT TIME ZONE 'UTC'", **COLUMNS)


def test_near_misses_are_suggested(refuses: Callable[..., StatementError]) -> None:
    """Suggestions name what was probably meant."""
    assert "LEN" in str(refuses("LENN(S)", **COLUMNS).suggestion)
    assert "(text STRING) -> INT" in str(refuses("LEN(I)", **COLUMNS).suggestion)
    assert "`F`" in str(refuses("ST->`f`", **COLUMNS).suggestion)
    assert "BIGINT" in str(refuses("CAST(S AS BIGNIT)", **COLUMNS).suggestion)


def test_spans_point_at_the_part(refuses: Callable[..., StatementError]) -> None:
    """The span is the part that is wrong, not the whole."""
    error = refuses("I + 1 > 2 AND ABS(S) = 1", **COLUMNS)
    assert error.span is not None
    assert (error.span.start, error.span.end) == (14, 20)


@pytest.mark.parametrize(
    ("sql", "type_", "expected"),
    [
        ("1", "BIGINT", 1),
        ("1", "DOUBLE", 1.0),
        ("'1'", "INT", 1),
        ("1", "STRING", "1"),
        ("1.5", "STRING", "1.5"),
        ("'yes'", "BOOLEAN", True),
        ("true", "STRING", "true"),
        ("1.5", "DECIMAL(4,2)", Decimal("1.50")),
        ("'2020-01-02'", "DATE", 18263),
        ("'aGk='", "BYTES", b"hi"),
        ("ARRAY['1', 2]", "ARRAY<BIGINT>", [1, 2]),
        ("ARRAY[1, NULL]", "ARRAY<DOUBLE>", [1.0, None]),
        ("STRUCT(A := 1)", "STRUCT<A BIGINT, B STRING>", {"A": 1, "B": None}),
        ("MAP('a' := 1)", "MAP<STRING, DOUBLE>", {"a": 1.0}),
        ("NULL", "ARRAY<INT>", None),
        ("1 + 1", "DOUBLE", 2.0),
    ],
)
def test_values_for_columns(bench: Any, sql: str, type_: str, expected: Any) -> None:
    """INSERT VALUES converts literals leniently, and other expressions as implicit casts do."""
    target = resolve_type(parse_type(type_), {})
    bound = bind_to(parse_expression(sql), target, NoColumns(), bench.functions)
    assert bound.type == target
    found = compile_expression(bound, pa.schema([]))([], 1)
    assert found.failures is None
    assert to_python(found.values, bound.type) == [expected]


@pytest.mark.parametrize(
    ("sql", "type_"),
    [("'x'", "INT"), ("1.555", "DECIMAL(3,2)"), ("3000000000", "INT"), ("ARRAY[1]", "INT"), ("1.5", "INT"), ("1", "BOOLEAN"),
     ("STRUCT(A := 'x')", "STRUCT<A BIGINT>"), ("X", "INT"), ("1e0 + 1", "INT")],
)  # fmt: skip
def test_values_that_do_not_fit_columns(bench: Any, sql: str, type_: str) -> None:
    """INSERT VALUES refuses what it cannot convert, at the literal's place."""
    with pytest.raises(StatementError) as caught:
        bind_to(parse_expression(sql), resolve_type(parse_type(type_), {}), NoColumns(), bench.functions)
    assert caught.value.span is not None


def test_custom_types_expand() -> None:
    """A custom type stands for its definition wherever it is used."""
    address = t.Struct((("CITY", t.STRING),))
    assert resolve_type(parse_type("ARRAY<ADDRESS>"), {"ADDRESS": address}) == t.Array(address)
    with pytest.raises(StatementError, match="no parameters"):
        resolve_type(parse_type("ADDRESS(3)"), {"ADDRESS": address})
    with pytest.raises(StatementError, match="precision and a scale"):
        resolve_type(parse_type("DECIMAL(3)"), {})


def test_common_types() -> None:
    """Numbers widen, structs unite their fields, everything else must be equal."""
    assert common_type(t.INTEGER, t.Decimal(4, 2)) == t.Decimal(12, 2)
    assert common_type(t.Decimal(4, 2), t.DOUBLE) == t.DOUBLE
    assert common_type(t.Array(t.INTEGER), t.Array(t.BIGINT)) == t.Array(t.BIGINT)
    left, right = t.Struct((("A", t.INTEGER),)), t.Struct((("B", t.STRING), ("A", t.BIGINT)))
    assert common_type(left, right) == t.Struct((("A", t.BIGINT), ("B", t.STRING)))
    assert common_type(t.STRING, t.INTEGER) is None


def test_canonical_text_binds_again(bench: Any) -> None:
    """The text of an expression is SQL that means the same."""
    for sql in (
        "(I + 1) * -L",
        "CASE WHEN B AND S LIKE 'a!%' ESCAPE '!' THEN AI[1] ELSE M['k'] END",
        "I NOT IN (1, 2) OR DT BETWEEN '2020-01-01' AND '2021-01-01'",
        "TRANSFORM(AI, x => x + COALESCE(I, 0))",
        "STRUCT(`f` := ARRAY[CAST(S AS DECIMAL(4,2))], g := ST->F)",
        "S IS NOT NULL AND I IS DISTINCT FROM L",
    ):
        bound = bench.bind(sql, **COLUMNS)
        if "DT" not in sql:
            assert n.same(bench.bind(n.text(bound), **COLUMNS), bound)


def test_helpers_walk_and_replace(bench: Any) -> None:
    """Columns, aggregates and table calls are found, and columns replaced below any node."""
    bound = bench.bind("MIDDLE(I, L, S) + CASE WHEN I > 0 THEN L ELSE 0 + L END", **COLUMNS)
    assert [c.name for c in n.columns_of(bound)] == ["I", "L", "S"]
    assert [a.name for a in n.aggregates_of(bound)] == ["MIDDLE"]
    assert n.table_calls_of(bound) == ()
    renamed = n.replace_columns(bound, lambda c: n.ColumnRef("K", type=c.type) if c.name == "L" else None)
    assert [c.name for c in n.columns_of(renamed)] == ["I", "K", "S"]
    call = n.aggregates_of(bench.bind("TOPK(I, 3)", **COLUMNS))[0]
    assert call.literals == (None, 3)
    assert [str(i) for i in call.inputs] == ["I"]
    assert not n.is_constant(bound)
    assert n.is_volatile(bench.bind("DICE() + 1", **COLUMNS))


def test_coercion_of_columns(bench: Any) -> None:
    """A column is cast implicitly where its type is narrower, and refused where it is not."""
    column = n.ColumnRef("I", type=t.INTEGER)
    assert coerce(column, t.BIGINT) == n.Cast(column, implicit=True, type=t.BIGINT)
    with pytest.raises(StatementError, match="INTEGER, where STRING is needed"):
        coerce(column, t.STRING, lax=True)
