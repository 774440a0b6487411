"""Harlequin's adapter: ``harlequin -a penstock shop.db``, or ``http://host:8088`` for the database of a server.

Harlequin finds the adapter by its entry point in the group ``harlequin.adapter``.  Harlequin's base classes specify the
methods.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from harlequin import HarlequinAdapter, HarlequinCompletion, HarlequinConnection, HarlequinCursor
from harlequin.catalog import Catalog, CatalogItem
from harlequin.exception import HarlequinConfigError, HarlequinConnectionError, HarlequinQueryError

from ..engine.relation import Relation
from ..engine.results import PrintResult, PushResult
from ..engine.types import Primitive, SqlType
from ..errors import PenstockError, StatementError
from ..grammar.parse import parse
from ..grammar.unparse import quote
from ..grammar.words import reserved_words
from .connection import Connection, connect
from .cursor import rows_of
from .errors import Error

__all__ = ["PenstockAdapter", "PenstockConnection"]

_SHORT = {
    "BOOLEAN": "t/f",
    "INTEGER": "#",
    "BIGINT": "##",
    "DOUBLE": "#.#",
    "DECIMAL": "#.#",
    "STRING": "s",
    "BYTES": "0b",
    "DATE": "d",
    "TIME": "t",
    "TIMESTAMP": "ts",
    "ARRAY": "[]",
    "MAP": "{m}",
    "STRUCT": "{}",
}
_KEYWORDS, _FUNCTIONS = 100, 1000
"""The priorities of Penstock's keywords and functions in Harlequin's completion; a lower number comes first."""


def _short(type_: SqlType | str) -> str:
    """Abbreviate a type, given as a type or as text, to one to three characters, as Harlequin's own adapters do."""
    return _SHORT.get(str(type_).partition("<")[0].partition("(")[0], "?")


class RelationCursor(HarlequinCursor):
    """A cursor over the rows of a result that is complete."""

    def __init__(self, relation: Relation) -> None:
        self._relation = relation
        self._limit: int | None = None

    def columns(self) -> list[tuple[str, str]]:
        names = self._relation.columns
        return [(name, _short(type_)) for name, type_ in zip(names, self._relation.types, strict=True)]

    def set_limit(self, limit: int) -> RelationCursor:
        self._limit = limit
        return self

    def fetchall(self) -> pa.Table | None:
        """Return the rows as a `pyarrow.Table`; None if there are none."""
        found = self._relation.arrow()
        found = found if self._limit is None else found.slice(0, self._limit)
        return found if found.num_rows else None


class PushCursor(HarlequinCursor):
    """A cursor over the rows of a push query, which ends at its LIMIT, at Harlequin's row limit, or when it is cancelled."""

    def __init__(self, result: PushResult, owner: PenstockConnection) -> None:
        self._result = result
        self._owner = owner
        self._limit: int | None = None

    def columns(self) -> list[tuple[str, str]]:
        return [(column.name, _short(column.type)) for column in self._result.schema]

    def set_limit(self, limit: int) -> PushCursor:
        self._limit = limit
        return self

    def fetchall(self) -> pa.Table | None:
        """Wait for the query's end and return its rows as a `pyarrow.Table`; None if there are none.

        Raises:
            HarlequinQueryError: the query failed.
        """
        found: list[pa.RecordBatch] = []
        count = 0
        try:
            for batch in self._result.subscription.batches():
                found.append(batch.columns)
                count += len(batch)
                if self._limit is not None and count >= self._limit:
                    break
        except PenstockError as error:
            raise _query_error(error) from error
        finally:
            self._result.close()
            self._owner.forget(self._result)
        return pa.Table.from_batches(found).slice(0, self._limit) if count else None


class PenstockConnection(HarlequinConnection):
    """A session of a database.  A SELECT over tables waits until they include what the session has inserted."""

    def __init__(self, connection: Connection, init_message: str = "") -> None:
        self.init_message = init_message
        self._connection = connection
        self._pushing: list[PushResult] = []

    def execute(self, query: str) -> HarlequinCursor | None:
        """Execute one statement; None if it has no rows.  Raises: HarlequinQueryError, if it fails."""
        try:
            result = self._connection.run(query, endless=True)
            match result:
                case PushResult():
                    self._pushing.append(result)
                    return PushCursor(result, self)
                case PrintResult():
                    result.close()
                    raise StatementError("PRINT has no end", suggestion="Use a push query, or PRINT in `penstock`.")
            relation = rows_of(result)
        except (PenstockError, Error) as error:
            raise _query_error(error) from error
        return None if relation is None else RelationCursor(relation)

    def cancel(self) -> None:
        """End the running push queries.  Harlequin still shows the rows that they have given so far."""
        for result in list(self._pushing):
            result.subscription.end()

    def forget(self, result: PushResult) -> None:
        """Note that a push query has ended, so `cancel` need not end it."""
        if result in self._pushing:
            self._pushing.remove(result)

    def get_catalog(self) -> Catalog:
        """List the streams and tables with their columns: key columns first, then the window bounds, then the values."""
        try:
            sources = self._connection.database.catalog.sources
        except PenstockError as error:
            raise HarlequinQueryError(str(error), title="The database did not say what it holds.") from error
        items = []
        for name, source in sorted(sources.items()):
            shown = quote(name)
            columns = [(column.name, column.type) for column in source.schema]
            if source.window is not None:
                keys = len(source.schema.keys)
                columns[keys:keys] = [("WINDOWSTART", Primitive.BIGINT), ("WINDOWEND", Primitive.BIGINT)]
            children = [
                CatalogItem(f"{shown}.{quote(column)}", quote(column), column, _short(type_)) for column, type_ in columns
            ]
            label = "s" if source.kind == "STREAM" else "t"
            items.append(CatalogItem(shown, shown, name, label, children))
        return Catalog(items=items)

    def get_completions(self) -> list[HarlequinCompletion]:
        """Penstock's reserved words and functions."""
        words = [(word, "kw", _KEYWORDS) for word in sorted(reserved_words())]
        functions = [(name, "fn", _FUNCTIONS) for name in self._connection.database.function_names()]
        return [HarlequinCompletion(name, label, name, priority) for name, label, priority in words + functions]

    def validate_sql(self, text: str) -> str:
        """Return the text if it can be parsed, otherwise an empty text, as Harlequin expects."""
        try:
            parse(text if text.rstrip().endswith(";") else text + "\n;")
        except StatementError:
            return ""
        return text

    def close(self) -> None:
        for result in list(self._pushing):
            result.close()
        self._connection.close()


class PenstockAdapter(HarlequinAdapter):
    """Opens a database in a directory or in memory, or connects to a server.

    Args:
        conn_str: a sequence of at most one directory or address; without one, the database is in memory.

    Raises:
        HarlequinConfigError: ``conn_str`` has several items.
    """

    IMPLEMENTS_CANCEL = True
    IMPLEMENTS_VALIDATE_SQL = True
    ADAPTER_DETAILS = "Streaming SQL with Penstock: a directory that no other process has open, or `http://host:8088`."

    def __init__(self, conn_str: Sequence[str], **options: object) -> None:
        if len(conn_str) > 1:
            raise HarlequinConfigError(
                f"Penstock opens one database, not {len(conn_str)}.", title="Too many connection strings."
            )
        self._place = conn_str[0] if conn_str and conn_str[0] != ":memory:" else None

    @property
    def connection_id(self) -> str:
        """The directory, or the address without its password.  Empty in memory: Harlequin then remembers nothing of it."""
        return "" if self._place is None else self._place.rpartition("@")[2]

    def connect(self) -> PenstockConnection:
        """Open the database.  Raises: HarlequinConnectionError, if that fails."""
        try:
            return PenstockConnection(connect(self._place))
        except Error as error:
            raise HarlequinConnectionError(str(error), title="Penstock could not open the database.") from error


def _query_error(error: Exception) -> HarlequinQueryError:
    return HarlequinQueryError(str(error), title="Penstock could not execute the statement:")
