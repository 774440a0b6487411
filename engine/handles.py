"""`Database.stream` and `Database.table`: sources as objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ..errors import StatementError
from .catalog import DataSource
from .results import Table
from .schema import Schema
from .types import quoted

if TYPE_CHECKING:
    from ..runtime.host import Token
    from ..runtime.subscriptions import Subscription
    from .catalog import Catalog

__all__ = ["KeyReader", "SourceHandle", "StreamHandle", "TableHandle"]


class KeyReader(Protocol):
    """Reads a table by its key, see `KeyLookup`."""

    def get(self, *key: Any, window_start: int | None = None) -> dict[str, Any] | None:
        """The row of a key as a dict by column names; None if there is none."""
        ...

    def rows(self, *key: Any) -> list[dict[str, Any]]:
        """All rows of a key, see `KeyLookup.rows`."""
        ...


class Session(Protocol):
    """The part of a session that this module uses."""

    @property
    def catalog(self) -> Catalog: ...

    def insert(
        self,
        source: str,
        rows: Any,
        *,
        durable: bool | None = None,
        producer: str | None = None,
        sequence: int | None = None,
    ) -> Token: ...

    def sql(
        self, text: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None, *, after: Token | None = None
    ) -> Table: ...

    def subscribe(
        self, text: str, *, overflow: Literal["block", "drop"] = "block", resume: str | None = None
    ) -> Subscription: ...

    def wait(self, token: Token, names: Sequence[str] = (), timeout_s: float | None = 30.0) -> None: ...

    def key_lookup(self, name: str) -> KeyReader: ...


class SourceHandle:
    """A stream or table of an open database, by name.  After DROP and CREATE, it stands for the new source."""

    kind: Literal["STREAM", "TABLE"]

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self.name = name

    @property
    def source(self) -> DataSource:
        """The source in the catalog.

        Raises:
            StatementError: it was dropped.
        """
        return self._session.catalog.source(self.name)

    @property
    def schema(self) -> Schema:
        """Its columns with their SQL types, keys first."""
        return self.source.schema

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns."""
        return self.schema.names

    @property
    def topic(self) -> str:
        """The topic of the source."""
        return self.source.topic

    def insert(
        self, rows: Any, *, durable: bool | None = None, producer: str | None = None, sequence: int | None = None
    ) -> Token:
        """Append rows, see `Database.insert`."""
        return self._session.insert(quoted(self.name), rows, durable=durable, producer=producer, sequence=sequence)

    def subscribe(
        self, where: str | None = None, *, overflow: Literal["block", "drop"] = "block", resume: str | None = None
    ) -> Subscription:
        """Subscribe to its rows or changes, see `Database.subscribe`.

        Args:
            where: a condition in SQL.
            overflow, resume: see `Database.subscribe`.
        """
        return self._session.subscribe(self._select("*", where) + " EMIT CHANGES;", overflow=overflow, resume=resume)

    def scan(self, columns: Sequence[str] | None = None, *, after: Token | None = None) -> Table:
        """Read all present rows, see `Database.sql`.

        Args:
            columns: names of columns, as in `columns`; by default all.
            after: wait until the source has processed this write.
        """
        return self.filter(None, columns, after=after)

    def filter(
        self,
        where: str | None,
        columns: Sequence[str] | None = None,
        *,
        after: Token | None = None,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
    ) -> Table:
        """Read the rows that meet a condition in SQL.

        Args:
            where: such as ``"total > 10"``, with ``?`` or ``$name`` for ``parameters``.
            columns, after: see `scan`.
        """
        listed = "*" if columns is None else ", ".join(map(quoted, columns))
        return self._session.sql(self._select(listed, where) + ";", after=after, parameters=parameters)

    def _select(self, columns: str, where: str | None) -> str:
        text = f"SELECT {columns} FROM {quoted(self.name)}"
        return text if where is None else f"{text} WHERE {where}"

    def __len__(self) -> int:
        return len(self.scan())

    def __repr__(self) -> str:
        return f"<penstock {self.kind.lower()} {self.name} ({self.schema})>"


class StreamHandle(SourceHandle):
    """A stream of an open database, see `SourceHandle`."""

    kind = "STREAM"


class TableHandle(SourceHandle):
    """A table of an open database, see `SourceHandle`."""

    kind = "TABLE"

    def __init__(self, session: Session, name: str) -> None:
        super().__init__(session, name)
        self._lookup: KeyReader | None = None

    def get(self, *key: Any, window_start: int | None = None, after: Token | None = None) -> dict[str, Any] | None:
        """Find the row of a key.

        The lookup uses no SQL, waits for no step of the table's query, and takes microseconds.

        Args:
            key: one value for each column of the key.
            window_start: for a windowed table: the start of the window in milliseconds since 1970-01-01 UTC.
            after: wait until the table has processed this write.

        Returns:
            the row as a dict; None if there is none.

        Raises:
            StatementError: the key has another number of columns; ``window_start`` is missing for a windowed table; no query
                keeps the table's rows; the table was dropped, or the database closed.
        """
        return self._looked_up(after).get(*key, window_start=window_start)

    def rows(self, *key: Any, after: Token | None = None) -> list[dict[str, Any]]:
        """Find all rows of a key.

        A windowed table has one for each window, in the order of window starts; another table has at most one.

        Args:
            key, after: see `get`.

        Raises:
            StatementError: see `get`.
        """
        return self._looked_up(after).rows(*key)

    def _looked_up(self, after: Token | None) -> KeyReader:
        if self._lookup is None:
            self._lookup = self._session.key_lookup(self.name)
        if after is not None:
            self._session.wait(after, [quoted(self.name)])
        return self._lookup


def handle(session: Session, name: str, kind: Literal["STREAM", "TABLE"]) -> SourceHandle:
    """Make the handle of a source.

    Raises:
        StatementError: no source of this kind has the name.
    """
    source = session.catalog.named(name)
    if source.kind != kind:
        other = "table" if kind == "STREAM" else "stream"
        raise StatementError(f"{source.name} is a {other}", suggestion=f"Use {other}({name!r}).")
    return StreamHandle(session, source.name) if kind == "STREAM" else TableHandle(session, source.name)
