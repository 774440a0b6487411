"""The dialect ``penstock://`` of SQLAlchemy.

``penstock:///shop.db`` is a database in a directory, ``penstock://user:password@host:8088`` the database of a server, and
``penstock://`` a database in memory.

Names are converted as in SQLAlchemy's dialect for Oracle: a name in lower case in Python is an unquoted name in SQL, and
unquoted names are upper case in the database.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import schema as sqlschema
from sqlalchemy import types as sqltypes
from sqlalchemy.engine import Dialect, default, reflection
from sqlalchemy.engine.url import URL
from sqlalchemy.exc import ArgumentError, CompileError, NoSuchTableError
from sqlalchemy.sql import compiler
from sqlalchemy.sql.elements import UnaryExpression
from sqlalchemy.sql.functions import Function
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.sql.selectable import GenerativeSelect

from ..engine.opened import PROCESSING_LOG
from ..engine.surface import DatabaseSurface
from ..engine.types import Array, Decimal, Primitive, SqlType
from ..grammar.words import reserved_words

if TYPE_CHECKING:
    from sqlalchemy.sql.type_api import _LiteralProcessorType

_TYPES: dict[Primitive, type[sqltypes.TypeEngine[Any]]] = {
    Primitive.BOOLEAN: sqltypes.Boolean,
    Primitive.INTEGER: sqltypes.Integer,
    Primitive.BIGINT: sqltypes.BigInteger,
    Primitive.DOUBLE: sqltypes.Double,
    Primitive.STRING: sqltypes.String,
    Primitive.BYTES: sqltypes.LargeBinary,
    Primitive.DATE: sqltypes.Date,
    Primitive.TIME: sqltypes.Time,
    Primitive.TIMESTAMP: sqltypes.DateTime,
}


def type_of(type_: SqlType) -> sqltypes.TypeEngine[Any]:
    """Return SQLAlchemy's type for an SQL type.  MAP and STRUCT become JSON, since SQLAlchemy has no types for them."""
    if isinstance(type_, Decimal):
        return sqltypes.Numeric(type_.precision, type_.scale)
    if isinstance(type_, Array):
        return sqltypes.ARRAY(type_of(type_.item))
    return _TYPES[type_]() if isinstance(type_, Primitive) else sqltypes.NullType()


_SCALE = 10
"""The scale (digits after the decimal point) of a `Numeric` without one."""


class PenstockTypeCompiler(compiler.GenericTypeCompiler):
    """Writes types as SQL, for CREATE and CAST."""

    def visit_string(self, type_: Any, **kw: Any) -> str:
        return "STRING"

    visit_VARCHAR = visit_CHAR = visit_TEXT = visit_NVARCHAR = visit_NCHAR = visit_CLOB = visit_text = visit_string
    visit_unicode = visit_unicode_text = visit_string
    visit_uuid = visit_UUID = visit_string

    def visit_FLOAT(self, type_: Any, **kw: Any) -> str:
        return "DOUBLE"

    visit_DOUBLE = visit_DOUBLE_PRECISION = visit_REAL = visit_FLOAT

    def visit_NUMERIC(self, type_: Any, **kw: Any) -> str:
        plain = type_.precision is None and type_.scale is None
        return f"DECIMAL({type_.precision or 38}, {_SCALE if plain else type_.scale or 0})"

    visit_DECIMAL = visit_NUMERIC

    def visit_SMALLINT(self, type_: Any, **kw: Any) -> str:
        return "INTEGER"

    def visit_BLOB(self, type_: Any, **kw: Any) -> str:
        return "BYTES"

    visit_BINARY = visit_VARBINARY = visit_BLOB

    def visit_DATETIME(self, type_: Any, **kw: Any) -> str:
        return "TIMESTAMP"

    visit_TIMESTAMP = visit_DATETIME

    def visit_ARRAY(self, type_: Any, **kw: Any) -> str:
        depth: int = type_.dimensions or 1
        item: str = self.process(type_.item_type, **kw)
        return "ARRAY<" * depth + item + ">" * depth


class PenstockArray(sqltypes.ARRAY):
    """An ARRAY whose literals have the dialect's form ``ARRAY[1, 2]``."""

    def literal_processor(self, dialect: Dialect) -> _LiteralProcessorType[object] | None:
        written = self.item_type.dialect_impl(dialect).literal_processor(dialect)
        if written is None:
            return None

        def process(value: object) -> str:
            if value is None:
                return "NULL"
            if isinstance(value, list | tuple):
                return f"ARRAY[{', '.join(map(process, value))}]"
            return str(written(value))

        return process


class PenstockDateTime(sqltypes.DateTime):
    """A TIMESTAMP whose literals have the dialect's form ``'2024-01-31T12:00:00.000'``."""

    def literal_processor(self, dialect: Dialect) -> _LiteralProcessorType[datetime.datetime]:
        return lambda value: f"'{value.isoformat(timespec='milliseconds')}'"


class PenstockCompiler(compiler.SQLCompiler):
    """Writes queries as SQL."""

    def default_from(self) -> str:
        """Write a FROM of one row for a SELECT without FROM, so that it may have a WHERE."""
        return " FROM (VALUES (1)) AS one_row(one)"

    def visit_lower_func(self, fn: Function[object], **kw: object) -> str:
        return f"LCASE{self.function_argspec(fn, **kw)}"

    def visit_upper_func(self, fn: Function[object], **kw: object) -> str:
        return f"UCASE{self.function_argspec(fn, **kw)}"

    def visit_char_length_func(self, fn: Function[object], **kw: object) -> str:
        return f"LEN{self.function_argspec(fn, **kw)}"

    visit_length_func = visit_char_length_func

    def visit_ilike_case_insensitive_operand(self, element: UnaryExpression, **kw: object) -> str:
        return f"LCASE({self.process(element.element, **kw)})"

    def limit_clause(self, select: GenerativeSelect, **kw: object) -> str:
        """Write LIMIT and OFFSET; either may be without the other."""
        text = ""
        if select._limit_clause is not None:
            text += f"\n LIMIT {self.process(select._limit_clause, **kw)}"
        if select._offset_clause is not None:
            text += f"\n OFFSET {self.process(select._offset_clause, **kw)}"
        return text

    def visit_empty_set_op_expr(self, type_: Sequence[sqltypes.TypeEngine], expand_op: OperatorType, **kw: object) -> str:
        """Write the right side of an IN or NOT IN with an empty list: NULLs, and a condition that decides the result.

        The NULLs are cast to the types of the left side, as IN requires.
        """
        text = super().visit_empty_set_op_expr(type_, expand_op, **kw)
        written = self.dialect.type_compiler_instance
        nulls = ["NULL" if isinstance(t, sqltypes.NullType) else f"CAST(NULL AS {written.process(t)})" for t in type_]
        return str(text).replace(", ".join(["NULL"] * len(type_)), ", ".join(nulls), 1)


class PenstockDDLCompiler(compiler.DDLCompiler):
    """Writes CREATE and DROP for SQLAlchemy's tables.

    A table with a primary key becomes a table; one without becomes a stream, which keeps all rows.  With
    ``penstock_kind="stream"`` it becomes a stream whose key is the primary key.  The topic has the table's name; DROP
    deletes the topic, too.
    """

    def visit_create_table(self, create: sqlschema.CreateTable, **kw: object) -> str:
        """Write CREATE.

        Raises:
            CompileError: the table has a schema, a constraint or index other than its primary key, a NOT NULL or a
                ``server_default``.  Penstock has no such things.
        """
        table = create.element
        kind = _kind(table)
        keys = list(table.primary_key)
        key = " PRIMARY KEY" if kind == "TABLE" else " KEY"
        self._refuse_what_is_not_kept(table)
        columns = [
            f"{self.preparer.format_column(column)} {self.dialect.type_compiler_instance.process(column.type)}"
            f"{key if column in keys else ''}"
            for column in [*keys, *(column for column in table.columns if column not in keys)]
        ]
        once = "IF NOT EXISTS " if create.if_not_exists else ""
        partitions = int(table.dialect_options["penstock"]["partitions"])
        key_format = ", KEY_FORMAT = 'JSON'" if len(keys) > 1 else ""  # (the format KAFKA holds one column)
        return (
            f"\nCREATE {kind} {once}{self.preparer.format_table(table)} ({', '.join(columns)})"
            f" WITH (KAFKA_TOPIC = '{table.name.replace(chr(39), chr(39) * 2)}', PARTITIONS = {partitions}{key_format})"
        )

    def visit_drop_table(self, drop: sqlschema.DropTable, **kw: object) -> str:
        once = "IF EXISTS " if drop.if_exists else ""
        return f"\nDROP {_kind(drop.element)} {once}{self.preparer.format_table(drop.element)} DELETE TOPIC"

    def _refuse_what_is_not_kept(self, table: sqlschema.Table) -> None:
        others = [c for c in table.constraints if not isinstance(c, sqlschema.PrimaryKeyConstraint)]
        if table.schema is not None:
            raise CompileError(f"{table.fullname}: Penstock has no schemas: names stand alone")
        if others or table.indexes:
            raise CompileError(
                f"the table {table.name} has a constraint or an index that Penstock lacks: it has primary keys only"
            )
        for column in table.columns:
            if not column.nullable and not column.primary_key:
                raise CompileError(
                    f"the column {table.name}.{column.name} is NOT NULL, which Penstock does not check: write nullable=True"
                )
            if column.server_default is not None:
                raise CompileError(
                    f"the column {table.name}.{column.name} has a server_default, which Penstock does not fill in: "
                    "write default instead"
                )


def _kind(table: sqlschema.Table) -> str:
    """Return ``STREAM`` or ``TABLE``.  Raises: CompileError, if ``penstock_kind`` is neither ``stream`` nor ``table``."""
    kind = table.dialect_options["penstock"]["kind"] or ("table" if len(table.primary_key) else "stream")
    if kind not in ("stream", "table"):
        raise CompileError(f"penstock_kind of {table.name} must be 'stream' or 'table', not {kind!r}")
    return str(kind).upper()


class PenstockIdentifierPreparer(compiler.IdentifierPreparer):
    """Quotes names with backticks."""

    reserved_words: ClassVar[set[str]] = {word.lower() for word in reserved_words()}

    def __init__(self, dialect: default.DefaultDialect, **kw: Any) -> None:
        super().__init__(dialect, initial_quote="`", escape_quote="`")


class PenstockDialect(default.DefaultDialect):
    """The dialect: connecting, reflection, and how names and types are written."""

    name = "penstock"
    driver = "penstock"
    default_paramstyle = "qmark"
    supports_statement_cache = True
    supports_native_boolean = True
    supports_native_decimal = True
    supports_sane_rowcount = False
    supports_sane_multi_rowcount = False
    supports_multivalues_insert = True
    supports_default_values = False
    supports_empty_insert = False
    supports_alter = False
    supports_sequences = False
    supports_schemas = False
    supports_comments = False
    postfetch_lastrowid = False
    implicit_returning = False
    requires_name_normalize = True
    use_insertmanyvalues_wo_returning = True
    """SQLAlchemy writes many rows as one INSERT, which is one commit."""
    construct_arguments = [(sqlschema.Table, {"partitions": 1, "kind": None})]  # noqa: RUF012  (as SQLAlchemy declares it)
    colspecs = {sqltypes.ARRAY: PenstockArray, sqltypes.DateTime: PenstockDateTime}  # noqa: RUF012  (as SQLAlchemy declares it)
    statement_compiler = PenstockCompiler
    ddl_compiler = PenstockDDLCompiler
    type_compiler_cls = PenstockTypeCompiler
    preparer = PenstockIdentifierPreparer

    @classmethod
    def import_dbapi(cls) -> Any:
        from .. import dbapi

        return dbapi

    @classmethod
    def get_pool_class(cls, url: URL) -> Any:
        from sqlalchemy.pool import QueuePool, StaticPool

        return QueuePool if url.database or url.host else StaticPool

    def create_connect_args(self, url: URL) -> tuple[list[Any], dict[str, Any]]:
        """Convert an URL to the arguments of `penstock.dbapi.connect`.

        What follows ``?`` are properties: ``penstock:///shop.db?auto.offset.reset=earliest``.  ``tls=true`` there means that
        the server uses TLS.

        Raises:
            ArgumentError: a path follows a server's address.
        """
        how: dict[str, object] = {}
        settings = dict(url.query)
        place = url.database or None
        if url.host:
            if place is not None:
                raise ArgumentError(f"a server has one database, so nothing may follow its address: {place}")
            scheme = "https" if settings.pop("tls", "false") == "true" else "http"
            host = f"[{url.host}]" if ":" in url.host else url.host
            place = f"{scheme}://{host}:{url.port or 8088}"
            if url.username is not None:
                how["auth"] = (url.username, str(url.password or ""))
        if settings:
            how["settings"] = settings
        return [place], how

    def do_rollback(self, dbapi_connection: Any) -> None:
        """Do nothing: every statement is committed."""

    def do_commit(self, dbapi_connection: Any) -> None:
        """Do nothing: every statement is committed."""

    def do_ping(self, dbapi_connection: Any) -> bool:
        dbapi_connection.check_open()
        return True

    def _get_server_version_info(self, connection: Any) -> tuple[int, ...]:
        from .. import __version__

        return tuple(int(part) for part in __version__.split(".") if part.isdigit())

    def _get_default_schema_name(self, connection: Any) -> Any:
        return None

    def _check_unicode_returns(self, connection: Any) -> bool:
        return True

    # --- what there is ---------------------------------------------------------------------

    def get_schema_names(self, connection: Any, **kw: Any) -> list[str]:
        """An empty list: there are no schemas."""
        return []

    @reflection.cache
    def get_table_names(self, connection: Any, schema: str | None = None, **kw: Any) -> list[str]:
        """The names of streams and tables, without the processing log: no program may create or drop it."""
        if schema is not None:
            return []
        return [self._shown(name) for name in sorted(_database(connection).catalog.sources) if name != PROCESSING_LOG]

    def get_view_names(self, connection: Any, schema: str | None = None, **kw: Any) -> list[str]:
        """An empty list: a table that a query maintains is listed as a table."""
        return []

    def get_temp_table_names(self, connection: Any, schema: str | None = None, **kw: Any) -> list[str]:
        return []

    def has_table(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> bool:
        return schema is None and self._named(table_name) in _database(connection).catalog.sources

    @reflection.cache
    def get_columns(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> list[Any]:
        """The columns with their types: key columns first, a windowed table's window bounds last."""
        source = self._source(connection, table_name)
        columns = [(column.name, column.type, column.role != "KEY") for column in source.schema]
        if source.window is not None:
            bounds = [(name, Primitive.BIGINT, False) for name in ("WINDOWSTART", "WINDOWEND")]
            keys = len(source.schema.keys)
            columns[keys:keys] = bounds
        return [
            {
                "name": self._shown(name),
                "type": type_of(type_),
                "nullable": nullable,
                "default": None,
            }
            for name, type_, nullable in columns
        ]

    @reflection.cache
    def get_pk_constraint(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        """The key of a table; a stream has no unique key."""
        source = self._source(connection, table_name)
        keys = [self._shown(column.name) for column in source.schema.keys] if source.kind == "TABLE" else []
        return {"constrained_columns": keys, "name": None}

    def get_foreign_keys(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> list[Any]:
        return []

    def get_indexes(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> list[Any]:
        return []

    def get_unique_constraints(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> list[Any]:
        return []

    def get_check_constraints(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> list[Any]:
        return []

    def get_table_comment(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        return {"text": None}

    def _source(self, connection: Any, table_name: str) -> Any:
        source = _database(connection).catalog.sources.get(self._named(table_name))
        if source is None:
            raise NoSuchTableError(table_name)
        return source

    def _shown(self, name: str) -> str:
        shown: str = self.normalize_name(name) or name  # a name in quotes stays one: SQLAlchemy's `quoted_name`
        return shown

    def _named(self, name: str) -> str:
        return str(self.denormalize_name(name) or name)


def _database(connection: Any) -> DatabaseSurface:
    database: DatabaseSurface = connection.connection.dbapi_connection.database
    return database
