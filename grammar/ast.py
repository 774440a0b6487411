"""The tree of a script: frozen dataclasses, one per form of the dialect, each with a span.

Names hold the text a name stands for: unquoted identifiers are upper-cased by the parser, quoted ones keep their case.
Spans take no part in equality, so ``parse(unparse(tree)) == tree``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..errors import Span

NO_SPAN = Span(0, 0, 1, 1)
SourceKind = Literal["STREAM", "TABLE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What every node of the tree is."""

    span: Span = field(default=NO_SPAN, compare=False, repr=False)


# --- types ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TypeName(Node):
    """``BIGINT``, ``DECIMAL(4, 2)``, ``VARCHAR(20)``, or the name of a custom type."""

    name: str
    parameters: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ArrayType(Node):
    item: Type


@dataclass(frozen=True, slots=True)
class MapType(Node):
    key: Type
    value: Type


@dataclass(frozen=True, slots=True)
class StructType(Node):
    fields: tuple[tuple[str, Type], ...]


Type = TypeName | ArrayType | MapType | StructType


# --- expressions ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NullLiteral(Node):
    pass


@dataclass(frozen=True, slots=True)
class BooleanLiteral(Node):
    value: bool


@dataclass(frozen=True, slots=True)
class IntegerLiteral(Node):
    """An integer within int64; INTEGER if it fits int32, else BIGINT.  A minus sign is folded in."""

    value: int


@dataclass(frozen=True, slots=True)
class DecimalLiteral(Node):
    """``1.50`` or ``DECIMAL '1.50'``: the digits as written, a minus sign folded in."""

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
    """``amount`` or ``orders.amount`` (a column of a source, a lambda's parameter, or a bare unit such as DAY)."""

    name: str
    qualifier: str | None = None


@dataclass(frozen=True, slots=True)
class IntervalUnit(Node):
    """A reserved unit word as an argument: ``DATEADD(DAYS, 1, d)``.  ``unit`` is upper case as written."""

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
    """``name(arguments)``; ``COUNT(*)`` is ``COUNT`` with no argument and ``star``.  ``distinct``: ``SUM(DISTINCT x)``."""

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
    """Unary minus over anything but a number literal (there it is folded into the literal)."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Plus(Node):
    """Unary plus."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Arithmetic(Node):
    operator: Literal["+", "-", "*", "/", "%", "||"]
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Comparison(Node):
    """``!=`` is written ``<>`` here."""

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
    """``CASE [operand] WHEN .. THEN .. [ELSE ..] END``: simple with an operand, searched without."""

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
    fields: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class AtTimeZone(Node):
    """``e AT TIME ZONE 'z'``: parses, refused later by name."""

    operand: Expression
    zone: Expression


@dataclass(frozen=True, slots=True)
class Parameter(Node):
    """``?`` or ``$name``: a value that is given beside the text.  The first ``?`` of a text is called ``1``."""

    name: str


@dataclass(frozen=True, slots=True)
class ScalarSubquery(Node):
    """``(SELECT ..)`` where a value stands."""

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
    """One expression of ORDER BY.  ``nulls`` is None where the text does not say."""

    expression: Expression
    descending: bool = False
    nulls: Literal["FIRST", "LAST"] | None = None


@dataclass(frozen=True, slots=True)
class FrameBound(Node):
    """One end of a frame; ``rows`` is set for ``n PRECEDING`` and ``n FOLLOWING``."""

    kind: Literal["UNBOUNDED PRECEDING", "PRECEDING", "CURRENT ROW", "FOLLOWING", "UNBOUNDED FOLLOWING"]
    rows: int | Parameter | None = None


@dataclass(frozen=True, slots=True)
class Frame(Node):
    """``ROWS|RANGE BETWEEN start AND end``; ``end`` is the current row where the text gives one bound only."""

    unit: Literal["ROWS", "RANGE"]
    start: FrameBound
    end: FrameBound


@dataclass(frozen=True, slots=True)
class WindowCall(Node):
    """``call OVER (PARTITION BY .. ORDER BY .. frame)``."""

    call: FunctionCall
    partition_by: tuple[Expression, ...] = ()
    order_by: tuple[OrderItem, ...] = ()
    frame: Frame | None = None


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
    """``size`` is the gap of a session window; ``advance`` is set for hopping windows only."""

    type: Literal["TUMBLING", "HOPPING", "SESSION"]
    size: Duration
    advance: Duration | None = None
    retention: Duration | None = None
    grace_period: Duration | None = None


@dataclass(frozen=True, slots=True)
class Query(Node):
    """A SELECT with the clauses that a query over streams can have, whether it runs for ever or is answered once.

    ``limit`` is a `Parameter` until values are given (`parameters.with_values`).
    """

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
    """A join of a SELECT that is answered once; exactly one of ``on`` and ``using`` is set, but for CROSS."""

    type: Literal["INNER", "LEFT", "RIGHT", "FULL", "CROSS"]
    source: FromItem
    on: Expression | None = None
    using: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Select(Node):
    """``SELECT ..`` up to HAVING, as a part of a `TableQuery`."""

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
    """``name (columns) AS (SELECT ..)`` of WITH."""

    name: str
    columns: tuple[str, ...]
    query: AnyQuery


@dataclass(frozen=True, slots=True)
class TableQuery(Node):
    """A query with clauses that only an answer has which comes once: it cannot be persistent or pushed."""

    body: QueryBody
    common_tables: tuple[CommonTable, ...] = ()
    order_by: tuple[OrderItem, ...] = ()
    limit: int | Parameter | None = None
    offset: int | Parameter | None = None


AnyQuery = Query | TableQuery
QueryBody = Select | ValuesTable | SetOperation | Query | TableQuery


# --- statements ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Property(Node):
    """One ``name = value`` of a WITH clause.  ``name`` is upper case unless it was quoted or has a dot."""

    name: str
    value: Expression


@dataclass(frozen=True, slots=True)
class ColumnDefinition(Node):
    """``header`` is the key of ``HEADER('key')``."""

    name: str
    type: Type
    role: Literal["VALUE", "KEY", "PRIMARY KEY", "HEADERS", "HEADER"] = "VALUE"
    header: str | None = None


@dataclass(frozen=True, slots=True)
class CreateSource(Node):
    """``CREATE [OR REPLACE] [SOURCE] STREAM|TABLE [IF NOT EXISTS] name (columns) WITH (properties)``."""

    kind: SourceKind
    name: str
    columns: tuple[ColumnDefinition, ...] = ()
    properties: tuple[Property, ...] = ()
    or_replace: bool = False
    read_only: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class CreateFrom(Node):
    """``CREATE STREAM|TABLE [IF NOT EXISTS] name FROM 'file' WITH (properties)``: columns and rows are those of the file."""

    kind: SourceKind
    name: str
    path: str
    properties: tuple[Property, ...] = ()
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class CreateAsSelect(Node):
    kind: SourceKind
    name: str
    query: Query
    properties: tuple[Property, ...] = ()
    or_replace: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class InsertSelect(Node):
    target: str
    query: Query
    properties: tuple[Property, ...] = ()


@dataclass(frozen=True, slots=True)
class InsertValues(Node):
    """``columns`` is empty when the statement names none."""

    target: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Expression, ...], ...]


@dataclass(frozen=True, slots=True)
class Delete(Node):
    """``DELETE FROM table WHERE key = ..``."""

    target: str
    where: Expression | None = None


@dataclass(frozen=True, slots=True)
class AlterSource(Node):
    kind: SourceKind
    name: str
    add: tuple[ColumnDefinition, ...]


@dataclass(frozen=True, slots=True)
class DropSource(Node):
    kind: SourceKind
    name: str
    if_exists: bool = False
    delete_topic: bool = False


@dataclass(frozen=True, slots=True)
class CreateType(Node):
    name: str
    type: Type
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropType(Node):
    name: str
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class ControlQuery(Node):
    """TERMINATE, PAUSE or RESUME of one query, or of ALL (``query_id`` is None).  Ids are upper case."""

    action: Literal["TERMINATE", "PAUSE", "RESUME"]
    query_id: str | None


@dataclass(frozen=True, slots=True)
class Show(Node):
    """``SHOW|LIST what [EXTENDED]``; ``all`` is ``SHOW ALL TOPICS``."""

    what: Literal[
        "STREAMS", "TABLES", "TOPICS", "QUERIES", "FUNCTIONS", "TYPES", "PROPERTIES", "VARIABLES",
        "CONNECTORS", "SOURCE CONNECTORS", "SINK CONNECTORS", "CONNECTOR PLUGINS",
    ]  # fmt: skip
    extended: bool = False
    all: bool = False


@dataclass(frozen=True, slots=True)
class Describe(Node):
    """``DESCRIBE name``, ``DESCRIBE STREAMS|TABLES``, ``DESCRIBE FUNCTION|CONNECTOR|QUERY name``.

    ``name`` is None for STREAMS and TABLES.  ``DESCRIBE QUERY id`` is Penstock's own.
    """

    what: Literal["SOURCE", "STREAMS", "TABLES", "FUNCTION", "CONNECTOR", "QUERY"]
    name: str | None = None
    extended: bool = False


@dataclass(frozen=True, slots=True)
class Explain(Node):
    """``EXPLAIN query-or-statement`` or ``EXPLAIN [ANALYZE] id``: exactly one is set.

    ``analyze`` is only said of an id: with what each operator has done so far.
    """

    statement: Statement | None = None
    query_id: str | None = None
    analyze: bool = False


@dataclass(frozen=True, slots=True)
class WhyNoRows(Node):
    """``WHY NO ROWS FROM name``: of a query by its id, or of a source.  Penstock's own."""

    name: str


@dataclass(frozen=True, slots=True)
class Print(Node):
    """``PRINT topic [FROM BEGINNING] [INTERVAL|SAMPLE n] [LIMIT n]``; the topic keeps its case."""

    topic: str
    from_beginning: bool = False
    interval: int | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class SetProperty(Node):
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class UnsetProperty(Node):
    name: str


@dataclass(frozen=True, slots=True)
class AlterSystem(Node):
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Define(Node):
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Undefine(Node):
    name: str


@dataclass(frozen=True, slots=True)
class CreateConnector(Node):
    kind: Literal["SOURCE", "SINK"]
    name: str
    properties: tuple[Property, ...] = ()
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropConnector(Node):
    name: str
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class AssertTopic(Node):
    topic: str
    properties: tuple[Property, ...] = ()
    exists: bool = True
    timeout: Duration | None = None


@dataclass(frozen=True, slots=True)
class AssertSchema(Node):
    subject: str | None = None
    schema_id: int | None = None
    exists: bool = True
    timeout: Duration | None = None


@dataclass(frozen=True, slots=True)
class AssertValues(Node):
    """``ASSERT VALUES source (columns) VALUES (..)``; ``tombstone`` is ``ASSERT NULL VALUES source (columns) KEY (..)``."""

    source: str
    columns: tuple[str, ...]
    values: tuple[Expression, ...]
    tombstone: bool = False


@dataclass(frozen=True, slots=True)
class AssertSource(Node):
    """``ASSERT STREAM|TABLE name (columns) WITH (properties)``."""

    kind: SourceKind
    name: str
    columns: tuple[ColumnDefinition, ...] = ()
    properties: tuple[Property, ...] = ()


@dataclass(frozen=True, slots=True)
class RunScript(Node):
    path: str


Statement = (
    Query
    | TableQuery
    | CreateSource
    | CreateFrom
    | CreateAsSelect
    | InsertSelect
    | InsertValues
    | Delete
    | AlterSource
    | DropSource
    | CreateType
    | DropType
    | ControlQuery
    | Show
    | Describe
    | Explain
    | WhyNoRows
    | Print
    | SetProperty
    | UnsetProperty
    | AlterSystem
    | Define
    | Undefine
    | CreateConnector
    | DropConnector
    | AssertTopic
    | AssertSchema
    | AssertValues
    | AssertSource
    | RunScript
)
