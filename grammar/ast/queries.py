"""Expressions and queries.  An expression can contain a query (``IN (SELECT ..)``), so both are in one file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .nodes import Node, Type

# --- expressions ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NullLiteral(Node):
    pass


@dataclass(frozen=True, slots=True)
class BooleanLiteral(Node):
    value: bool


@dataclass(frozen=True, slots=True)
class IntegerLiteral(Node):
    """An integer within int64: INTEGER if it fits int32, otherwise BIGINT.  ``value`` includes a minus sign."""

    value: int


@dataclass(frozen=True, slots=True)
class DecimalLiteral(Node):
    """``1.50`` or ``DECIMAL '1.50'``.  ``text`` has the digits as written, with a minus sign if there is one."""

    text: str


@dataclass(frozen=True, slots=True)
class DoubleLiteral(Node):
    """``1e3``."""

    value: float


@dataclass(frozen=True, slots=True)
class StringLiteral(Node):
    value: str


@dataclass(frozen=True, slots=True)
class NameRef(Node):
    """``amount`` or ``orders.amount``: a column of a source, a parameter of a lambda, or a bare unit such as DAY."""

    name: str
    qualifier: str | None = None


@dataclass(frozen=True, slots=True)
class IntervalUnit(Node):
    """A reserved unit word as an argument: ``DATEADD(DAYS, 1, d)``.  ``unit`` is in upper case, and singular or plural as
    written.
    """

    unit: str


@dataclass(frozen=True, slots=True)
class Dereference(Node):
    """``base->field``."""

    base: Expression
    field: str


@dataclass(frozen=True, slots=True)
class Subscript(Node):
    """``base[index]`` of an array or a map."""

    base: Expression
    index: Expression


@dataclass(frozen=True, slots=True)
class FunctionCall(Node):
    """``name(arguments)``.

    Attributes:
        star: whether it is ``COUNT(*)``, which has no arguments.
        distinct: whether it is ``SUM(DISTINCT x)``.
    """

    name: str
    arguments: tuple[Expression, ...]
    star: bool = False
    distinct: bool = False


@dataclass(frozen=True, slots=True)
class Lambda(Node):
    parameters: tuple[str, ...]
    body: Expression


@dataclass(frozen=True, slots=True)
class Negate(Node):
    """A minus sign before an expression.  Before a number, the minus sign is a part of the literal, and there is no
    `Negate`.
    """

    operand: Expression


@dataclass(frozen=True, slots=True)
class Plus(Node):
    """A plus sign before an expression."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Arithmetic(Node):
    operator: Literal["+", "-", "*", "/", "%", "||"]
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Comparison(Node):
    """A comparison.  ``!=`` has become ``<>``."""

    operator: Literal["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"]
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Logical(Node):
    operator: Literal["AND", "OR"]
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Not(Node):
    operand: Expression


@dataclass(frozen=True, slots=True)
class IsNull(Node):
    operand: Expression
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Between(Node):
    operand: Expression
    low: Expression
    high: Expression
    negated: bool = False


@dataclass(frozen=True, slots=True)
class InList(Node):
    operand: Expression
    items: tuple[Expression, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Like(Node):
    operand: Expression
    pattern: Expression
    escape: str | None = None
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Case(Node):
    """``CASE [operand] WHEN .. THEN .. [ELSE ..] END``.  Without an operand, each WHEN is a condition."""

    operand: Expression | None
    branches: tuple[tuple[Expression, Expression], ...]
    default: Expression | None = None


@dataclass(frozen=True, slots=True)
class Cast(Node):
    operand: Expression
    type: Type


@dataclass(frozen=True, slots=True)
class ArrayConstructor(Node):
    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class MapConstructor(Node):
    entries: tuple[tuple[Expression, Expression], ...]


@dataclass(frozen=True, slots=True)
class StructConstructor(Node):
    """``STRUCT(a := 1)``.

    Attributes:
        of_dict: whether it is the value of a parameter.  Its names are then the keys of a dict, with the case of the dict.
    """

    fields: tuple[tuple[str, Expression], ...]
    of_dict: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class AtTimeZone(Node):
    """``e AT TIME ZONE 'z'``.  It is parsed only so that the analysis can refuse it by name."""

    operand: Expression
    zone: Expression


@dataclass(frozen=True, slots=True)
class Parameter(Node):
    """``?`` or ``$name``: a value that the program gives separately from the text.  The first ``?`` of a text has the name
    ``1``.
    """

    name: str


@dataclass(frozen=True, slots=True)
class ScalarSubquery(Node):
    """``(SELECT ..)`` used as a value."""

    query: AnyQuery


@dataclass(frozen=True, slots=True)
class InSubquery(Node):
    """``operand [NOT] IN (SELECT ..)``."""

    operand: Expression
    query: AnyQuery
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Exists(Node):
    """``EXISTS (SELECT ..)``."""

    query: AnyQuery


@dataclass(frozen=True, slots=True)
class OrderItem(Node):
    """One expression of ORDER BY.  ``nulls`` is None if the text does not say where NULLs come."""

    expression: Expression
    descending: bool = False
    nulls: Literal["FIRST", "LAST"] | None = None


@dataclass(frozen=True, slots=True)
class FrameBound(Node):
    """One end of a frame.  ``rows`` is the number in ``n PRECEDING`` and ``n FOLLOWING``."""

    kind: Literal["UNBOUNDED PRECEDING", "PRECEDING", "CURRENT ROW", "FOLLOWING", "UNBOUNDED FOLLOWING"]
    rows: int | Parameter | None = None


@dataclass(frozen=True, slots=True)
class WindowFrame(Node):
    """``ROWS|RANGE BETWEEN start AND end``.  If the text has only one bound, ``end`` is the current row."""

    unit: Literal["ROWS", "RANGE"]
    start: FrameBound
    end: FrameBound


@dataclass(frozen=True, slots=True)
class WindowCall(Node):
    """``call OVER (PARTITION BY .. ORDER BY .. frame)``."""

    call: FunctionCall
    partition_by: tuple[Expression, ...] = ()
    order_by: tuple[OrderItem, ...] = ()
    frame: WindowFrame | None = None


Expression = (
    NullLiteral
    | BooleanLiteral
    | IntegerLiteral
    | DecimalLiteral
    | DoubleLiteral
    | StringLiteral
    | NameRef
    | IntervalUnit
    | Dereference
    | Subscript
    | FunctionCall
    | Lambda
    | Negate
    | Plus
    | Arithmetic
    | Comparison
    | Logical
    | Not
    | IsNull
    | Between
    | InList
    | Like
    | Case
    | Cast
    | ArrayConstructor
    | MapConstructor
    | StructConstructor
    | AtTimeZone
    | Parameter
    | ScalarSubquery
    | InSubquery
    | Exists
    | WindowCall
)


# --- queries -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Duration(Node):
    """``10 SECONDS``.  ``unit`` is singular and upper case: MILLISECOND SECOND MINUTE HOUR DAY MONTH YEAR."""

    amount: int
    unit: str


@dataclass(frozen=True, slots=True)
class SelectStar(Node):
    """``*`` or ``source.*``."""

    qualifier: str | None = None


@dataclass(frozen=True, slots=True)
class SelectStructStar(Node):
    """``expression->*``."""

    base: Expression


@dataclass(frozen=True, slots=True)
class SelectExpression(Node):
    expression: Expression
    alias: str | None = None


SelectItem = SelectStar | SelectStructStar | SelectExpression


@dataclass(frozen=True, slots=True)
class SourceRef(Node):
    """A source in FROM or JOIN."""

    name: str
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Within(Node):
    """``WITHIN before`` (``after`` is None), or ``WITHIN (before, after)``, with an optional grace period."""

    before: Duration
    after: Duration | None = None
    grace_period: Duration | None = None


@dataclass(frozen=True, slots=True)
class Join(Node):
    type: Literal["INNER", "LEFT", "RIGHT", "FULL"]
    source: SourceRef
    on: Expression
    within: Within | None = None


@dataclass(frozen=True, slots=True)
class Window(Node):
    """A window.  ``size`` is the gap of a session window.  Only hopping windows have an ``advance``."""

    type: Literal["TUMBLING", "HOPPING", "SESSION"]
    size: Duration
    advance: Duration | None = None
    retention: Duration | None = None
    grace_period: Duration | None = None


@dataclass(frozen=True, slots=True)
class Query(Node):
    """A SELECT that has only clauses that are allowed over streams.  It may keep running, or be answered once."""

    select: tuple[SelectItem, ...]
    source: SourceRef
    joins: tuple[Join, ...] = ()
    window: Window | None = None
    where: Expression | None = None
    group_by: tuple[Expression, ...] = ()
    partition_by: tuple[Expression, ...] = ()
    having: Expression | None = None
    emit: Literal["CHANGES", "FINAL"] | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class SubqueryRef(Node):
    """``(SELECT ..) AS alias (columns)`` in FROM or JOIN."""

    query: AnyQuery
    alias: str | None = None
    columns: tuple[str, ...] = ()


FromItem = SourceRef | SubqueryRef


@dataclass(frozen=True, slots=True)
class TableJoin(Node):
    """A join of a SELECT that is answered once.

    Exactly one of ``on`` and ``using`` is set, except for CROSS, which has neither.
    """

    type: Literal["INNER", "LEFT", "RIGHT", "FULL", "CROSS"]
    source: FromItem
    on: Expression | None = None
    using: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Select(Node):
    """``SELECT ..`` up to HAVING: a part of a `TableQuery`."""

    select: tuple[SelectItem, ...]
    source: FromItem | None = None
    joins: tuple[TableJoin, ...] = ()
    where: Expression | None = None
    group_by: tuple[Expression, ...] = ()
    having: Expression | None = None
    distinct: bool = False


@dataclass(frozen=True, slots=True)
class ValuesTable(Node):
    """``VALUES (..), (..)``."""

    rows: tuple[tuple[Expression, ...], ...]


@dataclass(frozen=True, slots=True)
class SetOperation(Node):
    operator: Literal["UNION", "INTERSECT", "EXCEPT"]
    all: bool
    left: QueryBody
    right: QueryBody


@dataclass(frozen=True, slots=True)
class CommonTable(Node):
    """``name (columns) AS (SELECT ..)`` in WITH."""

    name: str
    columns: tuple[str, ...]
    query: AnyQuery


@dataclass(frozen=True, slots=True)
class TableQuery(Node):
    """A query with clauses that need a finished input (ORDER BY, WITH, UNION ..).  It is neither persistent nor a push
    query.
    """

    body: QueryBody
    common_tables: tuple[CommonTable, ...] = ()
    order_by: tuple[OrderItem, ...] = ()
    limit: int | Parameter | None = None
    offset: int | Parameter | None = None


AnyQuery = Query | TableQuery
QueryBody = Select | ValuesTable | SetOperation | Query | TableQuery
