"""The function registry.  Every function is one decorated definition with its signatures, meaning and implementation.

A signature is text, ``(name TYPE, ..) -> TYPE``::

    (text STRING, start INT, length INT) -> STRING (items ARRAY<T>, other ARRAY<T>) -> ARRAY<T>  one capital letter is a type
    variable (first T, rest T...) -> T  ... takes any number, none included (value DECIMAL) -> *  DECIMAL takes any; * asks
    ``returns`` (items ARRAY<T>, f (T) => U) -> ARRAY<U>  a lambda (unit UNIT, amount INT, date DATE) -> DATE  a bare unit
    word (DAY, HOURS, ..)

The words for types are BOOLEAN INT BIGINT DOUBLE DECIMAL[(p,s)] STRING BYTES DATE TIME TIMESTAMP ARRAY<> MAP<,> STRUCT<name
T, ..> UNIT ANY, and type variables.  Two ANY of a signature may be two types.

A scalar function is implemented in one of two styles.

``row``: a Python function that is called for each row.

* Its arguments are int, float, `decimal.Decimal`, str, bytes, bool, list, and dict for MAP and STRUCT.  DATE is an int of
  days, TIME and TIMESTAMP are ints of milliseconds.  A UNIT is its word in the singular and in upper case.
* With ``nulls=False`` (the default), a null argument gives null without a call.
* It returns a Python value or None.
* If it raises an exception, the row becomes null, and the exception's text is reported.  Raise ValueError with a clear
  sentence.

``arrow``: a function over columns.

* Each argument is a `pyarrow.Array`, a `pyarrow.Scalar` for a literal, or a `LambdaKernel` for a lambda.  At least one is an
  array.
* It returns an array, or an ``Evaluated`` if rows can fail.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

from ...errors import StatementError
from ...runtime.kernel import Aggregator
from .. import types as t
from ..columns.kinds import PythonValue

Style = Literal["row", "arrow"]
Implementation = TypeVar("Implementation", bound=Callable[..., object])
ResultType: TypeAlias = Callable[[Sequence[t.SqlType], Sequence[PythonValue]], t.SqlType]
"""Gives the type of the result, from the types of the arguments and the values of literals (None for other arguments)."""


# --- the type language of signatures -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Variable:
    """A type variable.  Within a signature, the same letter is the same type."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Special:
    """``ANY`` (any type), ``DECIMAL`` (any precision and scale), ``UNIT`` (a bare unit word) or ``*`` (asks ``returns``)."""

    name: Literal["ANY", "DECIMAL", "UNIT", "*"]

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ArrayOf:
    item: TypePattern

    def __str__(self) -> str:
        return f"ARRAY<{self.item}>"


@dataclass(frozen=True, slots=True)
class MapOf:
    key: TypePattern
    value: TypePattern

    def __str__(self) -> str:
        return f"MAP<{self.key}, {self.value}>"


@dataclass(frozen=True, slots=True)
class StructOf:
    fields: tuple[tuple[str, TypePattern], ...]

    def __str__(self) -> str:
        return f"STRUCT<{', '.join(f'{n} {p}' for n, p in self.fields)}>"


@dataclass(frozen=True, slots=True)
class LambdaOf:
    parameters: tuple[TypePattern, ...]
    result: TypePattern

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.parameters))}) => {self.result}"


TypePattern = t.SqlType | Variable | Special | ArrayOf | MapOf | StructOf | LambdaOf


@dataclass(frozen=True, slots=True)
class FunctionParameter:
    name: str
    type: TypePattern
    variadic: bool = False

    def __str__(self) -> str:
        return f"{self.name} {self.type}{'...' if self.variadic else ''}"


@dataclass(frozen=True, slots=True)
class Signature:
    parameters: tuple[FunctionParameter, ...]
    result: TypePattern

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.parameters))}) -> {self.result}"


_TOKEN = re.compile(r"\s*(->|=>|\.\.\.|`[^`]+`|\w+|\*|[(),<>])")
_WORDS: dict[str, TypePattern] = {
    "BOOLEAN": t.BOOLEAN,
    "INT": t.INTEGER,
    "INTEGER": t.INTEGER,
    "BIGINT": t.BIGINT,
    "DOUBLE": t.DOUBLE,
    "STRING": t.STRING,
    "BYTES": t.BYTES,
    "DATE": t.DATE,
    "TIME": t.TIME,
    "TIMESTAMP": t.TIMESTAMP,
    "ANY": Special("ANY"),
    "UNIT": Special("UNIT"),
    "*": Special("*"),
}


class _SignatureParser:
    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        position = 0
        while position < len(text.rstrip()):
            match = _TOKEN.match(text, position)
            if match is None:
                raise ValueError(f"bad signature at {text[position:]!r}: {text}")
            self._tokens.append(match[1])
            position = match.end()
        self._next = 0
        self._text = text

    def peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.peek()
        if not token or (wanted and token != wanted):
            raise ValueError(f"bad signature, expected {wanted or 'more'} but found {token or 'the end'}: {self._text}")
        self._next += 1
        return token

    def signature(self) -> Signature:
        self.take("(")
        parameters: list[FunctionParameter] = []
        while self.peek() != ")":
            if parameters:
                self.take(",")
            name = self.take()
            type_ = self.type()
            variadic = self.peek() == "..."
            if variadic:
                self.take("...")
            parameters.append(FunctionParameter(name, type_, variadic))
        self.take(")")
        self.take("->")
        result = self.type()
        if self.peek():
            raise ValueError(f"bad signature, did not expect {self.peek()}: {self._text}")
        return Signature(tuple(parameters), result)

    def type(self) -> TypePattern:
        token = self.take()
        if token == "(":
            parameters: list[TypePattern] = []
            while self.peek() != ")":
                if parameters:
                    self.take(",")
                parameters.append(self.type())
            self.take(")")
            self.take("=>")
            return LambdaOf(tuple(parameters), self.type())
        if token == "ARRAY":
            self.take("<")
            item = self.type()
            self.take(">")
            return ArrayOf(item)
        if token == "MAP":
            self.take("<")
            key = self.type()
            self.take(",")
            value = self.type()
            self.take(">")
            return MapOf(key, value)
        if token == "STRUCT":
            fields: list[tuple[str, TypePattern]] = []
            self.take("<")
            while self.peek() != ">":
                if fields:
                    self.take(",")
                fields.append((self.take().strip("`"), self.type()))
            self.take(">")
            return StructOf(tuple(fields))
        if token == "DECIMAL":
            if self.peek() != "(":
                return Special("DECIMAL")
            self.take("(")
            precision = int(self.take())
            self.take(",")
            scale = int(self.take())
            self.take(")")
            return t.Decimal(precision, scale)
        if len(token) == 1 and token.isalpha():
            return Variable(token)
        if token not in _WORDS:
            raise ValueError(f"bad signature, unknown type {token}: {self._text}")
        return _WORDS[token]


def parse_signature(text: str) -> Signature:
    """Parse a signature.

    Raises:
        ValueError: the text is not a signature.
    """
    return _SignatureParser(text).signature()


# --- definitions ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FunctionRef:
    """Names one overload of a function.  It is plain data, which plans hold.

    Attributes:
        volatile: see `Overload`.
        literals: see `AggregateOverload`.
    """

    name: str
    signature: Signature
    volatile: bool = False
    literals: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Overload:
    """One signature of a scalar or table function, with its implementation.

    Attributes:
        returns: gives the result's type if the signature says ``*``, see `ResultType`.
        volatile: each call may return another value (RANDOM, UUID, UNIX_TIMESTAMP()).
        nulls: in ``row`` style, also call it with None arguments.
    """

    signature: Signature
    implementation: Callable[..., Any]
    style: Style = "row"
    nulls: bool = False
    returns: ResultType | None = None
    volatile: bool = False

    def ref(self, name: str) -> FunctionRef:
        return FunctionRef(name, self.signature, self.volatile)


@dataclass(frozen=True, slots=True)
class AggregateOverload:
    """One signature of an aggregate.

    Attributes:
        make: makes the aggregator for one use.  It gets the types of the arguments, and the values of literals (None for
            other arguments).
        literals: the names of the arguments that must be literals (``k`` of TOPK).  They are not passed to ``scan``.
    """

    signature: Signature
    make: Callable[[Sequence[t.SqlType], Sequence[PythonValue]], Aggregator]
    literals: frozenset[str] = frozenset()

    def ref(self, name: str) -> FunctionRef:
        return FunctionRef(name, self.signature, literals=self.literals)


@dataclass(slots=True)
class Function:
    """A function: its name, kind, meaning and overloads."""

    name: str
    kind: Literal["SCALAR", "AGGREGATE", "TABLE"]
    meaning: str
    overloads: list[Any] = field(default_factory=list)
    category: str = "OTHER"
    internal: bool = False


class Registry:
    """Functions by upper-case name.

    Importing the modules of functions fills ``BUILT_INS``.  A database has a registry of its own, with the built-in
    functions and the user's.
    """

    def __init__(self, parent: Registry | None = None) -> None:
        self._functions: dict[str, Function] = {}
        self._parent = parent

    def find(self, name: str) -> Function | None:
        found = self._functions.get(name.upper())
        return found if found is not None or self._parent is None else self._parent.find(name)

    def overload(self, function: FunctionRef) -> Overload:
        """The implementation of a scalar or table function.

        Raises:
            StatementError: it is not registered, or no longer.
        """
        found = self._entry(function)
        assert isinstance(found, Overload)
        return found

    def aggregator(self, function: FunctionRef, types: Sequence[t.SqlType], literals: Sequence[PythonValue]) -> Aggregator:
        """Make an aggregator for values of these types.

        Raises:
            StatementError: it is not registered, or no longer.
        """
        found = self._entry(function)
        assert isinstance(found, AggregateOverload)
        return found.make(types, literals)

    def _entry(self, function: FunctionRef) -> Overload | AggregateOverload:
        entry = self.find(function.name)
        for overload in () if entry is None else entry.overloads:
            if overload.signature == function.signature:
                return overload  # type: ignore[no-any-return]
        raise StatementError(
            f"the function {function.name}{function.signature} is not registered", suggestion="Register it before connect()."
        )

    def own(self, name: str) -> Function | None:
        """The function of this name that is registered here and not in a parent; None without one."""
        return self._functions.get(name.upper())

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted({*self._functions, *(self._parent.names() if self._parent else ())})

    def add(
        self,
        name: str,
        kind: Literal["SCALAR", "AGGREGATE", "TABLE"],
        meaning: str,
        overload: Any,
        category: str = "OTHER",
    ) -> None:
        """Add an overload.  The first overload of a name also adds the function."""
        function = self._functions.setdefault(name.upper(), Function(name.upper(), kind, meaning, category=category))
        if function.kind != kind:
            raise ValueError(f"{name} is already a function of another kind")
        function.overloads.append(overload)


BUILT_INS = Registry()


def scalar(
    name: str,
    meaning: str,
    *signatures: str,
    style: Style = "row",
    nulls: bool = False,
    returns: ResultType | None = None,
    volatile: bool = False,
    category: str = "OTHER",
    registry: Registry = BUILT_INS,
) -> Callable[[Implementation], Implementation]:
    """Register a scalar function.  Each decorator with the same name adds an overload."""

    def register(implementation: Implementation) -> Implementation:
        for text in signatures:
            overload = Overload(parse_signature(text), implementation, style, nulls, returns, volatile)
            registry.add(name, "SCALAR", meaning, overload, category)
        return implementation

    return register


def table_function(
    name: str,
    meaning: str,
    *signatures: str,
    style: Style = "row",
    nulls: bool = False,
    returns: ResultType | None = None,
    category: str = "TABLE",
    registry: Registry = BUILT_INS,
) -> Callable[[Implementation], Implementation]:
    """Register a table function.

    The result in its signature is the type of one output row.  The implementation returns a list (``row``) or a list array
    (``arrow``).
    """

    def register(implementation: Implementation) -> Implementation:
        for text in signatures:
            registry.add(
                name, "TABLE", meaning, Overload(parse_signature(text), implementation, style, nulls, returns), category
            )
        return implementation

    return register


def aggregate(
    name: str,
    meaning: str,
    *signatures: str,
    literals: Sequence[str] = (),
    category: str = "AGGREGATE",
    registry: Registry = BUILT_INS,
) -> Callable[[Callable[..., Aggregator]], Callable[..., Aggregator]]:
    """Register a function that makes aggregators, see `AggregateOverload`."""

    def register(make: Callable[..., Aggregator]) -> Callable[..., Aggregator]:
        for text in signatures:
            registry.add(
                name,
                "AGGREGATE",
                meaning,
                AggregateOverload(parse_signature(text), make, frozenset(literals)),
                category,
            )
        return make

    return register
