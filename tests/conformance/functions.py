"""The functions of ksqlDB's test classpath that cases tagged ``needs:test-udfs`` use (the kit's README lists them).

They are registered as any user's are, so that the cases exercise that door, too.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, TypedDict, TypeVar

import penstock
from penstock.engine.java.text import to_units
from penstock.storage.values.java_doubles import format_double

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
Int = Annotated[int, "INT"]


class Pair(TypedDict):
    """STRUCT<A INT, B INT>."""

    a: Int
    b: Int


def register() -> None:
    """Register them all, in the state of a new process."""
    _scalars()
    _tables()
    _test_udaf()
    _sums()
    _lists()


# --- scalar functions ----------------------------------------------------------------------


def _scalars() -> None:
    for signature, text in (
        ("(a INT, b STRING) -> STRING", "doStuffIntString"),
        ("(a BIGINT, b STRING) -> STRING", "doStuffLongString"),
        ("(a BIGINT, b BIGINT, c STRING) -> STRING", "doStuffLongLongString"),
        ("(a BIGINT...) -> STRING", "doStuffLongVarargs"),
    ):
        penstock.udf(name="test_udf", signature=signature, nulls=True)(lambda *_, text=text: text)
    penstock.udf(name="test_udf", signature="(it STRUCT<A STRING>) -> STRING")(lambda it: it["A"])
    penstock.udf(name="test_udf", signature="() -> STRUCT<A STRING>")(lambda: {"A": "foo"})

    def fail(_: Any) -> int:
        raise RuntimeError("boom!")

    calls = itertools.count(1)
    penstock.udf(name="bad_udf", signature="(a INT) -> INT")(fail)
    penstock.udf(name="bad_udf", signature="(a BOOLEAN) -> INT")(lambda a: fail(a) if a else 0)
    penstock.udf(name="bad_udf", signature="(a STRING) -> STRING", volatile=True)(
        lambda a: a if next(calls) % 2 == 0 else None
    )

    def allow(value: Any, allowed: bool) -> Any:
        if not allowed:
            raise RuntimeError("this branch should not have been looked at")
        return value

    penstock.udf(name="WhenCondition", signature="(value BOOLEAN, allowed BOOLEAN) -> BOOLEAN")(allow)
    penstock.udf(name="WhenResult", signature="(value INT, allowed BOOLEAN) -> INT")(allow)


# --- table functions -----------------------------------------------------------------------

_TYPES = ("INT", "BIGINT", "DOUBLE", "BOOLEAN", "STRING", "DECIMAL", "STRUCT<A STRING>")


def _text(value: Any) -> str:
    """A value as Java prints it."""
    match value:
        case bool():
            return str(value).lower()
        case float():
            return format_double(value)
        case Decimal():
            return f"{value:f}"
        case dict():
            return "Struct{" + ",".join(f"{k}={v}" for k, v in value.items() if v is not None) + "}"
    return str(value)


def _first(values: Any) -> Any:
    return next(iter(values.values() if isinstance(values, dict) else values))


def _tables() -> None:
    for shape, read in (("{}", lambda v: v), ("ARRAY<{}>", _first), ("MAP<STRING, {}>", _first)):
        parameters = ", ".join(f"p{i} {shape.format(type_)}" for i, type_ in enumerate(_TYPES))
        penstock.udtf(name="test_udtf", signature=f"({parameters}) -> STRING")(
            lambda *values, read=read: [_text(read(v)) for v in values]
        )
        for type_ in _TYPES:
            argument = shape.format(type_)
            result = argument.replace("DECIMAL", "DECIMAL(30, 10)")
            penstock.udtf(name="test_udtf", signature=f"(value {argument}) -> {result}")(lambda value: [value])
    penstock.udtf(name="throwing_udtf", signature="(fail BOOLEAN) -> BOOLEAN")(_throwing)


def _throwing(fail: bool) -> list[bool]:
    if fail:
        raise RuntimeError("you asked for it")
    return [fail]


# --- aggregates ----------------------------------------------------------------------------


def _test_udaf() -> None:
    class Sum:
        def initialize(self) -> Any:
            return 0

        def aggregate(self, state: Any, value: Any) -> Any:
            return state + value

        def merge(self, left: Any, right: Any) -> Any:
            return left + right

    class Undoable(Sum):
        def undo(self, state: Any, value: Any) -> Any:
            return state - value

    class Lengths(Sum):
        def __init__(self, initial: str) -> None:
            self._initial = initial

        def initialize(self) -> Any:
            return len(to_units(self._initial))

        def aggregate(self, state: Any, value: Any) -> Any:
            return state + len(to_units(value))

    class Pairs:
        def initialize(self) -> Pair:
            return {"a": 0, "b": 0}

        def aggregate(self, state: Pair, value: Pair) -> Pair:
            return {"a": state["a"] + (value["a"] or 0), "b": state["b"] + (value["b"] or 0)}

        def merge(self, left: Pair, right: Pair) -> Pair:
            return self.aggregate(left, right)

    penstock.udaf(name="test_udaf", signature="(value BIGINT) -> BIGINT", state="BIGINT")(Undoable)
    penstock.udaf(name="test_udaf", signature="(value INT) -> BIGINT", state="BIGINT")(Undoable)
    penstock.udaf(name="test_udaf", signature="(value DOUBLE) -> DOUBLE", state="DOUBLE")(Sum)
    penstock.udaf(name="test_udaf", signature="(value STRING, initial STRING) -> BIGINT", state="BIGINT")(Lengths)
    penstock.udaf(name="test_udaf")(Pairs)


def _weight(values: Sequence[Any]) -> int:
    """Numbers as they are, texts by their lengths, NULLs as nothing."""
    return sum(len(to_units(v)) if isinstance(v, str) else v for v in values if v is not None)


class _Weights:
    """Sums weights, starting with those of its literals."""

    def initialize(self) -> int:
        return 0

    def aggregate(self, state: int, *values: Any) -> int:
        return state + _weight(values)

    def merge(self, left: int, right: int) -> int:
        return left + right - self.initialize()


def _sums() -> None:
    class Middle(_Weights):
        def __init__(self, first: int, second: int) -> None:
            self._initial = first + second

        def initialize(self) -> int:
            return self._initial

    class Many(_Weights):
        def __init__(self, initial: int, *texts: str) -> None:
            self._initial = _weight((initial, *texts))

        def initialize(self) -> int:
            return self._initial

    for name, cls, parameters in (
        ("var_arg", _Weights, "first BIGINT, others STRING..."),
        ("mid_var_arg", Middle, "value BIGINT, others STRING..., first INT, second INT"),
        ("multi_arg", Many, "first BIGINT, second STRING, initial INT, texts STRING..."),
        ("four_arg", Many, "first BIGINT, a STRING, b STRING, c STRING, initial INT, texts STRING..."),
        ("five_arg", Many, "first BIGINT, a STRING, b STRING, c STRING, d INT, initial INT, texts STRING..."),
    ):
        penstock.udaf(name=name, signature=f"({parameters}) -> BIGINT", state="BIGINT", nulls=True)(cls)


def _lists() -> None:
    @penstock.udaf(name="generic_var_arg")
    class Generic:
        def initialize(self) -> Any:
            return []

        def aggregate(self, state: list[A], first: A, second: B, *others: C) -> list[A]:
            return [*state, first]

        def merge(self, left: Any, right: Any) -> Any:
            return left + right

    @penstock.udaf(name="obj_col_arg")
    class Objects:
        def initialize(self) -> Any:
            return []

        def aggregate(self, state: list[Int], first: Int, *others: Any) -> list[Int]:
            return [*state, first]

        def merge(self, left: Any, right: Any) -> Any:
            return left + right
