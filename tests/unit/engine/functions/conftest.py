"""Calls a registered function directly, without the expression compiler, in every way it can be called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.engine import types as t
from penstock.engine.analysis.bind import bind
from penstock.engine.expressions.compile import compile_expression
from penstock.engine.expressions.nodes import ColumnRef
from penstock.engine.functions import load_built_ins
from penstock.engine.functions import registry as r
from penstock.errors import StatementError
from penstock.grammar.parse import parse_expression
from penstock.runtime.kernel import Evaluated


@dataclass
class Outcome:
    """Results as row-style values, and the reasons of the rows that failed."""

    values: list[Any]
    failures: dict[int, str] = field(default_factory=dict)
    type: t.SqlType | None = None


Bindings = dict[str, t.SqlType]


def sql_type(text: str) -> t.SqlType:
    """The type of a text such as ``ARRAY<INT>``."""
    return resolve(r.parse_signature(f"() -> {text}").result, {})


def resolve(pattern: r.TypePattern, bindings: Bindings) -> t.SqlType:
    """A pattern without its variables."""
    match pattern:
        case r.Variable(name):
            return bindings[name]
        case r.ArrayOf(item):
            return t.Array(resolve(item, bindings))
        case r.MapOf(key, value):
            return t.Map(resolve(key, bindings), resolve(value, bindings))
        case r.StructOf(fields):
            return t.Struct(tuple((n, resolve(p, bindings)) for n, p in fields))
        case r.Special() | r.LambdaOf():
            raise AssertionError(f"{pattern} is no type")
    return pattern


def matches(pattern: r.TypePattern, type_: Any, bindings: Bindings) -> bool:
    """Whether a type is exactly what a pattern asks for."""
    match pattern:
        case r.Variable(name):
            return bool(bindings.setdefault(name, type_) == type_)
        case r.Special(name):
            return name == "ANY" or (name == "DECIMAL" and isinstance(type_, t.Decimal)) or type_ == name
        case r.ArrayOf(item):
            return isinstance(type_, t.Array) and matches(item, type_.item, bindings)
        case r.MapOf(key, value):
            return isinstance(type_, t.Map) and matches(key, type_.key, bindings) and matches(value, type_.value, bindings)
        case r.LambdaOf():
            return type_ == "LAMBDA"
    return bool(pattern == type_)


def overload_for(name: str, types: Sequence[Any]) -> tuple[r.Overload, Bindings]:
    """The overload that takes exactly these types."""
    function = load_built_ins().find(name)
    assert function is not None, name
    for overload in function.overloads:
        parameters = list(overload.signature.parameters)
        if parameters and parameters[-1].variadic and len(types) >= len(parameters) - 1:
            parameters = parameters[:-1] + [parameters[-1]] * (len(types) - len(parameters) + 1)
        bindings: Bindings = {}
        if len(parameters) == len(types) and all(matches(p.type, x, bindings) for p, x in zip(parameters, types)):
            return overload, bindings
    raise AssertionError(f"{name} has no overload for {', '.join(map(str, types))}")


def to_array(values: Sequence[Any], type_: t.SqlType) -> Any:
    """Row-style values as an Arrow array."""
    return pa.array([_to_arrow_value(v, type_) for v in values], t.to_arrow(type_))


def _to_arrow_value(value: Any, type_: t.SqlType) -> Any:
    if value is None:
        return None
    match type_:
        case t.Map(key, item):
            return [(_to_arrow_value(k, key), _to_arrow_value(v, item)) for k, v in value.items()]
        case t.Array(item):
            return [_to_arrow_value(v, item) for v in value]
        case t.Struct(fields):
            return {n: _to_arrow_value(value.get(n), p) for n, p in fields}
    return value


def to_values(array: Any) -> list[Any]:
    """An Arrow array as row-style values."""
    return [_to_value(scalar.as_py(), array.type) for scalar in array]


def _to_value(value: Any, type_: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, datetime):
        return round((value - datetime(1970, 1, 1)).total_seconds() * 1000)
    if isinstance(value, date):
        return (value - date(1970, 1, 1)).days
    if isinstance(value, time):
        return ((value.hour * 60 + value.minute) * 60 + value.second) * 1000 + value.microsecond // 1000
    if pa.types.is_map(type_):
        return {_to_value(k, type_.key_type): _to_value(v, type_.item_type) for k, v in value}
    if pa.types.is_list(type_):
        return [_to_value(v, type_.value_type) for v in value]
    if pa.types.is_struct(type_):
        return {f.name: _to_value(value[f.name], f.type) for f in type_}
    return value


def as_lambda(function: Callable[..., Any], type_: str) -> Callable[..., Evaluated]:
    """A row-by-row function of parameters as a `LambdaKernel` with a result type; its errors fail their elements."""
    arrow = t.to_arrow(sql_type(type_))

    def kernel(parameters: Sequence[Any], rows: Any) -> Evaluated:
        results, failed, reasons = [], [], []
        columns = [to_values(p) for p in parameters]
        assert all(len(c) == len(rows) for c in columns)
        for element, values in enumerate(zip(*columns)):
            try:
                results.append(function(*values))
            except (ValueError, TypeError, ArithmeticError) as error:
                results.append(None)
                failed.append(element)
                reasons.append(str(error))
        made = to_array(results, sql_type(type_))
        assert made.type == arrow
        failures = r_failures(failed, reasons)
        return Evaluated(made, failures)

    return kernel


def r_failures(rows: list[int], reasons: list[str]) -> Any:
    from penstock.runtime.kernel import Failures

    return Failures(np.asarray(rows, np.int64), tuple(reasons)) if rows else None


def call(name: str, types: Sequence[Any], *rows: tuple[Any, ...]) -> Outcome:
    """Evaluate a function over rows of arguments.

    Args:
        types: a type in SQL for each argument; ``UNIT``; a lambda kernel for a lambda (rows leave it out).

    An arrow-style function is called with columns, with sliced columns, and with literals where all rows agree; all ways
    must give the same.
    """
    kinds = [x if not isinstance(x, str) else x if x == "UNIT" else sql_type(x) for x in types]
    overload, bindings = overload_for(name, ["LAMBDA" if callable(k) else k for k in kinds])
    values = [k for k in kinds if not callable(k)]
    if overload.returns is not None:
        result_type = overload.returns([k for k in kinds if not callable(k)], [None] * len(kinds))
    elif any(callable(k) for k in kinds):
        result_type = None
    else:
        result_type = resolve(overload.signature.result, bindings)
    if overload.style == "row":
        return _call_rows(overload, result_type, rows)
    columns = [[row[i] for row in rows] for i in range(len(values))]

    def build(columns: Sequence[Sequence[Any]], literal: bool, padding: int) -> list[Any]:
        made = iter(zip(columns, values))
        arguments: list[Any] = []
        has_column = False
        for kind in kinds:
            if callable(kind):
                arguments.append(kind)
                continue
            column, type_ = next(made)
            if type_ == "UNIT":
                arguments.append(pa.scalar(column[0]))
                continue
            array = to_array([*column[:1] * padding, *column, *column[:1] * padding], type_)
            array = array.slice(padding, len(column))
            same = all(str(v) == str(column[0]) for v in column)
            if literal and same and (has_column or len(arguments) < len(kinds) - 1):
                arguments.append(array[0])
            else:
                arguments.append(array)
                has_column = True
        if not has_column:
            first = next(i for i, a in enumerate(arguments) if isinstance(a, pa.Scalar) and kinds[i] != "UNIT")
            arguments[first] = pa.repeat(arguments[first], len(rows))
        return arguments

    outcomes = []
    for literal, padding in ((False, 0), (False, 3), (True, 0), (True, 2)):
        result = overload.implementation(*build(columns, literal, padding))
        evaluated = result if isinstance(result, Evaluated) else Evaluated(result)
        array = evaluated.values
        assert isinstance(array, pa.Array), type(array)
        array.validate(full=True)
        assert len(array) == len(rows)
        if result_type is not None:
            assert array.type == t.to_arrow(result_type), (array.type, result_type)
        failures = {}
        if evaluated.failures is not None:
            failures = dict(zip(evaluated.failures.rows.tolist(), evaluated.failures.reasons))
            assert list(failures) == sorted(failures)
            assert all(not array[row].is_valid for row in failures)
        outcomes.append(Outcome(to_values(array), failures, result_type or t.from_arrow(array.type)))
    first = outcomes[0]
    for other in outcomes[1:]:
        assert repr(other.values) == repr(first.values), (other.values, first.values)
        assert other.failures.keys() == first.failures.keys()
    return first


def _call_rows(overload: r.Overload, result_type: t.SqlType | None, rows: Sequence[tuple[Any, ...]]) -> Outcome:
    assert result_type is not None
    results, failures = [], {}
    for number, row in enumerate(rows):
        if not overload.nulls and None in row:
            results.append(None)
            continue
        try:
            results.append(overload.implementation(*row))
        except (ValueError, ArithmeticError, LookupError, TypeError) as error:
            results.append(None)
            failures[number] = str(error)
    return Outcome(to_values(to_array(results, result_type)), failures, result_type)


def one(name: str, types: str, *arguments: Any) -> Any:
    """The result for one row; types separated by ``;``.  A failure is a test's error."""
    outcome = call(name, [x.strip() for x in types.split(";")] if types else [], arguments)
    assert not outcome.failures, outcome.failures
    return outcome.values[0]


def fails(name: str, types: str, *arguments: Any) -> str:
    """The reason why a row fails."""
    outcome = call(name, [x.strip() for x in types.split(";")], arguments)
    assert outcome.values == [None]
    return outcome.failures[0]


@pytest.fixture(name="call")
def call_fixture() -> Callable[..., Outcome]:
    """`call`: a function over rows of arguments."""
    return call


@pytest.fixture(name="one")
def one_fixture() -> Callable[..., Any]:
    """`one`: the result for one row."""
    return one


@pytest.fixture(name="fails")
def fails_fixture() -> Callable[..., str]:
    """`fails`: the reason why one row fails."""
    return fails


@pytest.fixture(name="as_lambda")
def as_lambda_fixture() -> Callable[..., Any]:
    """`as_lambda`: a Python function as a lambda's kernel."""
    return as_lambda


class _Columns:
    """A scope of columns by name."""

    def __init__(self, types: dict[str, t.SqlType]) -> None:
        self._types = types

    def resolve(self, ref: Any) -> Any:
        if ref.name not in self._types:
            raise StatementError(f"no column {ref.name}")
        return ColumnRef(ref.name, type=self._types[ref.name])


@pytest.fixture
def functions() -> Callable[..., Any]:
    """``functions(sql, row, columns)``: an expression with the built-ins, compiled and evaluated; "failed" if it fails."""

    def evaluate(sql: str, row: tuple[Any, ...], columns: dict[str, str]) -> Any:
        types = {name: sql_type(text) for name, text in columns.items()}
        bound = bind(parse_expression(sql), _Columns(types), load_built_ins())
        arrays = [to_array([value] * 2, type_) for value, type_ in zip(row, types.values())]
        schema = pa.schema([(name, t.to_arrow(type_)) for name, type_ in types.items()])
        result = compile_expression(bound, schema)(arrays, 2)
        if result.failures is not None:
            assert result.failures.rows.tolist() == [0, 1]
            return "failed"
        first, second = to_values(result.values)
        assert first == second
        return first

    return evaluate
