"""Compiled expressions against a reader of the tree that takes one row at a time, and against DuckDB."""

from __future__ import annotations

import math
import re
from decimal import Decimal, localcontext
from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.engine import types as t
from penstock.engine.analysis.bind_arithmetic import arithmetic_type
from penstock.engine.expressions import nodes as n
from penstock.engine.expressions.compile import compile_expression, compile_predicate
from penstock.engine.expressions.values import from_python, to_python
from penstock.engine.functions.registry import BUILT_INS, FunctionRef, Registry, parse_signature, scalar
from penstock.errors import StatementError

COLUMNS: dict[str, t.SqlType] = {
    "I": t.INTEGER,
    "L": t.BIGINT,
    "D": t.DOUBLE,
    "P": t.Decimal(6, 2),
    "S": t.STRING,
    "B": t.BOOLEAN,
    "A": t.Array(t.INTEGER),
}
SCHEMA = pa.schema([(name, t.to_arrow(type_)) for name, type_ in COLUMNS.items()])


class Failed(Exception):
    """A row whose evaluation fails."""


# --- the oracle: one row at a time, plain Python ---------------------------------------------


def wrap(value: int, type_: t.SqlType) -> int:
    bits = 32 if type_ == t.INTEGER else 64
    return (value + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


def number(value: Any, type_: t.SqlType) -> Any:
    return float(value) if type_ == t.DOUBLE else value


def guarded(e: n.TypedExpression, row: dict[str, Any]) -> Any:
    try:
        return evaluate(e, row)
    except Failed:
        return None


def compare(operator: str, a: Any, b: Any) -> bool:
    if a is None or b is None:
        return False
    if isinstance(a, float) or isinstance(b, float):
        # NaN equals NaN and is above all other numbers
        a, b = ((math.isnan(float(x)), 0.0 if math.isnan(float(x)) else float(x)) for x in (a, b))
    return bool(
        {"=": a == b, "<>": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[operator]
        if not isinstance(a, list)
        else {"=": a == b, "<>": a != b}[operator]
    )


def arithmetic(e: n.Arithmetic, row: dict[str, Any]) -> Any:
    a, b = evaluate(e.left, row), evaluate(e.right, row)
    if e.type == t.STRING:
        return ("" if a is None else a) + ("" if b is None else b)
    if a is None or b is None:
        return None
    a, b = number(a, e.type), number(b, e.type)
    if isinstance(e.type, t.Decimal):
        with localcontext(prec=100):  # Python's own 28 digits are fewer than DECIMAL's
            a, b = Decimal(a), Decimal(b)
            exact = {"+": a + b, "-": a - b, "*": a * b}[e.operator].quantize(Decimal(1).scaleb(-e.type.scale))
            return exact or abs(exact)  # there is no DECIMAL -0.00
    if e.operator in "+-*":
        result = {"+": a + b, "-": a - b, "*": a * b}[e.operator]
        return result if e.type == t.DOUBLE else wrap(result, e.type)
    if e.type == t.DOUBLE:
        if e.operator == "/":
            if b == 0:
                return math.nan if a == 0 or a != a else math.copysign(math.inf, a) * math.copysign(1, b)
            return a / b
        return math.nan if b == 0 or math.isinf(a) or a != a or b != b else math.fmod(a, b)
    if b == 0:
        raise Failed("division by zero")
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return wrap(quotient if e.operator == "/" else a - b * quotient, e.type)


def evaluate(e: n.TypedExpression, row: dict[str, Any]) -> Any:
    """The value of an expression for one row; raises Failed."""
    match e:
        case n.ColumnRef(name=name):
            return row[name]
        case n.Literal(value=value):
            return value
        case n.Arithmetic():
            return arithmetic(e, row)
        case n.Negate(operand=operand):
            value = evaluate(operand, row)
            if value is None:
                return None
            value = number(value, e.type)
            return wrap(-value, e.type) if e.type in (t.INTEGER, t.BIGINT) else -value
        case n.Compare(operator=operator, left=left, right=right):
            a, b = evaluate(left, row), evaluate(right, row)
            if "DISTINCT" in operator:
                differ = (a is None) != (b is None) or compare("<>", a, b)
                return differ if operator == "IS DISTINCT FROM" else not differ
            return compare(operator, a, b)
        case n.Logical(operator=operator, left=left, right=right):
            decisive = operator == "OR"
            first = evaluate(left, row)
            if first is decisive:
                return first
            second = evaluate(right, row)
            return second if second is decisive or first is not None else None
        case n.Not(operand=operand):
            value = evaluate(operand, row)
            return None if value is None else not value
        case n.IsNull(operand=operand, negated=negated):
            return (evaluate(operand, row) is None) != negated
        case n.Between(operand=operand, low=low, high=high, negated=negated):
            value = evaluate(operand, row)
            inside = compare(">=", value, evaluate(low, row)) and compare("<=", value, evaluate(high, row))
            return inside != negated
        case n.In(operand=operand, items=items, negated=negated):
            value = evaluate(operand, row)
            return any(compare("=", value, evaluate(item, row)) for item in items) != negated
        case n.Like(operand=operand, pattern=pattern, negated=negated):
            text, wanted = evaluate(operand, row), evaluate(pattern, row)
            if text is None or wanted is None:
                return None
            regex = "".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in wanted)
            return (re.fullmatch(regex, text, re.DOTALL) is not None) != negated
        case n.Case(branches=branches, default=default):
            for condition, result in branches:
                if evaluate(condition, row):
                    return evaluate(result, row)
            return evaluate(default, row)
        case n.Cast(operand=operand):
            return cast(guarded(operand, row), operand.type, e.type)
        case n.Subscript(base=base, index=index):
            items, place = evaluate(base, row), evaluate(index, row)
            if place is None:
                return None
            place = place - 1 if place >= 0 else len(items or ()) + place
            return items[place] if items is not None and 0 <= place < len(items) else None
        case n.ArrayMake(items=items):
            return [guarded(item, row) for item in items]
        case n.Call(name="HALF", arguments=arguments):
            inner = (
                guarded(arguments[0], row) if isinstance(arguments[0], n.Call | n.Subscript) else evaluate(arguments[0], row)
            )
            if inner is None:
                return None
            if inner % 2:
                raise Failed("odd")
            return inner // 2
    raise AssertionError(e)


def cast(value: Any, source: t.SqlType, target: t.SqlType) -> Any:
    if value is None:
        return None
    if target == t.STRING:
        return ("true" if value else "false") if source == t.BOOLEAN else str(value)
    if source == t.STRING:
        text = value.strip()
        return int(text) if re.fullmatch(r"[+-]?[0-9]+", text) and -(2**31) <= int(text) < 2**31 else None
    return wrap(value, target)


# --- random expressions ----------------------------------------------------------------------


def half(value: int) -> int:
    if value % 2:
        raise ValueError("odd")
    return value // 2


FUNCTIONS = Registry(BUILT_INS)
scalar("HALF", "Half of an even number.", "(value INT) -> INT", registry=FUNCTIONS)(half)
HALF = FunctionRef("HALF", parse_signature("(value INT) -> INT"))
integers = st.integers(-5, 5) | st.sampled_from([2**31 - 1, -(2**31)])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "I": integers,
    "L": integers | st.sampled_from([2**63 - 1, -(2**63)]),
    "D": st.sampled_from([0.0, -1.5, 2.0, 1e300, math.inf, math.nan]),
    "P": st.decimals(-9999, 9999, places=2),
    "S": st.sampled_from(["", "a", "ab", "a%b", "12", " -7 ", "99999999999", "é"]),
    "B": st.booleans(),
    "A": st.lists(st.none() | st.integers(-5, 5), max_size=3),
}
rows = st.lists(st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()}), min_size=1, max_size=6)


def literal(type_: t.SqlType) -> st.SearchStrategy[n.TypedExpression]:
    values: dict[t.SqlType, st.SearchStrategy[Any]] = {
        t.INTEGER: integers,
        t.BIGINT: integers,
        t.DOUBLE: st.sampled_from([0.0, 1.5, -2.0]),
        t.Decimal(6, 2): st.decimals(-99, 99, places=2),
        t.STRING: st.sampled_from(["", "a", "a%", "_b", "7"]),
        t.BOOLEAN: st.booleans(),
    }
    return values[type_].map(lambda value: n.Literal(value, type=type_))


def column(type_: t.SqlType) -> st.SearchStrategy[n.TypedExpression]:
    return st.sampled_from([n.ColumnRef(name, type=ct) for name, ct in COLUMNS.items() if ct == type_])


NUMBERS = (t.INTEGER, t.BIGINT, t.DOUBLE, t.Decimal(6, 2))


@st.composite
def numbers(draw: st.DrawFn, depth: int) -> n.TypedExpression:
    """A number of any numeric type."""
    kind = draw(st.integers(0, 4 if depth else 1))
    type_ = draw(st.sampled_from(NUMBERS))
    if kind == 0:
        return draw(column(type_))
    if kind == 1:
        return draw(literal(type_))
    if kind == 2:
        operand = draw(numbers(depth - 1))
        return n.Negate(operand, type=operand.type)
    if kind == 3:
        return draw(integers_of(depth))
    left, right = draw(numbers(depth - 1)), draw(numbers(depth - 1))
    operator = draw(st.sampled_from("+-*/%"))
    try:
        result = arithmetic_type(operator, left.type, right.type)
    except StatementError:
        return left
    if isinstance(result, t.Decimal) and (operator in "/%" or result.precision > 38):
        operator, result = "+", arithmetic_type("+", left.type, right.type)
    return n.Arithmetic(operator, left, right, type=result)  # type: ignore[arg-type]


@st.composite
def integers_of(draw: st.DrawFn, depth: int) -> n.TypedExpression:
    """An INTEGER: calls that fail, casts, subscripts, CASE."""
    kind = draw(st.integers(0, 5 if depth else 1))
    if kind == 0:
        return draw(column(t.INTEGER))
    if kind == 1:
        return draw(literal(t.INTEGER))
    if kind == 2:
        return n.Call("HALF", HALF, (draw(integers_of(depth - 1)),), type=t.INTEGER)
    if kind == 3:
        source = draw(st.sampled_from([draw(column(t.STRING)), draw(column(t.BIGINT))]))
        return n.Cast(source, type=t.INTEGER)
    if kind == 4:
        base = draw(st.sampled_from([n.ColumnRef("A", type=COLUMNS["A"]), None]))
        made = n.ArrayMake((draw(integers_of(depth - 1)), draw(integers_of(depth - 1))), type=t.Array(t.INTEGER))
        return n.Subscript(base or made, draw(integers_of(depth - 1)), type=t.INTEGER)
    branches = tuple((draw(booleans(depth - 1)), draw(integers_of(depth - 1))) for _ in range(draw(st.integers(1, 2))))
    default = draw(integers_of(depth - 1) | st.just(n.null(t.INTEGER)))
    return n.Case(branches, default, type=t.INTEGER)


@st.composite
def strings(draw: st.DrawFn, depth: int) -> n.TypedExpression:
    kind = draw(st.integers(0, 3 if depth else 1))
    if kind == 0:
        return draw(column(t.STRING))
    if kind == 1:
        return draw(literal(t.STRING))
    if kind == 2:
        return n.Cast(draw(integers_of(depth - 1) | booleans(depth - 1)), type=t.STRING)
    return n.Arithmetic("||", draw(strings(depth - 1)), draw(strings(depth - 1)), type=t.STRING)


@st.composite
def booleans(draw: st.DrawFn, depth: int) -> n.TypedExpression:
    kind = draw(st.integers(0, 8 if depth else 1))
    yes = {"type": t.BOOLEAN}
    if kind == 0:
        return draw(column(t.BOOLEAN))
    if kind == 1:
        operator = draw(st.sampled_from(["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"]))
        side = st.sampled_from([numbers, strings])
        part = draw(side)(max(depth - 1, 0))
        return n.Compare(operator, draw(part), draw(part), **yes)  # type: ignore[arg-type]
    if kind in (2, 3):
        operator = draw(st.sampled_from(["AND", "OR"]))
        return n.Logical(operator, draw(booleans(depth - 1)), draw(booleans(depth - 1)), **yes)  # type: ignore[arg-type]
    if kind == 4:
        return n.Not(draw(booleans(depth - 1)), **yes)
    negated = draw(st.booleans())
    if kind == 5:
        return n.IsNull(draw(numbers(depth - 1) | strings(depth - 1)), negated, **yes)
    if kind == 6:
        low, high = draw(numbers(depth - 1)), draw(numbers(depth - 1))
        return n.Between(draw(numbers(depth - 1)), low, high, negated, **yes)
    if kind == 7:
        items = tuple(draw(integers_of(depth - 1)) for _ in range(draw(st.integers(1, 3))))
        return n.In(draw(integers_of(depth - 1)), items, negated, **yes)
    return n.Like(draw(strings(depth - 1)), draw(strings(depth - 1)), None, negated, **yes)


def printed(value: Any) -> str:
    """Text that tells values apart: NaN is itself, -0.0 is not 0.0, decimals with their scale."""
    return repr(value)


@settings(max_examples=400, deadline=None)
@given(st.one_of(numbers(3), strings(3), booleans(3), integers_of(3)), rows)
def test_kernels_agree_with_a_row_at_a_time(e: n.TypedExpression, table: list[dict[str, Any]]) -> None:
    """Values, nulls and failures of every row are those of a plain reading of the tree."""
    arrays = [from_python([row[name] for row in table], type_)[0] for name, type_ in COLUMNS.items()]
    result = compile_expression(e, SCHEMA, functions=FUNCTIONS)(arrays, len(table))
    failed = set() if result.failures is None else set(result.failures.rows.tolist())
    values = to_python(result.values, e.type)
    for i, row in enumerate(table):
        try:
            expected = evaluate(e, row)
        except Failed:
            assert values[i] is None, (n.text(e), row)
            assert i in failed, (n.text(e), row)
            continue
        assert printed(values[i]) == printed(expected), (n.text(e), row)
        if expected is not None:
            assert i not in failed, (n.text(e), row)
    if e.type == t.BOOLEAN:
        kept = compile_predicate(e, SCHEMA, functions=FUNCTIONS)(arrays, len(table)).values.to_pylist()
        assert kept == [value is True for value in values]


SIMPLE = n.Compare | n.Logical | n.Not | n.Between | n.In | n.Like | n.Literal
STAND_INS = {t.STRING: n.ColumnRef("S", type=t.STRING), t.BOOLEAN: n.Literal(True, type=t.BOOLEAN)}


def plain(e: n.TypedExpression) -> n.TypedExpression | None:
    """What means something else to DuckDB, replaced by a column."""
    if isinstance(e, SIMPLE) or (isinstance(e, n.ColumnRef) and e.name in ("I", "S")):
        return None
    return STAND_INS.get(e.type, n.ColumnRef("I", type=t.INTEGER))


@settings(max_examples=60, deadline=None)
@given(booleans(2), st.lists(st.tuples(st.integers(-5, 5), st.sampled_from(["", "a", "ab", "b"])), min_size=1, max_size=5))
def test_predicates_agree_with_duckdb(e: n.TypedExpression, table: list[tuple[int, str]]) -> None:
    """Without NULLs and failures, comparisons and logic are standard SQL."""
    e = n.transform(e, plain)
    arrays = [pa.array([r[0] for r in table], pa.int32()), pa.array([r[1] for r in table])]
    kept = compile_predicate(e, pa.schema([("I", pa.int32()), ("S", pa.string())]))(arrays, len(table)).values.to_pylist()
    data = pa.table({"I": arrays[0], "S": arrays[1]})
    with duckdb.connect() as connection:
        connection.register("data", data)
        assert kept == [r[0] for r in connection.execute(f"SELECT {n.text(e)} FROM data").fetchall()]
