"""Typed expressions: what binding makes of the parser's tree.

Every node has an SQL type and a span.  Nodes are frozen and hashable.  Equality ignores spans, so two expressions with the
same meaning are equal (`same`).  Literals have the Python values of the function registry: DATE is an int of days, TIME and
TIMESTAMP an int of milliseconds, DECIMAL a `decimal.Decimal` at the type's scale.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from functools import cache
from typing import Any, TypeGuard
from typing import Literal as Word

from ...errors import Span
from ...grammar.ast import NO_SPAN, AnyQuery
from ...grammar.unparse import unparse_query
from .. import types as t
from ..functions.registry import FunctionRef
from ..schema import RESERVED_NAMES

ArithmeticOperator = Word["+", "-", "*", "/", "%", "||"]
SubqueryRows = Callable[[Sequence[Any]], Sequence[Any]]
"""Gives the columns of a subquery's answer for the values of one outer row in the columns that the subquery refers to."""
ComparisonOperator = Word["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedExpression:
    """The base class of nodes."""

    type: t.SqlType
    span: Span = field(default=NO_SPAN, compare=False, repr=False)

    def __str__(self) -> str:
        return text(self)


@dataclass(frozen=True, slots=True)
class ColumnRef(TypedExpression):
    """A column of the operator's input, by its name in the input's schema.

    Attributes:
        shown: the name in the query if it differs, such as ``T.I`` for T_I in a join; otherwise empty.
    """

    name: str
    shown: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ParameterRef(TypedExpression):
    """A parameter of an enclosing lambda; nested lambdas never share names."""

    name: str


@dataclass(frozen=True, slots=True)
class Literal(TypedExpression):
    """A constant.

    Attributes:
        untyped: whether it is a bare NULL whose type the context has not given yet.  Its ``type`` then has no meaning.
    """

    value: Any
    untyped: bool = False

    def __hash__(self) -> int:
        return hash((self.type, _hashable(self.value), self.untyped))


def _hashable(value: object) -> object:
    """A hashable form of a constant, which may be an ARRAY, MAP or STRUCT that a subquery gave."""
    if isinstance(value, dict):
        return tuple((key, _hashable(item)) for key, item in value.items())
    if isinstance(value, list):
        return tuple(map(_hashable, value))
    return value


@dataclass(frozen=True, slots=True)
class OuterValue(TypedExpression):
    """A column of the query around a subquery.

    It is a constant while the subquery is answered for one row of that query.  It is not a `Literal`: literals may be
    converted between texts and numbers in a list of IN, columns may not.
    """

    value: Any
    shown: str = field(default="", compare=False, repr=False)

    def __hash__(self) -> int:
        return hash((self.type, _hashable(self.value)))


@dataclass(frozen=True, slots=True)
class UnitWord(TypedExpression):
    """A unit as an argument, such as ``DAYS``; ``unit`` is singular and upper case."""

    unit: str


@dataclass(frozen=True, slots=True)
class Call(TypedExpression):
    """A call of a scalar function; its arguments already have the types of the overload's parameters."""

    name: str
    function: FunctionRef
    arguments: tuple[TypedExpression, ...]


@dataclass(frozen=True, slots=True)
class AggregateCall(TypedExpression):
    """A call of an aggregate.

    Attributes:
        arguments: all arguments.
        literals: for each argument its value if it is a literal, otherwise None.
        inputs: the arguments for `Aggregator.scan`: those that the overload does not take as literals.
    """

    name: str
    function: FunctionRef
    arguments: tuple[TypedExpression, ...]
    parameter_names: tuple[str, ...]
    star: bool = False
    distinct: bool = False

    @property
    def inputs(self) -> tuple[TypedExpression, ...]:
        return tuple(
            a for a, name in zip(self.arguments, self.parameter_names, strict=True) if name not in self.function.literals
        )

    @property
    def literals(self) -> tuple[Any, ...]:
        return tuple(a.value if isinstance(a, Literal) else None for a in self.arguments)

    @property
    def argument_types(self) -> tuple[t.SqlType, ...]:
        return tuple(a.type for a in self.arguments)


@dataclass(frozen=True, slots=True)
class WindowFunction(TypedExpression):
    """``name(arguments) OVER (PARTITION BY .. ORDER BY .. frame)``, in pull queries.

    Attributes:
        function: an aggregate; None for ROW_NUMBER, LAG and the like.
        directions: for each expression of ORDER BY whether it is descending, and whether NULLs come first.
        frame: ROWS or RANGE, and two bounds.  A bound has the words of `grammar.ast.FrameBound` and a number of rows (0 if
            the words take no number).
    """

    name: str
    function: FunctionRef | None
    arguments: tuple[TypedExpression, ...]
    parameter_names: tuple[str, ...]
    partition_by: tuple[TypedExpression, ...]
    order_by: tuple[TypedExpression, ...]
    directions: tuple[tuple[bool, bool], ...]
    frame: tuple[str, tuple[str, int], tuple[str, int]]

    @property
    def inputs(self) -> tuple[TypedExpression, ...]:
        """The arguments that are evaluated for every row."""
        if self.function is None:
            return self.arguments
        literals = self.function.literals
        return tuple(a for a, name in zip(self.arguments, self.parameter_names, strict=True) if name not in literals)


@dataclass(frozen=True, slots=True)
class TableCall(TypedExpression):
    """A call of a table function.  ``type`` is the type of one output row; its kernel gives lists of that type."""

    name: str
    function: FunctionRef
    arguments: tuple[TypedExpression, ...]


@dataclass(frozen=True, slots=True)
class LambdaNode(TypedExpression):
    """A lambda.  ``type`` is the type of its body."""

    parameters: tuple[tuple[str, t.SqlType], ...]
    body: TypedExpression


@dataclass(frozen=True, slots=True)
class Negate(TypedExpression):
    operand: TypedExpression


@dataclass(frozen=True, slots=True)
class Arithmetic(TypedExpression):
    """Arithmetic.  The operands keep their own types; ``type`` is the type of the result."""

    operator: ArithmeticOperator
    left: TypedExpression
    right: TypedExpression


@dataclass(frozen=True, slots=True)
class Compare(TypedExpression):
    """A comparison.  The operands have the same type, or two different numeric types."""

    operator: ComparisonOperator
    left: TypedExpression
    right: TypedExpression


@dataclass(frozen=True, slots=True)
class Logical(TypedExpression):
    operator: Word["AND", "OR"]
    left: TypedExpression
    right: TypedExpression


@dataclass(frozen=True, slots=True)
class Not(TypedExpression):
    operand: TypedExpression


@dataclass(frozen=True, slots=True)
class IsNull(TypedExpression):
    operand: TypedExpression
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Between(TypedExpression):
    operand: TypedExpression
    low: TypedExpression
    high: TypedExpression
    negated: bool = False


@dataclass(frozen=True, slots=True)
class In(TypedExpression):
    """IN with a list.  The items have the operand's type; NULL items are left out."""

    operand: TypedExpression
    items: tuple[TypedExpression, ...]
    negated: bool = False


class ValueSet:
    """An Arrow array of values without NULL.  Two value sets are never equal."""

    __slots__ = ("values",)

    def __init__(self, values: Any) -> None:
        self.values = values


@dataclass(frozen=True, slots=True)
class InValues(TypedExpression):
    """Like `In`, for the many values of a subquery.  They have the operand's type."""

    operand: TypedExpression
    found: ValueSet
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Correlated(TypedExpression):
    """A subquery that refers to columns of the query around it, in pull queries.  It has a value for each row of that query.

    Attributes:
        kind: ``VALUE`` (its only row), ``EXISTS`` (whether it has rows) or ``IN`` (whether ``operand`` is among its rows).
        query: the tree of the subquery.  The same tree over the same ``columns`` has the same meaning.
        columns: the columns of the query around it that it refers to.
        rows: gives the subquery's rows for one row's values of ``columns``.
        item: the type of the subquery's only column.
        volatile: whether its rows may differ each time, even for the same values.
    """

    kind: Word["VALUE", "EXISTS", "IN"]
    query: AnyQuery
    columns: tuple[TypedExpression, ...]
    operand: TypedExpression | None
    negated: bool
    item: t.SqlType
    rows: SubqueryRows = field(compare=False, repr=False)
    volatile: bool = False


@dataclass(frozen=True, slots=True)
class Like(TypedExpression):
    operand: TypedExpression
    pattern: TypedExpression
    escape: str | None = None
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Case(TypedExpression):
    """A searched CASE.  ``CASE x WHEN v`` has become ``CASE WHEN x = v``, and a missing default a NULL literal."""

    branches: tuple[tuple[TypedExpression, TypedExpression], ...]
    default: TypedExpression


@dataclass(frozen=True, slots=True)
class Cast(TypedExpression):
    """A cast to ``type``.

    Attributes:
        implicit: whether binding added the cast.  Its failure then fails the whole expression.
    """

    operand: TypedExpression
    implicit: bool = False


@dataclass(frozen=True, slots=True)
class Subscript(TypedExpression):
    """An item of an array or of a map.

    The index of an array is an INTEGER that counts from 1, and from the end if it is negative.  The index of a map is a key.
    """

    base: TypedExpression
    index: TypedExpression


@dataclass(frozen=True, slots=True)
class FieldAccess(TypedExpression):
    base: TypedExpression
    field: str


@dataclass(frozen=True, slots=True)
class ArrayMake(TypedExpression):
    items: tuple[TypedExpression, ...]


@dataclass(frozen=True, slots=True)
class MapMake(TypedExpression):
    entries: tuple[tuple[TypedExpression, TypedExpression], ...]


@dataclass(frozen=True, slots=True)
class StructMake(TypedExpression):
    fields: tuple[tuple[str, TypedExpression], ...]


# --- helpers -------------------------------------------------------------------------------


def is_untyped_null(expression: TypedExpression) -> TypeGuard[Literal]:
    """Whether a node is a NULL that has no type yet."""
    return isinstance(expression, Literal) and expression.untyped


def null(type_: t.SqlType, span: Span = NO_SPAN) -> Literal:
    """A NULL of this type."""
    return Literal(None, type=type_, span=span)


def same(left: TypedExpression, right: TypedExpression) -> bool:
    """Whether two expressions have the same meaning, wherever they stand in the text."""
    return left == right


def children(expression: TypedExpression) -> tuple[TypedExpression, ...]:
    """The parts directly below a node, in the order of the text."""
    found: list[TypedExpression] = []
    kind: Any = type(expression)
    for name in _parts_of(kind):
        _collect(getattr(expression, name), found)
    return tuple(found)


@cache
def _parts_of(kind: Any) -> tuple[str, ...]:
    """The names of a node class's fields that may hold parts."""
    return tuple(part.name for part in fields(kind) if part.name not in ("type", "span"))


def _collect(value: Any, found: list[TypedExpression]) -> None:
    if isinstance(value, TypedExpression):
        found.append(value)
    elif isinstance(value, tuple):
        for item in value:
            _collect(item, found)


def walk(expression: TypedExpression) -> Iterator[TypedExpression]:
    """The node and all nodes below it, top down, from left to right."""
    waiting = [expression]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(children(node)))


def transform(expression: TypedExpression, change: Callable[[TypedExpression], TypedExpression | None]) -> TypedExpression:
    """Replace nodes, top down.  A node that ``change`` returns replaces the old one, and its parts are not searched."""
    changed = change(expression)
    if changed is not None:
        return changed
    updates: dict[str, Any] = {}
    for part in fields(expression):
        if part.name in ("type", "span"):
            continue
        value = getattr(expression, part.name)
        renewed = _rebuild(value, change)
        if renewed is not value:
            updates[part.name] = renewed
    return replace(expression, **updates) if updates else expression


def _rebuild(value: Any, change: Callable[[TypedExpression], TypedExpression | None]) -> Any:
    if isinstance(value, TypedExpression):
        return transform(value, change)
    if isinstance(value, tuple):
        items = tuple(_rebuild(item, change) for item in value)
        return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
    return value


def replace_columns(expression: TypedExpression, change: Callable[[ColumnRef], TypedExpression | None]) -> TypedExpression:
    """Replace references to columns.  A reference for which ``change`` returns None stays."""
    return transform(expression, lambda e: change(e) if isinstance(e, ColumnRef) else None)


def columns_of(expression: TypedExpression) -> tuple[ColumnRef, ...]:
    """The distinct columns that an expression reads, in order of first appearance."""
    return tuple(dict.fromkeys(e for e in walk(expression) if isinstance(e, ColumnRef)))


def aggregates_of(expression: TypedExpression) -> tuple[AggregateCall, ...]:
    """The distinct aggregate calls, outermost first."""
    return tuple(dict.fromkeys(e for e in walk(expression) if isinstance(e, AggregateCall)))


def table_calls_of(expression: TypedExpression) -> tuple[TableCall, ...]:
    """The distinct table function calls, outermost first."""
    return tuple(dict.fromkeys(e for e in walk(expression) if isinstance(e, TableCall)))


def is_volatile(expression: TypedExpression) -> bool:
    """Whether each evaluation of an expression may give another value (RANDOM, UUID, ..)."""
    return any(
        (isinstance(e, Call) and e.function.volatile) or (isinstance(e, Correlated) and e.volatile) for e in walk(expression)
    )


def is_constant(expression: TypedExpression) -> bool:
    """Whether an expression reads no column, parameter, aggregate or table function (it may still be volatile)."""
    return not any(isinstance(e, ColumnRef | ParameterRef | AggregateCall | TableCall) for e in walk(expression))


# --- text ----------------------------------------------------------------------------------


def name_text(name: str) -> str:
    """A name as SQL writes it, without quotes if it does not need them."""
    bare = name.replace("_", "A").replace("@", "A")
    return name if bare.isalnum() and bare == bare.upper() and not name[0].isdigit() else t.quoted(name)


def literal_text(value: Any, type_: t.SqlType) -> str:
    """A literal as SQL writes it.  Dates and times are written as text."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, bytes):
        value = base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value)


@dataclass(frozen=True, slots=True)
class _Words(TypedExpression):
    words: str


def written(expression: TypedExpression) -> str:
    """Like `text`, for messages: columns of joined sources have the names that the query uses."""
    return text(replace_columns(expression, lambda c: _Words(c.shown, type=c.type, span=c.span) if c.shown else None))


def text(expression: TypedExpression) -> str:
    """The canonical SQL text of an expression, for messages and EXPLAIN.  Implicit casts are not shown."""
    match expression:
        case _Words(words=words):
            return words
        case ColumnRef(name=name):
            return name if name in RESERVED_NAMES else name_text(name)
        case ParameterRef(name=name):
            return name_text(name)
        case Literal(value=value, type=type_):
            return literal_text(value, type_)
        case OuterValue(value=value, type=type_, shown=shown):
            return shown or literal_text(value, type_)
        case UnitWord(unit=unit):
            return unit
        case AggregateCall(name=name, star=True):
            return f"{name}(*)"
        case AggregateCall(name=name, arguments=arguments, distinct=True):
            return f"{name}(DISTINCT {', '.join(map(text, arguments))})"
        case WindowFunction(name=name, arguments=arguments, partition_by=partition_by, order_by=order_by):
            parts = [f"PARTITION BY {', '.join(map(text, partition_by))}"] if partition_by else []
            parts += [f"ORDER BY {', '.join(map(text, order_by))}"] if order_by else []
            return f"{name}({', '.join(map(text, arguments))}) OVER ({' '.join(parts)})"
        case (
            Call(name=name, arguments=arguments)
            | AggregateCall(name=name, arguments=arguments)
            | TableCall(name=name, arguments=arguments)
        ):
            return f"{name}({', '.join(map(text, arguments))})"
        case LambdaNode(parameters=parameters, body=body):
            names = [name_text(n) for n, _ in parameters]
            return f"{names[0] if len(names) == 1 else '(' + ', '.join(names) + ')'} => {text(body)}"
        case Negate(operand=operand):
            return f"-{text(operand)}"
        case (
            Arithmetic(operator=operator, left=left, right=right)
            | Compare(operator=operator, left=left, right=right)
            | Logical(operator=operator, left=left, right=right)
        ):
            return f"({text(left)} {operator} {text(right)})"
        case Not(operand=operand):
            return f"(NOT {text(operand)})"
        case IsNull(operand=operand, negated=negated):
            return f"({text(operand)} IS{' NOT' if negated else ''} NULL)"
        case Between(operand=operand, low=low, high=high, negated=negated):
            return f"({text(operand)} {'NOT ' if negated else ''}BETWEEN {text(low)} AND {text(high)})"
        case In(operand=operand, items=items, negated=negated):
            return f"({text(operand)} {'NOT ' if negated else ''}IN ({', '.join(map(text, items))}))"
        case InValues(operand=operand, found=found, negated=negated):
            return f"({text(operand)} {'NOT ' if negated else ''}IN (SELECT: {len(found.values)} values))"
        case Correlated(kind=kind, query=query, operand=operand, negated=negated):
            tested = "" if operand is None else f"{text(operand)} {'NOT ' if negated else ''}IN "
            return f"{'EXISTS ' if kind == 'EXISTS' else tested}({unparse_query(query)})"
        case Like(operand=operand, pattern=pattern, escape=escape, negated=negated):
            ending = "" if escape is None else f" ESCAPE {literal_text(escape, t.STRING)}"
            return f"({text(operand)} {'NOT ' if negated else ''}LIKE {text(pattern)}{ending})"
        case Case(branches=branches, default=default):
            whens = " ".join(f"WHEN {text(c)} THEN {text(r)}" for c, r in branches)
            otherwise = "" if isinstance(default, Literal) and default.value is None else f" ELSE {text(default)}"
            return f"(CASE {whens}{otherwise} END)"
        case Cast(operand=operand, implicit=True):
            return text(operand)
        case Cast(operand=operand, type=type_):
            return f"CAST({text(operand)} AS {type_})"
        case Subscript(base=base, index=index):
            return f"{text(base)}[{text(index)}]"
        case FieldAccess(base=base, field=name):
            return f"{text(base)}->{name_text(name)}"
        case ArrayMake(items=items):
            return f"ARRAY[{', '.join(map(text, items))}]"
        case MapMake(entries=entries):
            return f"MAP({', '.join(f'{text(k)}:={text(v)}' for k, v in entries)})"
        case StructMake(fields=members):
            return f"STRUCT({', '.join(f'{name_text(n)}:={text(e)}' for n, e in members)})"
    raise AssertionError(f"no text for {type(expression).__name__}")
