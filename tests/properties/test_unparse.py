"""``parse(unparse(tree)) == tree``: over generated trees, and over all statements of the conformance cases (if present)."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import StatementError
from penstock.grammar import ast
from penstock.grammar.parse import parse, parse_expression, parse_statement, parse_type
from penstock.grammar.unparse import unparse, unparse_expression, unparse_type

names = st.one_of(
    st.sampled_from(
        ["ID", "KEY", "A", "MAP", "SELECT", "emit", "EMIT", "IF", "DAY", "x`y", "1ST", "two words", "TABLES", "SHOW"]
    ),
    st.text("AZ_a@9 -`\"'", min_size=1, max_size=6),
)
texts = st.text("ab'`\"-;/*$é\n ", max_size=6)
units = st.sampled_from(["MILLISECOND", "SECOND", "MINUTE", "HOUR", "DAY", "MONTH", "YEAR"])
durations = st.builds(ast.Duration, st.integers(0, 10**6), units)
optional_durations = st.none() | durations
int64s = st.integers(-(2**63), 2**63 - 1)
decimals = st.from_regex(r"\A-?(?:[0-9]{1,4}(?:\.[0-9]{0,3})?|\.[0-9]{1,3})\Z")
doubles = st.floats(allow_nan=False, allow_infinity=False).map(lambda x: ast.DoubleLiteral(x))

literals = st.one_of(
    st.just(ast.NullLiteral()),
    st.builds(ast.BooleanLiteral, st.booleans()),
    st.builds(ast.IntegerLiteral, int64s),
    st.builds(ast.DecimalLiteral, decimals),
    doubles,
    st.builds(ast.StringLiteral, texts),
)
_NUMBERS = (ast.IntegerLiteral, ast.DecimalLiteral, ast.DoubleLiteral)


def _types() -> st.SearchStrategy[Any]:
    leaves = st.one_of(
        st.builds(ast.TypeName, names),
        st.builds(ast.TypeName, st.just("DECIMAL"), st.tuples(st.integers(1, 40), st.integers(0, 9))),
        st.builds(ast.TypeName, st.just("VARCHAR"), st.tuples(st.integers(0, 99))),
    )
    return st.recursive(
        leaves,
        lambda t: st.one_of(
            st.builds(ast.ArrayType, t),
            st.builds(ast.MapType, t, t),
            st.builds(ast.StructType, st.lists(st.tuples(names, t), max_size=3).map(tuple)),
        ),
        max_leaves=5,
    )


types = _types()


def _compound(e: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(e, max_size=3).map(tuple)
    some = st.lists(e, min_size=1, max_size=3).map(tuple)
    parameters = st.lists(st.text("XYZ", min_size=1, max_size=2), min_size=1, max_size=3).map(tuple)
    arguments = st.lists(e | st.builds(ast.Lambda, parameters, e), max_size=3).map(tuple)
    functions = st.sampled_from(["COUNT", "SUBSTRING", "REPLACE", "MAP", "IF"])
    flags = st.booleans()
    return st.one_of(
        st.builds(ast.Arithmetic, st.sampled_from(["+", "-", "*", "/", "%", "||"]), e, e),
        st.builds(
            ast.Comparison,
            st.sampled_from(["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"]),
            e,
            e,
        ),
        st.builds(ast.Logical, st.sampled_from(["AND", "OR"]), e, e),
        st.builds(ast.Not, e),
        st.builds(ast.Negate, e.filter(lambda x: not isinstance(x, _NUMBERS))),
        st.builds(ast.Plus, e),
        st.builds(ast.IsNull, e, flags),
        st.builds(ast.Between, e, e, e, flags),
        st.builds(ast.InList, e, some, flags),
        st.builds(ast.Like, e, e, st.none() | st.sampled_from(["!", "'"]), flags),
        st.builds(ast.Case, st.none() | e, st.lists(st.tuples(e, e), min_size=1, max_size=2).map(tuple), st.none() | e),
        st.builds(ast.Cast, e, types),
        st.builds(ast.Dereference, e, names),
        st.builds(ast.Subscript, e, e),
        st.builds(ast.FunctionCall, functions, arguments),
        st.builds(ast.ArrayConstructor, several),
        st.builds(ast.MapConstructor, st.lists(st.tuples(e, e), max_size=2).map(tuple)),
        st.builds(ast.StructConstructor, st.lists(st.tuples(names, e), max_size=2).map(tuple)),
        st.builds(ast.AtTimeZone, e, st.builds(ast.StringLiteral, texts)),
        st.builds(ast.FunctionCall, functions, some, st.just(False), st.just(True)),
        st.builds(ast.ScalarSubquery, subqueries),
        st.builds(ast.InSubquery, e, subqueries, flags),
        st.builds(ast.Exists, subqueries),
        st.builds(ast.WindowCall, calls, some | st.just(()), orders(e), st.none() | frames),
        st.lists(e, min_size=15, max_size=40).map(_chain),
    )


def orders(e: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """ORDER BY over expressions."""
    items = st.builds(ast.OrderItem, e, st.booleans(), st.sampled_from([None, "FIRST", "LAST"]))
    return st.lists(items, max_size=2).map(tuple)


def _chain(parts: list[Any]) -> Any:
    """What the parser makes of a chain of ORs."""
    return parse_expression(" OR ".join(f"({unparse_expression(p)})" for p in parts))


counts = st.integers(0, 99) | st.builds(ast.Parameter, st.just("SOME_NAME"))
subqueries = st.sampled_from(
    [
        parse_statement(text)
        for text in (
            "SELECT 1",
            "SELECT A FROM S",
            "SELECT DISTINCT A FROM S, (SELECT B FROM T) ORDER BY 1 LIMIT 2 OFFSET $n",
            "WITH X (Y) AS (SELECT 1) SELECT * FROM X UNION ALL (SELECT 2 LIMIT 1) INTERSECT VALUES (1), ($a)",
        )
    ]
)
calls = st.builds(ast.FunctionCall, st.sampled_from(["SUM", "LAG"]), st.just((ast.NameRef("A"),)))
_bounds = [ast.FrameBound(k) for k in ("UNBOUNDED PRECEDING", "CURRENT ROW", "UNBOUNDED FOLLOWING")]
frame_bounds = st.sampled_from(_bounds) | st.builds(ast.FrameBound, st.sampled_from(["PRECEDING", "FOLLOWING"]), counts)
frames = st.builds(ast.WindowFrame, st.sampled_from(["ROWS", "RANGE"]), frame_bounds, frame_bounds)


atoms = st.one_of(
    literals,
    st.builds(ast.NameRef, names, st.none() | names),
    st.builds(ast.IntervalUnit, st.sampled_from(["DAYS", "MILLISECOND", "YEARS"])),
    st.just(ast.FunctionCall("COUNT", (), True)),
)
expressions = st.recursive(atoms, _compound, max_leaves=8)
short = st.recursive(atoms, _compound, max_leaves=3)

source_refs = st.builds(ast.SourceRef, names, st.none() | names)
joins = st.builds(
    ast.Join,
    st.sampled_from(["INNER", "LEFT", "RIGHT", "FULL"]),
    source_refs,
    short,
    st.none() | st.builds(ast.Within, durations, optional_durations, optional_durations),
)
windows = st.one_of(
    st.builds(
        ast.Window, st.sampled_from(["TUMBLING", "SESSION"]), durations, st.none(), optional_durations, optional_durations
    ),
    st.builds(ast.Window, st.just("HOPPING"), durations, durations, optional_durations, optional_durations),
)
select_items = st.one_of(
    st.builds(ast.SelectStar, st.none() | names),
    st.builds(ast.SelectStructStar, short),
    st.builds(ast.SelectExpression, short, st.none() | names),
)
expression_lists = st.lists(short, max_size=2).map(tuple)
queries = st.builds(
    ast.Query,
    st.lists(select_items, min_size=1, max_size=3).map(tuple),
    source_refs,
    st.lists(joins, max_size=2).map(tuple),
    st.none() | windows,
    st.none() | short,
    expression_lists,
    expression_lists,
    st.none() | short,
    st.sampled_from([None, "CHANGES", "FINAL"]),
    st.none() | st.integers(0, 10**9),
)
from_items = (
    source_refs
    | st.builds(ast.SubqueryRef, queries, st.none(), st.just(()))
    | st.builds(ast.SubqueryRef, subqueries, names, st.lists(names, max_size=2).map(tuple))
)
using = st.lists(names, min_size=1, max_size=2).map(tuple)
table_joins = st.one_of(
    st.builds(ast.TableJoin, st.just("CROSS"), from_items),
    st.builds(ast.TableJoin, st.sampled_from(["INNER", "LEFT", "RIGHT", "FULL"]), from_items, short),
    st.builds(ast.TableJoin, st.sampled_from(["INNER", "FULL"]), from_items, st.none(), using),
)
selects = st.builds(
    ast.Select,
    st.lists(select_items, min_size=1, max_size=2).map(tuple),
    from_items,
    st.lists(table_joins, max_size=2).map(tuple),
    st.none() | short,
    expression_lists,
    st.none() | short,
    st.booleans(),
)
value_rows = st.lists(st.lists(short, min_size=1, max_size=2).map(tuple), min_size=1, max_size=2).map(tuple)
simple_bodies = selects | st.builds(ast.ValuesTable, value_rows)
bodies = simple_bodies | st.builds(
    ast.SetOperation, st.sampled_from(["UNION", "EXCEPT", "INTERSECT"]), st.booleans(), simple_bodies, simple_bodies
)
table_queries = st.builds(
    ast.TableQuery,
    bodies,
    st.lists(st.builds(ast.CommonTable, names, st.lists(names, max_size=2).map(tuple), queries), max_size=2).map(tuple),
    orders(short),
    st.none() | counts,
    counts,
)
kinds = st.sampled_from(["STREAM", "TABLE"])
flags = st.booleans()
properties = st.lists(
    st.builds(ast.Property, st.sampled_from(["KAFKA_TOPIC", "FORMAT", "connector.class", "PARTITIONS"]), literals),
    max_size=3,
).map(tuple)
columns = st.lists(
    st.one_of(
        st.builds(ast.ColumnDefinition, names, types, st.sampled_from(["VALUE", "KEY", "PRIMARY KEY", "HEADERS"])),
        st.builds(ast.ColumnDefinition, names, types, st.just("HEADER"), texts),
    ),
    max_size=3,
).map(tuple)
added = st.lists(st.builds(ast.ColumnDefinition, names, types), min_size=1, max_size=2).map(tuple)
name_lists = st.lists(names, max_size=3).map(tuple)
values = st.lists(short, min_size=1, max_size=3).map(tuple)
query_ids = st.sampled_from(["CSAS_X_1", "QUERY", "SHOW", "INSERTQUERY_4"])
shown = st.sampled_from(["STREAMS", "TABLES", "TOPICS", "QUERIES"])
listed = st.sampled_from(
    ["FUNCTIONS", "TYPES", "PROPERTIES", "VARIABLES", "CONNECTORS", "SINK CONNECTORS", "CONNECTOR PLUGINS"]
)
numbers = st.none() | st.integers(0, 99)

plain_statements = st.one_of(
    queries,
    st.builds(ast.CreateSource, kinds, names, columns, properties, flags, flags, flags),
    st.builds(ast.CreateFrom, kinds, names, texts, properties, flags),
    st.builds(ast.CreateAsSelect, kinds, names, queries, properties, flags, flags),
    st.builds(ast.InsertSelect, names, queries, properties),
    st.builds(ast.InsertValues, names, name_lists, st.lists(values, min_size=1, max_size=2).map(tuple)),
    st.builds(ast.Delete, names, st.none() | short),
    table_queries,
    st.builds(ast.AlterSource, kinds, names, added),
    st.builds(ast.DropSource, kinds, names, flags, flags),
    st.builds(ast.CreateType, names, types, flags),
    st.builds(ast.DropType, names, flags),
    st.builds(ast.ControlQuery, st.sampled_from(["TERMINATE", "PAUSE", "RESUME"]), st.none() | query_ids),
    st.builds(ast.Show, shown, flags),
    st.builds(ast.Show, listed),
    st.builds(ast.Show, st.just("TOPICS"), flags, st.just(True)),
    st.builds(ast.Describe, st.just("SOURCE"), names, flags),
    st.builds(ast.Describe, st.sampled_from(["FUNCTION", "CONNECTOR"]), names),
    st.builds(ast.Describe, st.sampled_from(["STREAMS", "TABLES"]), st.none(), flags),
    st.builds(ast.Describe, st.just("QUERY"), query_ids),
    st.builds(ast.Print, names, flags, numbers, numbers),
    st.builds(ast.SetProperty, texts, texts),
    st.builds(ast.UnsetProperty, texts),
    st.builds(ast.AlterSystem, texts, texts),
    st.builds(ast.Define, names, texts),
    st.builds(ast.Undefine, names),
    st.builds(ast.CreateConnector, st.sampled_from(["SOURCE", "SINK"]), names, properties, flags),
    st.builds(ast.DropConnector, names, flags),
    st.builds(ast.AssertTopic, names, properties, flags, optional_durations),
    st.builds(ast.AssertSchema, st.none() | names, numbers, flags, optional_durations),
    st.builds(ast.AssertValues, names, name_lists, values, flags),
    st.builds(ast.AssertSource, kinds, names, columns, properties),
    st.builds(ast.RunScript, texts),
    st.builds(ast.WhyNoRows, query_ids | names),
)
statements = st.one_of(
    plain_statements,
    st.builds(ast.Explain, plain_statements),
    st.builds(ast.Explain, st.none(), query_ids, flags),
).filter(lambda s: not (isinstance(s, ast.CreateSource) and s.if_not_exists and s.name == ""))


@settings(max_examples=250, deadline=None)
@given(expressions)
def test_expressions_survive_the_round_trip(expression: Any) -> None:
    """An expression is parsed back from its canonical text."""
    assert parse_expression(unparse_expression(expression) if not isinstance(expression, ast.Lambda) else "1") == expression


@settings(max_examples=100, deadline=None)
@given(types)
def test_types_survive_the_round_trip(type_: Any) -> None:
    """A type is parsed back from its canonical text."""
    assert parse_type(unparse_type(type_)) == type_


@settings(max_examples=400, deadline=None)
@given(statements)
def test_statements_survive_the_round_trip(statement: Any) -> None:
    """A statement is parsed back from its canonical text."""
    assert parse_statement(unparse(statement)) == statement


def test_every_statement_has_a_strategy() -> None:
    """A kind of statement that is added is held to the round trip, too."""
    generated = set(re.findall(r"ast\.(\w+)", Path(__file__).read_text(encoding="utf-8")))
    assert {kind.__name__ for kind in get_args(ast.Statement)} <= generated, "st.builds(ast.Name, ..) above"


def _case_statements() -> list[str]:
    """Every distinct text that looks like a statement in the conformance cases, wherever it stands in them."""
    root = Path(__file__).parents[2]
    shared = Path(os.environ.get("PENSTOCK_SHARED", root.parent / "shared"))
    found: dict[str, None] = {}
    for path in sorted((shared / "conformance" / "cases").glob("*/*.json")):
        for test in json.loads(path.read_bytes())["tests"]:
            for statement in test.get("statements", ()):
                formats = test.get("format") or ["JSON"]
                found[str(statement).replace("{FORMAT}", str(formats[0]))] = None
    return list(found)


def test_the_statements_of_the_conformance_cases_survive_the_round_trip() -> None:
    """Each statement of the cases that parses is parsed back from its canonical text; few do not parse at all."""
    texts = _case_statements()
    if not texts:
        pytest.skip("the conformance cases are not here")
    refused = 0
    for text in texts:
        try:
            parsed = parse(text)
        except StatementError:
            refused += 1
            continue
        for one in parsed:
            assert parse_statement(unparse(one.statement)) == one.statement, text
    assert refused < 40  # the cases of syntax errors
