"""Python functions as SQL functions: ``@penstock.udf``, ``@penstock.udtf``, ``@penstock.udaf``.

::

    @penstock.udf
    def tax(amount: float, rate: float = 0.2) -> float:           # TAX(DOUBLE) and TAX(DOUBLE, DOUBLE)
        return amount * rate

    @penstock.udf(signature="(x DOUBLE) -> DOUBLE", vectorized=True)
    def logistic(x):                                              # pyarrow arrays in, an array out
        return 1 / (1 + np.exp(-x.to_numpy(zero_copy_only=False)))

    @penstock.udtf
    def words(text: str) -> Iterator[str]:                        # one row per item
        yield from text.split()

    @penstock.udaf
    class Longest:
        def initialize(self) -> str: return ""
        def aggregate(self, state: str, text: str) -> str: return max(state, text, key=len)
        def merge(self, left: str, right: str) -> str: ...        # for session windows
        def undo(self, state: str, text: str) -> str: ...         # for tables
        def map(self, state: str) -> str: ...                     # state -> result

    @penstock.udaf
    class Join:                                                   # JOIN(STRING, separator STRING)
        def __init__(self, separator: str) -> None: ...           # the last arguments of a call, which must be literals
        ...

Types come from the annotations (see `user_types`) or from the text of a signature.  A NULL argument gives NULL without a
call, unless the annotation of a parameter allows None, or ``nulls`` is set.  If a function raises an exception, the row
becomes NULL, and the processing log gets the exception's text.  In an aggregate, the row is left out
(``penstock.row.failure``); if ``map`` raises, the result is NULL.

Functions are registered for the whole process, and every database in it can use them.  If a function is defined again with
the same parameters, it replaces the old one for queries that start later.  If a query uses a function, register it before
you open the database again.
"""

from __future__ import annotations

import inspect
import itertools
import re
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, overload

import numpy as np
import pyarrow as pa

from ...errors import DataError, StatementError
from ...limits import TABLE_FUNCTION_ROWS_MAX
from ...runtime import user_code
from ...runtime.kernel import Evaluated, failures_of
from .. import types as t
from ..columns.sizes import bounded_broadcast
from .registry import BUILT_INS, AggregateOverload, FunctionParameter, Overload, Registry, Signature, parse_signature
from .user_aggregates import UserAggregator
from .user_types import AnnotationType, Shaper, as_sql, bind_variables, copier, pattern_of, shape_of, values_of

USER_FUNCTIONS = Registry(BUILT_INS)
"""The functions that the program registered.  They take precedence over built-in functions of the same name."""

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
ClassT = TypeVar("ClassT", bound=type)
ThingT = TypeVar("ThingT")
Signatures = str | Sequence[str] | None
Kind = Literal["SCALAR", "AGGREGATE", "TABLE"]


@overload
def udf(function: FunctionT, /) -> FunctionT: ...
@overload
def udf(
    *,
    name: str | None = None,
    signature: Signatures = None,
    vectorized: bool = False,
    nulls: bool | None = None,
    volatile: bool = False,
    meaning: str = "",
) -> Callable[[FunctionT], FunctionT]: ...
def udf(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    signature: Signatures = None,
    vectorized: bool = False,
    nulls: bool | None = None,
    volatile: bool = False,
    meaning: str = "",
) -> Any:
    """Register a scalar function.  It can still be called from Python.

    Args:
        name: the name in SQL; by default the function's own name.
        signature: ``"(a BIGINT, rest STRING...) -> DOUBLE"``, or several; by default from the annotations.
        vectorized: call it with one `pyarrow.Array` for each argument, which may contain NULLs.  It returns an array (or
            anything that Arrow can read) of the same length.
        nulls: call it with None for NULL; by default only if an annotation allows None.
        volatile: it may return another value each time, even for the same arguments.
        meaning: a line for DESCRIBE FUNCTION; by default the docstring's first line.

    Raises:
        TypeError: the annotations do not give a type.
        ValueError: the name or the signature is malformed, or a function of another kind has the name.
    """

    def register(function: Any) -> Any:
        for shapes in _shapes(function, signature):
            call = _Vectorized(function, shapes) if vectorized else _RowByRow(function, shapes, nulls, table=False)
            _add(name, "SCALAR", meaning, function, Overload(shapes.signature, call, "arrow", volatile=volatile))
        return function

    return register if function is None else register(_decorated(function))


@overload
def udtf(function: FunctionT, /) -> FunctionT: ...
@overload
def udtf(
    *, name: str | None = None, signature: Signatures = None, nulls: bool | None = None, meaning: str = ""
) -> Callable[[FunctionT], FunctionT]: ...
def udtf(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    signature: Signatures = None,
    nulls: bool | None = None,
    meaning: str = "",
) -> Any:
    """Register a table function: it returns or yields one item for each output row.

    The result in a signature is the type of one row; the result's annotation is a list or an iterator of rows.  See `udf`
    for the arguments and errors.
    """

    def register(function: Any) -> Any:
        for shapes in _shapes(function, signature, rows=True):
            call = _RowByRow(function, shapes, nulls, table=True)
            _add(name, "TABLE", meaning, function, Overload(shapes.signature, call, "arrow"))
        return function

    return register if function is None else register(_decorated(function))


@overload
def udaf(cls: ClassT, /) -> ClassT: ...
@overload
def udaf(
    *,
    name: str | None = None,
    signature: str | None = None,
    state: str | None = None,
    nulls: bool | None = None,
    meaning: str = "",
) -> Callable[[ClassT], ClassT]: ...
def udaf(
    cls: Any = None,
    /,
    *,
    name: str | None = None,
    signature: str | None = None,
    state: str | None = None,
    nulls: bool | None = None,
    meaning: str = "",
) -> Any:
    """Register an aggregate: a class with ``initialize`` and ``aggregate``, and optionally ``merge``, ``undo`` and ``map``.

    A state is a value.  ``aggregate`` returns a new one, and never changes the old one in place.  A state has an SQL type,
    since checkpoints keep it.  The parameters of ``__init__``, if any, are the last ones in SQL, and must be literals.

    Args:
        signature: the types of the arguments and the result; by default from ``aggregate``, ``__init__`` and ``map``.
        state: the SQL type of the state; by default the type of the result of ``aggregate``.
        nulls: pass rows with NULL arguments, as None; by default only where an annotation allows None.

    Raises:
        TypeError: the annotations do not give a type, or a method is missing.
        ValueError: the name or the signature is malformed, or a function of another kind has the name.
    """

    def register(cls: Any) -> Any:
        for method in ("initialize", "aggregate"):
            if not callable(getattr(cls, method, None)):
                raise TypeError(f"{cls.__name__} needs a method {method}")
        definition = _definition(cls, signature, state, nulls)
        signature_ = definition.shapes.signature
        _add(name, "AGGREGATE", meaning, cls, AggregateOverload(signature_, definition.make, definition.literals))
        return cls

    return register if cls is None else register(_decorated(cls))


# --- signatures ----------------------------------------------------------------------------


class _Shapes:
    """A signature, and how to convert its values."""

    def __init__(self, signature: Signature, parameters: Sequence[AnnotationType], result: AnnotationType) -> None:
        self.signature = signature
        self.parameters = parameters
        self.result = result

    def of(self, count: int) -> list[AnnotationType]:
        """The shape of each of ``count`` arguments."""
        return _expanded(self.parameters, self.signature, count)

    def expanded(self, count: int) -> list[FunctionParameter]:
        """The parameter of each of ``count`` arguments."""
        return _expanded(self.signature.parameters, self.signature, count)


def _expanded(things: Sequence[ThingT], signature: Signature, count: int) -> list[ThingT]:
    """Repeat things that belong to parameters so that they belong to ``count`` arguments."""
    place = next((i for i, p in enumerate(signature.parameters) if p.variadic), None)
    if place is None:
        return list(things)
    repeats = count - len(things) + 1
    return [*things[:place], *[things[place]] * repeats, *things[place + 1 :]]


def _from_text(text: str) -> _Shapes:
    signature = parse_signature(text)
    return _Shapes(signature, [AnnotationType(p.type) for p in signature.parameters], AnnotationType(signature.result))


def _decorated(thing: Any) -> Any:
    """Check the use of a decorator.

    Raises:
        ValueError: an argument has no name, as in ``@udf("INT")``.
    """
    if not callable(thing):
        raise ValueError(f"{thing!r} is not a function: write @udf(name=.., signature=..), each with its name")
    return thing


def _shapes(function: Any, signature: Signatures, rows: bool = False) -> list[_Shapes]:
    if isinstance(signature, str):
        return [_from_text(signature)]
    if signature is not None:
        return [_from_text(text) for text in signature]
    hints = typing.get_type_hints(function, include_extras=True)
    if "return" not in hints:
        raise TypeError(f"{function.__name__} has no result annotation; annotate it or give a signature")
    result = shape_of(hints["return"], f"the result of {function.__name__}")
    if rows:
        item = _item(result)
        if item is None:
            raise TypeError(f"{function.__name__} gives rows: annotate its result as list[..] or Iterator[..]")
        result = AnnotationType(item, False, result.inward, result.outward)
    return _by_parameters(function, hints, result)


def _item(result: AnnotationType) -> Any:
    pattern = result.pattern
    return getattr(pattern, "item", None)


def _by_parameters(function: Any, hints: dict[str, Any], result: AnnotationType, skip: int = 0) -> list[_Shapes]:
    """One signature with all parameters, then one more for each parameter with a default, from the last one on, that is left
    out.
    """
    parameters: list[FunctionParameter] = []
    shapes: list[AnnotationType] = []
    found: list[_Shapes] = []
    for parameter in list(inspect.signature(function).parameters.values())[skip:]:
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD):
            raise TypeError(f"{function.__name__}: SQL has no keyword arguments, and {parameter.name} is one")
        if parameter.name not in hints:
            raise TypeError(f"{function.__name__}: {parameter.name} has no annotation; annotate it or give a signature")
        if parameter.default is not parameter.empty:
            found.append(_Shapes(Signature(tuple(parameters), result.pattern), tuple(shapes), result))
        shape = shape_of(hints[parameter.name], f"{function.__name__}({parameter.name})")
        parameters.append(FunctionParameter(parameter.name, shape.pattern, parameter.kind == parameter.VAR_POSITIONAL))
        shapes.append(shape)
    found.append(_Shapes(Signature(tuple(parameters), result.pattern), tuple(shapes), result))
    return found


@dataclass(frozen=True, slots=True)
class _Definition:
    """An aggregate as its class defines it.

    Attributes:
        shapes: the shapes of all arguments: those of ``aggregate``, then those of ``__init__``.
        literals: the names of the arguments of ``__init__``.
        state: the type of the state.  Its type variables stand for the types of the arguments of a use.
    """

    cls: Any
    shapes: _Shapes
    literals: frozenset[str]
    state: AnnotationType
    nulls: bool | None

    def make(self, types: Sequence[t.SqlType], literals: Sequence[Any]) -> UserAggregator:
        """Make the aggregator for one use."""
        split = [p.name in self.literals for p in self.shapes.expanded(len(types))]
        variables: dict[str, t.SqlType] = {}
        for shape, type_ in zip(self.shapes.of(len(types)), types, strict=True):
            bind_variables(shape.pattern, type_, variables)
        inputs = [s for s, literal in zip(self.shapes.of(len(types)), split, strict=True) if not literal]
        own = [value for value, literal in zip(literals, split, strict=True) if literal]
        try:
            it = user_code.call(self.cls, *own)
            return UserAggregator(it, inputs, self.shapes.result, self.state, variables, self.nulls)
        except (DataError, user_code.UserCodeError) as error:
            raise StatementError(f"{self.cls.__name__} cannot be made: {error}") from error


def _definition(cls: Any, signature: str | None, state: str | None, nulls: bool | None) -> _Definition:
    hints = typing.get_type_hints(cls.aggregate, include_extras=True)
    if state is not None:
        state_shape = AnnotationType(pattern_of(state))
    elif "return" in hints:
        state_shape = shape_of(hints["return"], f"the state of {cls.__name__}")
    else:
        raise TypeError(f"{cls.__name__}.aggregate has no result annotation; annotate it or give the state's type")
    own = [] if cls.__init__ is object.__init__ else list(inspect.signature(cls.__init__).parameters.values())[1:]
    if signature is not None:
        shapes = _from_text(signature)
    else:
        result = state_shape
        if callable(getattr(cls, "map", None)):
            mapped = typing.get_type_hints(cls.map, include_extras=True)
            if "return" not in mapped:
                raise TypeError(f"{cls.__name__}.map has no result annotation")
            result = shape_of(mapped["return"], f"the result of {cls.__name__}")
        shapes = _by_parameters(cls.aggregate, hints, result, skip=2)[-1]
        if own:
            last = _by_parameters(cls.__init__, typing.get_type_hints(cls.__init__, include_extras=True), result, 1)[-1]
            parameters = (*shapes.signature.parameters, *last.signature.parameters)
            shapes = _Shapes(Signature(parameters, result.pattern), (*shapes.parameters, *last.parameters), result)
    names = [p.name for p in shapes.signature.parameters]
    if len(set(names)) < len(names) or sum(p.variadic for p in shapes.signature.parameters) > 1:
        raise TypeError(f"{cls.__name__}: the parameters need names of their own, and one of them at most takes any number")
    variables: dict[str, t.SqlType] = {}
    for shape in shapes.parameters:
        bind_variables(shape.pattern, t.STRING, variables)
    for what, shape in (("state", state_shape), ("result", shapes.result)):
        if as_sql(shape.pattern, variables) is None:
            raise TypeError(f"{cls.__name__}: the {what} needs one SQL type, not {shape.pattern}")
    return _Definition(cls, shapes, frozenset(names[len(names) - len(own) :]), state_shape, nulls)


def _add(name: str | None, kind: Kind, meaning: str, what: Any, made: Any) -> None:
    name = str(name or what.__name__).upper()
    if re.fullmatch(r"[A-Z_][A-Z0-9_]*", name) is None:
        raise ValueError(f"{name!r} cannot be called from SQL: give a name of letters, digits and _")
    if not meaning:
        meaning = (inspect.getdoc(what) or "").partition("\n")[0]
    existing = USER_FUNCTIONS.own(name)
    if existing is not None and existing.kind == kind:
        types = [(p.type, p.variadic) for p in made.signature.parameters]
        existing.overloads = [
            o for o in existing.overloads if [(p.type, p.variadic) for p in o.signature.parameters] != types
        ]
    USER_FUNCTIONS.add(name, kind, meaning, made, category="USER")


# --- calls ---------------------------------------------------------------------------------


def _columns(arguments: Sequence[Any]) -> list[Any]:
    """Repeat scalars to the length of the arrays.  (There is an array, unless there are no arguments.)"""
    length = next((len(a) for a in arguments if isinstance(a, pa.Array)), 1)
    return [bounded_broadcast(a, length) if isinstance(a, pa.Scalar) else a for a in arguments]


class _Vectorized:
    """Calls a function with whole columns."""

    def __init__(self, function: Any, shapes: _Shapes) -> None:
        self._function = function
        self._type = as_sql(shapes.result.pattern)

    def __call__(self, *arguments: Any) -> Any:
        return user_code.call(self._evaluate, _columns(arguments))

    def _evaluate(self, columns: Sequence[Any]) -> Any:
        result = self._function(*columns)
        if isinstance(result, pa.Array | pa.ChunkedArray | pa.Scalar) or self._type is None:
            return result
        if isinstance(result, np.ndarray | list | tuple):
            return pa.array(result, t.to_arrow(self._type))
        return pa.chunked_array(result) if hasattr(result, "__arrow_c_stream__") else pa.array(result)


class _RowByRow:
    """Calls a function for each row.  An exception fails the row."""

    def __init__(self, function: Any, shapes: _Shapes, nulls: bool | None, table: bool) -> None:
        self._function = function
        self._shapes = shapes
        self._nulls = any(s.nullable for s in shapes.parameters) if nulls is None else nulls
        self._table = table
        type_ = as_sql(shapes.result.pattern)
        self._type = None if type_ is None else t.to_arrow(t.Array(type_) if table else type_)
        self._copy = None if type_ is None else copier(t.Array(type_) if table else type_)

    def __call__(self, *arguments: Any) -> Evaluated:
        columns = _columns(arguments)
        length = len(columns[0]) if columns else 1
        shapers = [s.inward for s in self._shapes.of(len(columns))]
        if all(shaper is None for shaper in shapers):
            shapers = []
        rows = zip(*(values_of(c) for c in columns), strict=True)
        results: list[Any] = []
        failed: dict[int, str] = {}
        check = user_code.row_check()
        for row, values in enumerate(rows if columns else [()] * length):
            result = None
            if self._nulls or None not in values:
                check()
                try:
                    result = user_code.call(self._evaluate, values, shapers)
                except user_code.UserCodeError as error:
                    failed[row] = str(error)
            results.append(result)
        return self._array(results, failed)

    def _evaluate(self, values: Sequence[Any], shapers: Sequence[Shaper]) -> Any:
        """Evaluate one row.  Only this method runs the user's code."""
        if shapers:
            values = [v if s is None or v is None else s(v) for v, s in zip(values, shapers, strict=True)]
        result = self._function(*values)
        if result is None:
            return None
        if self._table:
            result = list(itertools.islice(result, TABLE_FUNCTION_ROWS_MAX + 1))
            if len(result) > TABLE_FUNCTION_ROWS_MAX:
                raise ValueError(f"it gave more than {TABLE_FUNCTION_ROWS_MAX:,} rows for one")
        outward = self._shapes.result.outward
        result = result if outward is None else outward(result)
        return result if self._copy is None else self._copy(result)  # Arrow crashes if a method of a list raises

    def _array(self, results: list[Any], failed: dict[int, str]) -> Evaluated:
        try:
            array = user_code.call(pa.array, results, self._type)
        except user_code.UserCodeError:  # Arrow calls methods of the values, which may do anything
            for row, result in enumerate(results):
                try:
                    user_code.call(pa.array, [result], self._type)
                except user_code.UserCodeError as error:
                    failed[row] = f"it returned {_shown(result)}: {error}"
                    results[row] = None
            array = pa.array(results, self._type)
        return Evaluated(array, failures_of(failed))


def _shown(value: object) -> str:
    try:
        return str(user_code.call(repr, value))
    except user_code.UserCodeError:
        return f"a {type(value).__name__}"
