"""The function registry: every function is one decorated definition with its signatures, meaning and kernel.

A signature is text, ``(name TYPE, ..) -> TYPE``::

    (text STRING, start INT, length INT) -> STRING
    (items ARRAY<T>, other ARRAY<T>) -> ARRAY<T>          one capital letter is a type variable
    (first T, rest T...) -> T                              ... takes any number, none included
    (value DECIMAL) -> *                                   DECIMAL takes any; * asks ``returns``
    (items ARRAY<T>, f (T) => U) -> ARRAY<U>               a lambda
    (unit UNIT, amount INT, date DATE) -> DATE             a bare unit word (DAY, HOURS, ..)

Type words: BOOLEAN INT BIGINT DOUBLE DECIMAL[(p,s)] STRING BYTES DATE TIME TIMESTAMP ARRAY<> MAP<,> STRUCT<name T, ..> UNIT
ANY (each ANY may be another type) and type variables.

A scalar function is implemented in one of two styles.

``row``: called with Python values for each row: int, float, `decimal.Decimal`, str, bytes, bool, list, dict (MAP and
STRUCT); DATE is an int of days, TIME and TIMESTAMP are ints of milliseconds; a UNIT is its singular upper-case word.  With
``nulls=False`` (the default) a null argument gives null without a call.  It returns a Python value or None.  Any exception
makes the row null and is reported with its text; raise ValueError with a clear sentence.

``arrow``: called with one `pyarrow.Array` per argument (a `pyarrow.Scalar` for a literal, if at least one argument is an
array; a `LambdaKernel` for a lambda), returns an Array, or ``Evaluated`` where rows can fail.
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
"""The result's type, from those of the arguments and the values of those that are literals (None for others)."""


# --- the type language of signatures -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Variable:
    """A type variable: the same letter is the same type throughout a signature."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Special:
    """``ANY`` (any type), ``DECIMAL`` (of any precision), ``UNIT`` (a bare unit word), ``*`` (asks ``returns``)."""

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
    """Parse a signature.  Raises: ValueError, if the text is not one."""
    return _SignatureParser(text).signature()


# --- definitions ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FunctionRef:
    """Names one overload of a function, as plain data: plans hold it, and any back end can look it up.

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
        returns: for a result of ``*``: argument types and literal values (None where not a literal) -> result type.
        volatile: may return another value each time (RANDOM, UUID, UNIX_TIMESTAMP()).
        nulls: ``row`` style only: call it with None arguments, too.
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

    ``make`` is called once per use with the argument types and the literal values (None where an argument is not a literal),
    and returns the aggregator.  ``literals`` names the arguments that must be literals (``k`` of TOPK); they are not passed
    to ``scan``.
    """

    signature: Signature
    make: Callable[[Sequence[t.SqlType], Sequence[PythonValue]], Aggregator]
    literals: frozenset[str] = frozenset()

    def ref(self, name: str) -> FunctionRef:
        return FunctionRef(name, self.signature, literals=self.literals)


@dataclass(slots=True)
class Function:
    """A function by name: kind, meaning, overloads."""

    name: str
    kind: Literal["SCALAR", "AGGREGATE", "TABLE"]
    meaning: str
    overloads: list[Any] = field(default_factory=list)
    category: str = "OTHER"
    internal: bool = False


class Registry:
    """Functions by upper-case name.  Importing the function modules fills ``BUILT_INS``; a database has its own registry
    with the built-ins and the user's functions.
    """

    def __init__(self, parent: Registry | None = None) -> None:
        self._functions: dict[str, Function] = {}
        self._parent = parent

    def find(self, name: str) -> Function | None:
        found = self._functions.get(name.upper())
        return found if found is not None or self._parent is None else self._parent.find(name)

    def overload(self, function: FunctionRef) -> Overload:
        """The implementation of a scalar or table function.  Raises: StatementError, if it is not registered (any more)."""
        found = self._entry(function)
        assert isinstance(found, Overload)
        return found

    def aggregator(self, function: FunctionRef, types: Sequence[t.SqlType], literals: Sequence[PythonValue]) -> Aggregator:
        """An aggregator for values of some types.  Raises: StatementError, if it is not registered (any more)."""
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
        """The function of a name, if it is registered here, not in a parent."""
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
        """Add an overload; the first one of a name also adds the function."""
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
    """Register a scalar function; each decorator on the same name adds an overload."""

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
    """Register a table function.  Its signature's result is the type of one output row; the implementation returns a list
    (``row``) or a list array (``arrow``).
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
    """Register a factory of aggregators, see `AggregateOverload.make`."""

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
