"""SQL expressions, evaluated over small tables written as rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from penstock.engine import types as t
from penstock.engine.analysis.bind import bind
from penstock.engine.analysis.types import resolve_type
from penstock.engine.expressions import nodes as n
from penstock.engine.expressions.compile import compile_expression, compile_predicate
from penstock.engine.expressions.values import from_python, to_python
from penstock.engine.functions.registry import Registry, aggregate, scalar, table_function
from penstock.errors import StatementError
from penstock.grammar import ast
from penstock.grammar.parse import parse_expression, parse_type
from penstock.runtime.kernel import Evaluated, Failures, Kernel


class Columns:
    """A scope of the given columns."""

    def __init__(self, types: dict[str, t.SqlType]) -> None:
        self.types = types

    def resolve(self, ref: ast.NameRef) -> n.ColumnRef:
        if ref.qualifier is not None or ref.name not in self.types:
            raise StatementError(f"no column {ref.name}", span=ref.span)
        return n.ColumnRef(ref.name, type=self.types[ref.name])


class Result(NamedTuple):
    values: list[Any]
    failed: dict[int, str]


class Bench:
    """``bench("A + 1", A="INT")`` binds; ``bench.run("A + 1", [1, None], A="INT")`` evaluates over rows."""

    def __init__(self) -> None:
        self.functions = functions_for_tests()

    def bind(self, sql: str, **columns: str) -> n.TypedExpression:
        types = {name: resolve_type(parse_type(text), {}) for name, text in columns.items()}
        return bind(parse_expression(sql), Columns(types), self.functions)

    def table(self, rows: Sequence[Any], **columns: str) -> tuple[list[Any], pa.Schema]:
        """Columns from rows: tuples, or bare values for a single column."""
        types = {name: resolve_type(parse_type(text), {}) for name, text in columns.items()}
        tuples = [row if len(types) > 1 else (row,) for row in rows]
        arrays = []
        for i, type_ in enumerate(types.values()):
            array, failures = from_python([row[i] for row in tuples], type_)
            assert failures is None, failures
            arrays.append(array)
        return arrays, pa.schema([(name, t.to_arrow(type_)) for name, type_ in types.items()])

    def kernel(self, sql: str, schema: pa.Schema, predicate: bool = False, **columns: str) -> tuple[Kernel, t.SqlType]:
        bound = self.bind(sql, **columns)
        compile_ = compile_predicate if predicate else compile_expression
        return compile_(bound, schema, functions=self.functions), bound.type

    def run(self, sql: str, rows: Sequence[Any], predicate: bool = False, **columns: str) -> Result:
        arrays, schema = self.table(rows, **columns)
        kernel, type_ = self.kernel(sql, schema, predicate, **columns)
        result = kernel(arrays, len(rows))
        assert result.values.type == t.to_arrow(type_)
        assert len(result.values) == len(rows)
        result.values.validate(full=True)
        whole = Result(to_python(result.values, type_), reasons(result.failures))
        self._check_pieces(kernel, arrays, len(rows), type_, whole)
        return whole

    def _check_pieces(self, kernel: Kernel, arrays: list[Any], length: int, type_: t.SqlType, whole: Result) -> None:
        """How the rows are cut into batches cannot be seen, and slices with offsets give the same."""
        values: list[Any] = []
        failed: dict[int, str] = {}
        for row in range(length):
            part = kernel([a.slice(row, 1) for a in arrays], 1)
            values += to_python(part.values, type_)
            failed |= {row + r: reason for r, reason in reasons(part.failures).items()}
        assert repr(values) == repr(whole.values)
        assert failed == whole.failed
        assert len(kernel([a.slice(0, 0) for a in arrays], 0).values) == 0

    def one(self, sql: str, *row: Any, **columns: str) -> Any:
        """The value for one row; a failure is the string ``failed``."""
        rows = [row if len(columns) > 1 else row[0]] if columns else []
        if columns:
            result = self.run(sql, rows, **columns)
        else:
            kernel, type_ = self.kernel(sql, pa.schema([]))
            evaluated = kernel([], 1)
            result = Result(to_python(evaluated.values, type_), reasons(evaluated.failures))
        return "failed" if result.failed else result.values[0]


def reasons(failures: Failures | None) -> dict[int, str]:
    return {} if failures is None else dict(zip(failures.rows.tolist(), failures.reasons, strict=True))


def functions_for_tests() -> Registry:
    """A few functions of every style."""
    registry = Registry()

    @scalar("LEN", "length", "(text STRING) -> INT", registry=registry)
    def _(text: str) -> int:
        return len(text)

    @scalar("EXPLODING", "fails on negatives", "(number INT) -> INT", registry=registry)
    def _(number: int) -> int:
        if number < 0:
            raise ValueError("negative")
        return number

    @scalar("COALESCE", "first that is not null", "(first T, rest T...) -> T", nulls=True, registry=registry)
    def _(*values: Any) -> Any:
        return next((v for v in values if v is not None), None)

    @scalar(
        "ABS",
        "absolute value",
        "(x INT) -> INT",
        "(x BIGINT) -> BIGINT",
        "(x DOUBLE) -> DOUBLE",
        style="arrow",
        registry=registry,
    )
    def _(x: Any) -> Any:
        return pc.abs(x)

    @scalar("ABS", "absolute value", "(x DECIMAL) -> *", returns=lambda types, _: types[0], registry=registry)
    def _(x: Decimal) -> Decimal:
        return abs(x)

    @scalar("ROUGH", "a double", "(x DOUBLE) -> DOUBLE", style="arrow", registry=registry)
    def _(x: Any) -> Any:
        return x

    @scalar("TWICE", "ambiguous for INT", "(x BIGINT) -> BIGINT", "(x DOUBLE) -> DOUBLE", registry=registry)
    def _(x: Any) -> Any:
        return 2 * x

    @scalar("GREATEST", "largest", "(first INT, rest INT...) -> INT", "(first DATE, rest DATE...) -> DATE",
            "(first STRING, rest STRING...) -> STRING", nulls=True, registry=registry)  # fmt: skip
    def _(*values: Any) -> Any:
        return max((v for v in values if v is not None), default=None)

    @scalar("TRANSFORM", "map over items", "(items ARRAY<T>, f (T) => U) -> ARRAY<U>", style="arrow", registry=registry)
    def _(items: Any, f: Any) -> Evaluated:
        lengths = np.asarray(pc.list_value_length(items).fill_null(0), np.int64)
        parents = np.repeat(np.arange(len(items)), lengths)
        inner = f([items.flatten()], parents)
        nulls = np.asarray(items.is_null())
        failures = None
        if inner.failures is not None:
            rows, first = np.unique(parents[inner.failures.rows], return_index=True)
            failures = Failures(rows, tuple(inner.failures.reasons[i] for i in first))
            nulls = nulls.copy()
            nulls[rows] = True
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
        lists = pa.ListArray.from_arrays(offsets, inner.values)
        return Evaluated(lists.take(pa.array(np.arange(len(lists)), mask=nulls)), failures)

    @scalar("LATER", "adds time", "(unit UNIT, amount INT, date DATE) -> DATE", registry=registry)
    def _(unit: str, amount: int, date: int) -> int:
        return date + amount * {"DAY": 1, "WEEK": 7}[unit]

    @scalar("DICE", "another number each time", "() -> DOUBLE", volatile=True, registry=registry)
    def _() -> float:
        registry.rolls = getattr(registry, "rolls", 0) + 1  # type: ignore[attr-defined]
        return float(registry.rolls)  # type: ignore[attr-defined]

    @scalar("WORD", "needs a constant from ``returns``", "(width INT) -> *",
            returns=lambda types, literals: t.Decimal(literals[0], 0), registry=registry)  # fmt: skip
    def _(width: int) -> Decimal:
        return Decimal(width)

    @table_function("EXPLODE", "items as rows", "(items ARRAY<T>) -> T", registry=registry)
    def _(items: list[Any]) -> list[Any]:
        return items

    @aggregate("MIDDLE", "variadic in the middle", "(first INT, rest T..., last STRING) -> BIGINT", registry=registry)
    def _(types: Any, literals: Any) -> Any:
        return None

    @aggregate("TOPK", "top k", "(x INT, k INT) -> ARRAY<INT>", literals=("k",), registry=registry)
    def _(types: Any, literals: Any) -> Any:
        return None

    return registry


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def refuses(bench: Bench) -> Callable[..., StatementError]:
    """Binding fails with a StatementError that has a span."""

    def check(sql: str, **columns: str) -> StatementError:
        with pytest.raises(StatementError) as caught:
            bench.bind(sql, **columns)
        assert caught.value.span is not None, caught.value
        return caught.value

    return check
