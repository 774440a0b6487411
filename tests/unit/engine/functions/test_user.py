"""User functions: their types, their values, their failures."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, TypedDict, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import penstock
from penstock.engine import types as t
from penstock.engine.analysis.bind import bind
from penstock.engine.expressions import nodes as n
from penstock.engine.expressions.compile import compile_expression
from penstock.engine.functions.user import USER_FUNCTIONS
from penstock.errors import DataError, StatementError
from penstock.grammar import ast
from penstock.grammar.parse import parse_expression
from penstock.runtime.kernel import Segments

T = TypeVar("T")


class Point(TypedDict):
    x: int
    y: int | None


@dataclass
class Span:
    first: datetime.date
    names: list[str]


class _Scope:
    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema

    def resolve(self, ref: ast.NameRef) -> n.ColumnRef:
        if ref.name not in self.schema.names:
            raise StatementError(f"no column {ref.name}", span=ref.span)
        return n.ColumnRef(ref.name, type=t.from_arrow(self.schema.field(ref.name).type))


def run(sql: str, **columns: Any) -> tuple[list[Any], dict[int, str]]:
    """The values and failures of an expression over columns."""
    table = pa.table(columns)
    bound = bind(parse_expression(sql), _Scope(table.schema), USER_FUNCTIONS)
    kernel = compile_expression(bound, table.schema, functions=USER_FUNCTIONS)
    result = kernel([c.combine_chunks() for c in table.columns], len(table))
    failures = result.failures
    reasons = {} if failures is None else dict(zip(failures.rows.tolist(), failures.reasons, strict=True))
    return result.values.to_pylist(), reasons


@pytest.fixture
def name() -> str:
    """A function name of the test's own: the registry is the process's."""
    return "F_" + uuid.uuid4().hex.upper()


def test_annotations_give_types(name: str) -> None:
    """A plain function: nulls are skipped, literals are cast, exceptions fail their row."""

    @penstock.udf(name=name)
    def tax(amount: float, rate: float) -> float:
        if amount < 0:
            raise ValueError("no refunds")
        return amount * rate

    values, failed = run(f"{name}(A, 2)", A=pa.array([1.5, None, -1.0]))
    assert values == [3.0, None, None]
    assert failed == {2: f"{name}: ValueError: no refunds"}
    assert tax(1.0, 2.0) == 2.0


def test_the_functions_own_name_and_docstring() -> None:
    """Without arguments the decorator takes name and meaning from the function."""

    @penstock.udf
    def triple_for_test(x: int) -> int:
        """Three times x."""
        return 3 * x

    found = USER_FUNCTIONS.find("triple_for_test")
    assert found is not None
    assert (found.name, found.meaning, found.category) == ("TRIPLE_FOR_TEST", "Three times x.", "USER")
    assert run("triple_for_test(A)", A=pa.array([1, 2], pa.int32()))[0] == [3, 6]


def test_defaults_make_overloads(name: str) -> None:
    """A parameter with a default can be left out."""

    @penstock.udf(name=name)
    def greet(who: str, greeting: str = "hello") -> str:
        return f"{greeting} {who}"

    assert run(f"{name}(A) + ', ' + {name}(A, 'bye')", A=pa.array(["bob"]))[0] == ["hello bob, bye bob"]


def test_optional_parameters_see_nulls(name: str) -> None:
    """A parameter that admits None is given None."""

    @penstock.udf(name=name)
    def known(value: str | None) -> bool:
        return value is not None

    assert run(f"{name}(A)", A=pa.array(["x", None]))[0] == [True, False]


def test_variadic_and_generic(name: str) -> None:
    """Any number of arguments of any one type."""

    @penstock.udf(name=name)
    def last(*items: T) -> T:
        return items[-1]

    assert run(f"{name}(A, A, B)", A=pa.array([1]), B=pa.array([2]))[0] == [2]
    assert run(f"{name}(A)", A=pa.array(["x"]))[0] == ["x"]


def test_temporal_and_decimal_values(name: str) -> None:
    """Temporal values are datetime's objects, decimals keep their digits."""

    @penstock.udf(name=name)
    def later(
        day: datetime.date, at: datetime.time, instant: datetime.datetime, price: Annotated[Decimal, "DECIMAL(6, 2)"]
    ) -> datetime.datetime:
        assert price == Decimal("1.50")
        return datetime.datetime.combine(day, at) + (instant - datetime.datetime(1970, 1, 1))

    values, failed = run(
        f"{name}(A, B, C, D)",
        A=pa.array([1], pa.date32()),
        B=pa.array([2000], pa.time32("ms")),
        C=pa.array([5], pa.timestamp("ms")),
        D=pa.array([Decimal("1.50")], pa.decimal128(6, 2)),
    )
    assert not failed
    assert values == [datetime.datetime(1970, 1, 2, 0, 0, 2, 5000)]


def test_structs_are_typed_dicts_and_dataclasses(name: str) -> None:
    """STRUCT fields are upper case in SQL and as written in Python, at any depth."""

    @penstock.udf(name=name)
    def span(points: list[Point], tags: dict[str, Span]) -> Span:
        return Span(tags["a"].first, [f"{p['x']}{p['y']}" for p in points])

    values, failed = run(
        f"{name}(P, M)",
        P=pa.array([[{"X": 1, "Y": None}]], pa.list_(pa.struct([("X", pa.int64()), ("Y", pa.int64())]))),
        M=pa.array(
            [{"a": {"FIRST": datetime.date(2020, 1, 2), "NAMES": []}}],
            pa.map_(pa.string(), pa.struct([("FIRST", pa.date32()), ("NAMES", pa.list_(pa.string()))])),
        ),
    )
    assert not failed
    assert values == [{"FIRST": datetime.date(2020, 1, 2), "NAMES": ["1None"]}]


def test_vectorized_functions_take_columns(name: str) -> None:
    """A vectorised function sees arrays, literals included; where it raises, single rows fail."""

    @penstock.udf(name=name, signature="(x DOUBLE, y DOUBLE) -> DOUBLE", vectorized=True)
    def scaled(x: pa.Array, y: pa.Array) -> Any:
        assert len(x) == len(y)
        if pc.any(pc.less(x, 0)).as_py():
            raise ValueError("negative")
        return pc.multiply(x, y).to_numpy(zero_copy_only=False)

    assert run(f"{name}(A, 2.0)", A=pa.array([1.0, 2.0])) == ([2.0, 4.0], {})
    values, failed = run(f"{name}(A, 2.0)", A=pa.array([1.0, -2.0, 3.0]))
    assert values == [2.0, None, 6.0]
    assert list(failed) == [1]


def test_results_of_the_wrong_type_fail_their_row(name: str) -> None:
    """What SQL's type cannot hold is a failure of the row, not of the batch."""

    @penstock.udf(name=name, signature="(x BIGINT) -> INT")
    def odd(x: int) -> Any:
        return "odd" if x % 2 else x

    values, failed = run(f"{name}(A)", A=pa.array([2, 3, 4]))
    assert values == [2, None, 4]
    assert "'odd'" in failed[1]


def test_functions_without_arguments(name: str) -> None:
    """A volatile function without arguments is called once per row."""
    calls = iter(range(100))

    @penstock.udf(name=name, volatile=True)
    def ticket() -> int:
        return next(calls)

    assert run(f"{name}() + A", A=pa.array([0, 0, 0]))[0] == [0, 1, 2]


def test_table_functions_give_rows(name: str) -> None:
    """Items that are returned or yielded become rows."""

    @penstock.udtf(name=name)
    def words(text: str) -> Iterator[str]:
        yield from text.split()

    assert run(f"{name}(A)", A=pa.array(["a b", "", None]))[0] == [["a", "b"], [], None]
    assert bind(parse_expression(f"{name}('a')"), _Scope(pa.schema([])), USER_FUNCTIONS).type == t.STRING


class _Average:
    """An average with everything an aggregate can have."""

    def initialize(self) -> list[float]:
        return [0.0, 0.0]

    def aggregate(self, state: list[float], value: float) -> list[float]:
        state[0] += value
        state[1] += 1
        return state

    def undo(self, state: list[float], value: float) -> list[float]:
        return [state[0] - value, state[1] - 1]

    def merge(self, left: list[float], right: list[float]) -> list[float]:
        return [left[0] + right[0], left[1] + right[1]]

    def map(self, state: list[float]) -> float | None:
        return state[0] / state[1] if state[1] else None


def _aggregator(sql: str, schema: pa.Schema) -> Any:
    call = n.aggregates_of(bind(parse_expression(sql), _Scope(schema), USER_FUNCTIONS))[0]
    return call, USER_FUNCTIONS.aggregator(call.function, call.argument_types, call.literals)


def test_aggregates(name: str) -> None:
    """Rows in order, each group on its own; undo, merge and results; states survive a checkpoint's round trip."""
    penstock.udaf(name=name)(_Average)
    call, it = _aggregator(f"{name}(A)", pa.schema([("A", pa.float64())]))
    assert call.type == t.DOUBLE
    assert it.can_undo and it.can_merge
    initial = np.empty(2, object)
    initial[:] = [it.fields[0].initial] * 2
    segments = Segments(np.array([0, 1, 0, 0]), 2)
    values = pa.array([1.0, 5.0, None, 3.0])
    state, running = it.scan([initial], segments, [values], None, True)
    assert it.result(state).to_pylist() == [2.0, 5.0]
    assert it.result(running).to_pylist() == [1.0, 5.0, 1.0, 2.0]
    assert initial[0] == [0.0, 0.0]
    undone, _ = it.scan(state, Segments(np.array([0]), 2), [pa.array([1.0])], np.array([True]), False)
    assert it.result(undone).to_pylist() == [3.0, 5.0]
    assert it.result(it.merge(state, state)).to_pylist() == [2.0, 5.0]
    stored = pa.array(state[0].tolist(), it.fields[0].arrow).to_pylist()
    assert stored == state[0].tolist()


def test_aggregates_with_maps_survive_checkpoints(name: str) -> None:
    """A map comes back from Arrow as pairs, and is a dict again for the user."""

    @penstock.udaf(name=name, signature="(word STRING) -> MAP<STRING, BIGINT>", state="MAP<STRING, BIGINT>")
    class Counts:
        def initialize(self) -> Any:
            return {}

        def aggregate(self, state: Any, word: str) -> Any:
            return {**state, word: state.get(word, 0) + 1}

    _, it = _aggregator(f"{name}(A)", pa.schema([("A", pa.string())]))
    assert not it.can_undo and not it.can_merge
    state = np.empty(1, object)
    state[0] = it.fields[0].initial
    after, _ = it.scan([state], Segments(np.array([0, 0]), 1), [pa.array(["x", "x"])], None, False)
    stored = pa.array(after[0].tolist(), it.fields[0].arrow).to_pylist()
    restored = np.empty(1, object)
    restored[0] = stored[0]
    final, _ = it.scan([restored], Segments(np.array([0]), 1), [pa.array(["y"])], None, False)
    assert it.result(final).to_pylist(maps_as_pydicts="lossy") == [{"x": 2, "y": 1}]


class _Joined:
    """Texts joined by a separator, which is a literal of the call."""

    def __init__(self, separator: str, *ends: str) -> None:
        if not separator:
            raise ValueError("the separator is empty")
        self._separator = separator
        self._ends = ends

    def initialize(self) -> str:
        return self._separator.join(self._ends)

    def aggregate(self, state: str, first: str | None, *texts: str | None) -> str:
        return self._separator.join([state, *(t or "-" for t in (first, *texts))])


def _run_aggregate(sql: str, *columns: Any) -> list[Any]:
    call, it = _aggregator(sql, pa.schema([(chr(65 + i), c.type) for i, c in enumerate(columns)]))
    state = np.empty(1, object)
    state[0] = it.fields[0].initial
    after, _ = it.scan([state], Segments(np.zeros(len(columns[0]), np.int64), 1), columns, None, False)
    values: list[Any] = it.result(after).to_pylist(maps_as_pydicts="lossy")
    assert t.to_arrow(call.type) == it.result_type
    return values


def test_the_class_of_an_aggregate_takes_literals(name: str) -> None:
    """Parameters of the class are the last arguments; a column or a value it refuses there is a statement's error."""

    @penstock.udaf(
        name=name, signature="(first STRING, separator STRING, ends STRING...) -> STRING", state="STRING", nulls=True
    )
    class Joined(_Joined):
        pass

    column = pa.array(["a", None, "b"])
    assert _run_aggregate(f"{name}(A, '+')", column) == ["+a+-+b"]
    assert _run_aggregate(f"{name}(A, '+', 'x', 'y')", column) == ["x+y+a+-+b"]
    with pytest.raises(StatementError, match="needs a literal for separator"):
        _aggregator(f"{name}(A, B)", pa.schema([("A", pa.string()), ("B", pa.string())]))
    with pytest.raises(StatementError, match="the separator is empty"):
        _aggregator(f"{name}(A, '')", pa.schema([("A", pa.string())]))


def test_an_aggregate_can_have_only_one_open_end(name: str) -> None:
    """Two lists of any length could not be told apart."""
    with pytest.raises(TypeError, match="takes any number"):
        penstock.udaf(name=name)(_Joined)


def test_generic_aggregates_take_their_types_from_the_call(name: str) -> None:
    """A type variable of the state or the result is what the arguments make it, maps and decimals included."""

    @penstock.udaf(name=name)
    class Firsts:
        def initialize(self) -> Any:
            return []

        def aggregate(self, state: list[T], first: T, *others: Any) -> list[T]:
            return [*state, first]

    some = pa.array([1, None, 3], pa.int32())
    assert _run_aggregate(f"{name}(A)", pa.array([Decimal("1.50"), None, Decimal("2.25")], pa.decimal128(5, 2))) == [
        [Decimal("1.50"), Decimal("2.25")]
    ]
    maps = pa.array([[("k", 1)], [("k", 2)], [("k", 3)]], pa.map_(pa.string(), pa.int64()))
    assert _run_aggregate(f"{name}(A, B)", maps, some) == [[{"k": 1}, {"k": 3}]]


def test_a_failing_aggregate_is_a_data_error(name: str) -> None:
    """An exception in an aggregate stops the query, with the aggregate's name."""

    @penstock.udaf(name=name)
    class Picky:
        def initialize(self) -> int:
            return 0

        def aggregate(self, state: int, value: int) -> int:
            raise ValueError("no")

    _, it = _aggregator(f"{name}(A)", pa.schema([("A", pa.int64())]))
    state = np.empty(1, object)
    state[0] = 0
    with pytest.raises(DataError, match="Picky failed: ValueError: no"):
        it.scan([state], Segments(np.array([0]), 1), [pa.array([1])], None, False)


def test_defining_again_replaces(name: str) -> None:
    """The same parameters: the newer function counts.  Other parameters: one more overload."""
    for result in (1, 2):
        penstock.udf(name=name, signature="(x STRING) -> INT")(lambda x, result=result: result)
    penstock.udf(name=name, signature="(x INT) -> INT")(lambda x: 3)
    assert run(f"{name}(A)", A=pa.array(["x"]))[0] == [2]
    assert run(f"{name}(A)", A=pa.array([1], pa.int32()))[0] == [3]


def test_what_cannot_be_registered(name: str) -> None:
    """Missing or impossible annotations and names are refused when the decorator runs."""
    with pytest.raises(TypeError, match="no result annotation"):
        penstock.udf(lambda x: x)
    with pytest.raises(TypeError, match="Decimal needs its digits"):

        @penstock.udf(name=name)
        def price(x: int) -> Decimal:
            return Decimal(x)

    with pytest.raises(TypeError, match="no annotation"):

        @penstock.udf(name=name)
        def half(x) -> int:  # type: ignore[no-untyped-def]
            return 1

    with pytest.raises(TypeError, match="keyword"):

        @penstock.udf(name=name)
        def keyed(*, x: int) -> int:
            return x

    with pytest.raises(ValueError, match="cannot be called from SQL"):
        penstock.udf(name="no-name", signature="() -> INT")(lambda: 1)
    with pytest.raises(TypeError, match="method aggregate"):

        @penstock.udaf(name=name)
        class Nothing:
            def initialize(self) -> int:
                return 0

    with pytest.raises(ValueError, match="another kind"):
        penstock.udf(name=name, signature="() -> INT")(lambda: 1)
        penstock.udtf(name=name, signature="(x INT) -> INT")(lambda x: [x])


@pytest.mark.parametrize("decorator", [penstock.udf, penstock.udtf, penstock.udaf])
@pytest.mark.parametrize("given", ["INT", 5, ["a"]])
def test_what_a_decorator_is_given_has_a_name(decorator: Any, given: Any) -> None:
    """``@udf("INT")`` says what to write."""
    with pytest.raises(ValueError, match="is not a function: write @udf"):
        decorator(given)
