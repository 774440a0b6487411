"""JSON functions over columns give, for every row, what reading and writing its texts exactly gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.engine.functions import json_text
from penstock.engine.functions.json_values import FLOATS, MISSING, needs_digits, parse, write
from penstock.runtime.kernel import Evaluated

numbers = st.sampled_from(
    ("0", "-0", "1.0", "0.10", "1E5", "-0.0", "1e999", "0.0000001", "1.25", "12345678.5", "0.12345678")
)
numbers |= st.integers(-(2**70), 2**70).map(str) | st.decimals(-999, 999, places=3).map(str)
strings = st.sampled_from(('"a"', '"\\ud800"', '"\\u0041"', '"\u00e9"', '""', '"1.50"', '"a\\n"'))
texts = st.recursive(
    numbers | strings | st.sampled_from(("null", "true", "false")),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(strings, inner), max_size=3).map(lambda kv: "{" + ",\n".join(f"{k}: {v}" for k, v in kv) + "}")
    ),
    max_leaves=6,
)
broken = st.sampled_from(("", " ", "[1", "2]", "3,4", "1\n2", '{"a": ', "\n", "nul", "01", "[1,]", '"'))
columns = st.lists(st.none() | texts | broken, min_size=1, max_size=8)


def rows_of(made: Any) -> tuple[list[Any], list[int]]:
    evaluated = made if isinstance(made, Evaluated) else Evaluated(made)
    evaluated.values.validate(full=True)
    return evaluated.values.to_pylist(), [] if evaluated.failures is None else evaluated.failures.rows.tolist()


def by_row(function: Callable[..., Any], *given_columns: list[Any]) -> tuple[list[Any], list[int]]:
    """What a function of values gives; texts that cannot be, fail."""
    values: list[Any] = []
    failed: list[int] = []
    for row, arguments in enumerate(zip(*given_columns, strict=True)):
        value = None
        if None not in arguments:
            try:
                value = function(*arguments)
                pa.array([json.dumps(value, ensure_ascii=False)])
            except ValueError:
                failed.append(row)
                value = None
        values.append(value)
    return values, failed


def shown(node: Any) -> str:
    return node if isinstance(node, str) else write(node)


def items(text: str) -> Any:
    node = parse(text)
    return list(map(write, node)) if isinstance(node, list) else None


def keys(text: str) -> Any:
    node = parse(text)
    return list(node) if isinstance(node, dict) else None


def records(text: str) -> Any:
    node = parse(text)
    return [(k, shown(v)) for k, v in node.items()] if isinstance(node, dict) else None


def length(text: str) -> Any:
    node = parse(text)
    return len(node) if isinstance(node, list) else None


def field(text: str, path: str) -> Any:
    node = parse(text)
    for step in path[2:].split(".") if len(path) > 2 else ():
        if isinstance(node, dict):
            node = node.get(step, MISSING)
        elif isinstance(node, list) and step.isdecimal() and int(step) < len(node):
            node = node[int(step)]
        else:
            node = MISSING
    return None if node is MISSING else shown(node)


def concat(*given_texts: str) -> Any:
    nodes = [parse(text) for text in given_texts]
    if MISSING in nodes:
        return None
    if all(isinstance(node, dict) for node in nodes):
        return write({key: value for node in nodes for key, value in node.items()})
    if len(nodes) == 1:
        return write(nodes[0])
    return write([item for node in nodes for item in (node if isinstance(node, list) else [node])])


@settings(max_examples=300)
@given(columns)
@example(["[1", "2]", "3,4"])
@example(['{"\\ud800": 1}', '{"a": "\\ud800"}', '["\\ud800"]', '{"a": 1, "a": 0.10}'])
def test_parts(values: list[str | None]) -> None:
    """JSON_ITEMS, JSON_KEYS, JSON_RECORDS, JSON_ARRAY_LENGTH and EXTRACTJSONFIELD."""
    column = pa.array([None, *values], pa.string()).slice(1)
    assert rows_of(json_text.json_items(column)) == by_row(items, values)
    assert rows_of(json_text.json_keys(column)) == by_row(keys, values)
    assert rows_of(json_text.json_records(column)) == by_row(records, values)
    assert rows_of(json_text.json_array_length(column)) == by_row(length, values)
    for path in ("$", "$.a", "$.0"):
        assert rows_of(json_text.extract_json_field(column, pa.scalar(path))) == by_row(field, values, [path] * len(values))


@settings(max_examples=400)
@given(st.lists(st.tuples(*[st.none() | texts | broken] * 3), min_size=1, max_size=5), st.integers(1, 3))
@example([("[1", "2]", "3,4"), ("1\n2", "", "3")], 3)
@example([("[1,", "2]", "[3]"), ("1", "2", "3")], 3)
@example([("[1,", "2]", "6"), ("1 2", "3", "6"), ("4", "5", "6")], 2)  # as many values as texts
@example([("1\n", "[\n2]", "3"), (None, "2", "3")], 3)
def test_concat(rows: list[tuple[str | None, ...]], width: int) -> None:
    """JSON_CONCAT takes each text by itself, whatever its neighbours leave open."""
    given_columns = [[row[i] for row in rows] for i in range(width)]
    found = rows_of(json_text.json_concat(*(pa.array(c, pa.string()) for c in given_columns)))
    assert found == by_row(concat, *given_columns)


@settings(max_examples=300)
@given(
    columns,
    st.sampled_from(
        (
            (pa.float64(), (1.0, 0.1, -0.0, float("inf"), float("nan"), 1.25, 100000.0)),
            (pa.decimal128(9, 3), (Decimal("1.000"), Decimal("0.100"), Decimal("1.250"))),
            (pa.int64(), (0, 1, 5, 100000)),
            (pa.bool_(), (True, False)),
            (pa.string(), ("a", "", "1")),
        )
    ),
    st.data(),
)
def test_contains(values: list[str | None], kind: tuple[Any, tuple[Any, ...]], data: st.DataObject) -> None:
    """JSON_ARRAY_CONTAINS compares values of one kind only; NULL is JSON's null."""
    arrow, choices = kind
    wanted = [data.draw(st.none() | st.sampled_from(choices)) for _ in values]

    def same(item: Any, value: Any) -> bool:
        if isinstance(value, (float, Decimal)):
            return isinstance(item, Decimal) and float(item) == float(value)
        return type(item) is type(value) and bool(item == value)

    def holds(text: str | None, value: Any) -> bool:
        try:
            node = None if text is None else parse(text)
        except ValueError:
            return False
        return isinstance(node, list) and any(same(item, value) for item in node)

    arrays = [[t if t is None or i % 2 else f"[{t}, 1.250, 1]" for i, t in enumerate(values)], values]
    for given_texts in arrays:
        found = json_text.json_array_contains(pa.array(given_texts, pa.string()), pa.array(wanted, arrow))
        assert found.to_pylist() == [holds(t, v) for t, v in zip(given_texts, wanted)]


@settings(max_examples=1000)
@given(st.integers(0, 10**9), st.integers(0, 9), st.booleans())
def test_digits_survive_floats(digits: int, places: int, negative: bool) -> None:
    """Fractions that are not sent to the exact reader are written as they were."""
    text = f"{'-' if negative else ''}{Decimal(digits).scaleb(-places):f}"
    if needs_digits(pa.array([text])) is None:
        assert write(FLOATS.read(text)) == write(parse(text)) == (text if text != "-0" else "0")
