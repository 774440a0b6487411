"""The statements of a script."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .nodes import Node, SourceKind, Type
from .queries import Duration, Expression, Query, TableQuery


@dataclass(frozen=True, slots=True)
class Property(Node):
    """One ``name = value`` of a WITH clause.  ``name`` is in upper case, unless it was quoted or has a dot."""

    name: str
    value: Expression


@dataclass(frozen=True, slots=True)
class ColumnDefinition(Node):
    """A column of CREATE.  ``header`` is the key in ``HEADER('key')``."""

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
    """``CREATE STREAM|TABLE [IF NOT EXISTS] name FROM 'file' WITH (properties)``.  The file gives the columns and the
    rows.
    """

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
    """INSERT INTO .. VALUES.  ``columns`` is empty if the statement lists none."""

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

    ``name`` is None for STREAMS and TABLES.  Only Penstock has ``DESCRIBE QUERY id``.
    """

    what: Literal["SOURCE", "STREAMS", "TABLES", "FUNCTION", "CONNECTOR", "QUERY"]
    name: str | None = None
    extended: bool = False


@dataclass(frozen=True, slots=True)
class Explain(Node):
    """``EXPLAIN query-or-statement`` or ``EXPLAIN [ANALYZE] id``.

    Exactly one of ``statement`` and ``query_id`` is set.  ``analyze`` (only with an id) adds the counters of each operator.
    """

    statement: Statement | None = None
    query_id: str | None = None
    analyze: bool = False


@dataclass(frozen=True, slots=True)
class WhyNoRows(Node):
    """``WHY NO ROWS FROM name``.  The name is the id of a query, or a source.  Only Penstock has this statement."""

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
