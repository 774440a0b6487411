"""Compiles each typed expression to a kernel: a function over columns.

Constant parts are evaluated once, at compile time.  Volatile functions and parts that fail are exceptions.  A part that
occurs several times in an expression is evaluated once per batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa

from ...errors import InternalError, StatementError
from ...kernels.gathering import Later
from ...runtime.batch import Bools
from ...runtime.kernel import Evaluated, Kernel
from .. import types as t
from ..columns.sizes import ColumnTooLargeError, has_any_size
from ..functions.registry import BUILT_INS, Registry
from . import nodes as n
from .arithmetic import compile_arithmetic, compile_negation
from .calls import compile_call, compile_case
from .casts import cast_array
from .comparison import (
    compile_between,
    compile_comparison,
    compile_in,
    compile_in_values,
    compile_is_null,
    compile_logical,
    compile_not,
    is_cheap,
)
from .frames import Evaluator, RowFrame, Value, guarded, limited, strict
from .like import compile_like
from .structures import compile_array, compile_field, compile_map, compile_struct, compile_subscript
from .values import blank, from_python, merge_failures, null_mask, restrict_failures, to_numpy

_SHARED_MAX: Final = 4_096
"""The number of kernels of unchanged columns that are kept.  All queries share them."""


def compile_expression(
    expression: n.TypedExpression,
    schema: pa.Schema,
    *,
    functions: Registry = BUILT_INS,
    report_guarded: bool = False,
    guard: bool = True,
) -> Kernel:
    """Compile an expression to a kernel for batches of ``schema``.

    The kernel of a `TableCall` gives a list array: the output of each row.

    Args:
        functions: the registry with the implementations of its calls.
        report_guarded: also report failures inside guarded parts (CAST, items of constructors, calls as arguments).  A row
            with such a failure may still have a value.  Without this, every reported row is null.
        guard: False: a failure inside a guarded part fails the whole expression.

    Raises:
        StatementError: a function is not registered, or no longer.
    """
    if isinstance(expression, n.ColumnRef):
        return _column_kernel(_place(expression, schema), expression.type)
    evaluator = _Compiler(expression, schema, functions).compile(expression)
    type_ = t.Array(expression.type) if isinstance(expression, n.TableCall) else expression.type
    arrow = t.to_arrow(type_)

    def kernel(columns: Sequence[Any], length: int) -> Evaluated:
        if not length:
            return Evaluated(pa.nulls(0, arrow))
        frame = RowFrame(columns, length)
        value = evaluator(frame) if guard else _unguarded(evaluator(frame), frame)
        data = frame.array(value.data)
        reports = value.guarded
        if reports is not None and not report_guarded:
            reports = restrict_failures(reports, null_mask(data))
        return Evaluated(data, merge_failures(value.failures, reports))

    return kernel


@lru_cache(_SHARED_MAX)
def _column_kernel(place: int, type_: t.SqlType) -> Kernel:
    """The kernel of an unchanged column.

    All queries share it: the kernels of a thousand queries would slow down garbage collection.
    """
    read, arrow = _column_at(place), t.to_arrow(type_)

    def kernel(columns: Sequence[object], length: int) -> Evaluated:
        if not length:
            return Evaluated(pa.nulls(0, arrow))
        column = columns[place]
        return Evaluated(column if isinstance(column, (pa.Array, Later)) else read(RowFrame(columns, length)).data)

    return kernel


@lru_cache(_SHARED_MAX)
def _column_at(place: int) -> Evaluator:
    return lambda frame: Value(frame.column(place))


def _place(column: n.ColumnRef, schema: pa.Schema) -> int:
    index: int = schema.get_field_index(column.name)
    if index < 0:
        raise InternalError(f"column {column.name} is not in {schema.names}")
    return index


def _unguarded(value: Value, frame: RowFrame) -> Value:
    """Turn the failures of guarded parts into failures of the whole expression."""
    if value.guarded is None:
        return value
    return Value(blank(frame.array(value.data), value.guarded), merge_failures(value.failures, value.guarded))


def compile_predicate(
    expression: n.TypedExpression, schema: pa.Schema, *, functions: Registry = BUILT_INS, guard: bool = True
) -> Kernel:
    """Compile a BOOLEAN expression to a kernel that gives true for the rows where it holds.

    Failed rows are false and are reported.

    Args:
        functions, guard: see `compile_expression`.

    Raises:
        StatementError: the expression is not BOOLEAN, or a function is not registered.
    """
    if expression.type != t.BOOLEAN:
        raise StatementError(f"{n.text(expression)} is {expression.type}, where BOOLEAN is needed", span=expression.span)
    evaluator = _Compiler(expression, schema, functions).compile(expression)

    def kernel(columns: Sequence[Any], length: int) -> Evaluated:
        if not length:
            return Evaluated(pa.nulls(0, pa.bool_()))
        frame = RowFrame(columns, length)
        value = evaluator(frame) if guard else _unguarded(evaluator(frame), frame)
        data = frame.array(value.data)
        if data.null_count:
            data = data.fill_null(False)
        failures = value.failures
        if value.guarded is not None:
            untrue: Bools = ~to_numpy(data, bool)
            failures = merge_failures(failures, restrict_failures(value.guarded, untrue))
        return Evaluated(data, failures)

    return kernel


class _Compiler:
    def __init__(self, root: n.TypedExpression, schema: pa.Schema, functions: Registry) -> None:
        self._schema = schema
        self._functions = functions
        self._counts = Counter(e for e in n.walk(root) if n.children(e))
        self._slots: dict[n.TypedExpression, int] = {}

    def compile(self, e: n.TypedExpression) -> Evaluator:
        """Compile a node and all nodes below it."""
        constant = self._fold(e)
        if constant is not None:
            return constant
        evaluator = self._node(e)
        if not isinstance(e, n.ColumnRef | n.ParameterRef) and has_any_size(t.to_arrow(e.type)):
            evaluator = limited(evaluator, e.span)
        if self._counts[e] < 2 or n.is_volatile(e):
            return evaluator
        slot = self._slots.setdefault(e, len(self._slots))

        def once(frame: RowFrame) -> Value:
            found = frame.memo.get(slot)
            if found is None:
                found = frame.memo[slot] = evaluator(frame)
            return found

        return once

    def _fold(self, e: n.TypedExpression) -> Evaluator | None:
        if isinstance(e, n.Literal | n.OuterValue):
            scalar = from_python([e.value], e.type)[0][0]
        elif isinstance(e, n.UnitWord | n.LambdaNode) or not n.is_constant(e) or n.is_volatile(e):
            return None
        else:
            frame = RowFrame((), 1)
            try:
                value = self._node(e)(frame)
            except ColumnTooLargeError:
                return None
            if value.failures is not None or value.guarded is not None:
                return None
            scalar = frame.array(value.data)[0]
        constant = Value(scalar)
        return lambda frame: constant

    def _guarded(self, e: n.TypedExpression) -> Evaluator:
        return guarded(self.compile(e))

    def _argument(self, e: n.TypedExpression) -> Evaluator:
        """Compile an argument.  Calls and dereferences are guarded as arguments; arithmetic and comparisons are not."""
        inner = e.operand if isinstance(e, n.Cast) and e.implicit else e
        if isinstance(inner, n.Call | n.FieldAccess | n.Subscript):
            return self._guarded(e)
        return self.compile(e)

    def _node(self, e: n.TypedExpression) -> Evaluator:
        match e:
            case n.ColumnRef():
                return _column_at(_place(e, self._schema))
            case n.ParameterRef(name=name):
                return lambda frame: Value(frame.parameter(name))
            case n.Call() | n.TableCall():
                return compile_call(e, self._functions.overload(e.function), self._argument, self.compile)
            case n.Negate(operand=operand):
                return compile_negation(self.compile(operand))
            case n.Arithmetic(left=left, right=right):
                return compile_arithmetic(e, self.compile(left), self.compile(right))
            case n.Compare(left=left, right=right):
                return compile_comparison(e, self.compile(left), self.compile(right))
            case n.Logical(left=left, right=right):
                return compile_logical(e, self.compile(left), self.compile(right))
            case n.Not(operand=operand):
                return compile_not(self.compile(operand))
            case n.IsNull(operand=operand):
                return compile_is_null(e, self.compile(operand))
            case n.Between(operand=operand, low=low, high=high):
                return compile_between(e, self.compile(operand), self.compile(low), self.compile(high))
            case n.In():
                return self._in(e)
            case n.InValues(operand=operand, found=found):
                return compile_in_values(self.compile(operand), found.values, e.negated)
            case n.Like(operand=operand, pattern=pattern):
                return compile_like(e, self.compile(operand), self.compile(pattern))
            case n.Case(branches=branches, default=default):
                parts = [part for branch in branches for part in branch] + [default]
                compiled = [(self.compile(c), self.compile(r)) for c, r in branches]
                return compile_case(e, compiled, self.compile(default), not all(map(is_cheap, parts)))
            case n.Cast():
                return self._cast(e)
            case n.Subscript(base=base, index=index):
                return compile_subscript(e, self.compile(base), self.compile(index))
            case n.FieldAccess(base=base):
                return compile_field(e, self.compile(base))
            case n.ArrayMake(items=items):
                return compile_array(e, [self._guarded(item) for item in items])
            case n.MapMake(entries=entries):
                keys, values = [self._guarded(k) for k, _ in entries], [self._guarded(v) for _, v in entries]
                return compile_map(e, keys, values)
            case n.StructMake(fields=fields):
                return compile_struct(e, [self._guarded(value) for _, value in fields])
        raise InternalError(f"{type(e).__name__} cannot be compiled: {n.text(e)}")

    def _in(self, e: n.In) -> Evaluator:
        items = [self.compile(item) for item in e.items]
        constants: list[Any] | None = None
        if all(isinstance(item, n.Literal) for item in e.items):
            constants = [item(RowFrame((), 1)).data for item in items]
        return compile_in(e, self.compile(e.operand), items, constants)

    def _cast(self, e: n.Cast) -> Evaluator:
        operand = self.compile(e.operand)
        source, target, label = e.operand.type, e.type, n.text(e)

        def evaluate(frame: RowFrame) -> Value:
            value = operand(frame)
            result = cast_array(frame.array(value.data), source, target)
            own = result.failures
            if own is not None:
                own = type(own)(own.rows, tuple(f"{label}: {reason}" for reason in own.reasons))
            return strict(blank(result.values, own), (value,), own)

        return evaluate if e.implicit else guarded(evaluate)
