"""The catalog: an immutable snapshot of sources, custom types and queries by name.

A statement that changes something makes a new catalog.  Whoever has the old one can go on using it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from ..errors import StatementError
from .schema import Schema
from .types import SqlType

WRAP_SINGLES = "WRAP_SINGLES"
UNWRAP_SINGLES = "UNWRAP_SINGLES"


class UnknownSourceError(StatementError):
    """No stream or table has the name ``wanted``."""

    wanted: str = ""


@dataclass(frozen=True, slots=True)
class FormatInfo:
    """How keys or values are serialised.

    Attributes:
        name: in upper case: ARROW, JSON, KAFKA, ..
        properties: ``delimiter``, ``fullSchemaName``, ``schemaId``, .. if the statement gave them.
        features: `WRAP_SINGLES` or `UNWRAP_SINGLES`, only if it differs from the format's default.
    """

    name: str
    properties: Mapping[str, str] = field(default_factory=dict)
    features: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class WindowInfo:
    """The windows of a source's key.

    Attributes:
        size_ms: the size; None for SESSION windows.
    """

    type: Literal["TUMBLING", "HOPPING", "SESSION"]
    size_ms: int | None = None

    def __str__(self) -> str:
        """The window as text for people: ``TUMBLING 1000 ms``."""
        return self.type if self.size_ms is None else f"{self.type} {self.size_ms} ms"


@dataclass(frozen=True, slots=True)
class FileToFollow:
    """A file whose new lines become rows of a stream, see `file_following`.

    Attributes:
        path: an absolute path.
        producer: the producer id under which the rows are written.  Its sequence number is the number of bytes that have
            been read from the file.
    """

    path: str
    producer: str


@dataclass(frozen=True, slots=True)
class DataSource:
    """A stream or table: a schema over a topic.

    Attributes:
        timestamp_column, timestamp_format: from WITH (TIMESTAMP, TIMESTAMP_FORMAT).
        read_only: whether CREATE SOURCE made it.
        query_id: the persistent query that made it (CSAS, CTAS, or CST for a SOURCE TABLE), if there is one.
        statement: the canonical text of the statement that made it.
        followed: the file that it follows whenever the database is open.
    """

    name: str
    kind: Literal["STREAM", "TABLE"]
    schema: Schema
    topic: str
    key_format: FormatInfo
    value_format: FormatInfo
    partitions: int = 1
    window: WindowInfo | None = None
    timestamp_column: str | None = None
    timestamp_format: str | None = None
    read_only: bool = False
    query_id: str | None = None
    statement: str = ""
    followed: FileToFollow | None = None


@dataclass(frozen=True, slots=True)
class QueryEntry:
    """A persistent query.

    Attributes:
        kind: of its statement: CREATE STREAM AS, CREATE TABLE AS, INSERT INTO .. SELECT, CREATE SOURCE TABLE.
        sources: the names of the sources that it reads, in the order of FROM and JOIN.
        sink: the source that it writes; for CREATE SOURCE TABLE the table whose rows it keeps.
        order: its rank in the order of creation.  CREATE OR REPLACE keeps it.
        properties: those that differed from their defaults when it was created.
        paused: whether it is paused until RESUME, even if the database is opened again.
    """

    id: str
    kind: Literal["CSAS", "CTAS", "INSERT", "CST"]
    statement: str
    sources: tuple[str, ...]
    sink: str
    order: int
    properties: Mapping[str, str] = field(default_factory=dict)
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Catalog:
    """The catalog, see the text of this module.  Its mappings are in the order of creation."""

    sources: Mapping[str, DataSource] = field(default_factory=dict)
    types: Mapping[str, SqlType] = field(default_factory=dict)
    queries: Mapping[str, QueryEntry] = field(default_factory=dict)
    result_topics_writable: bool = False
    _tables: dict[str, tuple[str, str]] = field(default_factory=dict, init=False, compare=False, repr=False)

    def refused_write(self, topic: str, writer: str | None = None) -> str | None:
        """The reason why a topic cannot be written, as one clause; None if it can be.

        If a topic holds the table of a query, only this query may write to it.  Other records would be in the topic, but not
        in the table that pull queries read.  ``penstock.result.topics.writable`` allows it nevertheless.  All interfaces
        that write check this and `ownership.refused_write`.

        Args:
            writer: the source whose query wants to write, if it is a query.
        """
        if self.result_topics_writable:
            return None
        if not self._tables:
            queries = [q for q in self.queries.values() if q.kind == "CTAS" and q.sink in self.sources]
            self._tables.update({"": ("", ""), **{self.sources[q.sink].topic: (q.sink, q.id) for q in queries}})
        name, query_id = self._tables.get(topic, ("", ""))
        if not name or name == writer:
            return None
        return f"the topic {topic} holds the table {name}, which its query {query_id} alone changes"

    def source(self, name: str) -> DataSource:
        """Find a source.

        Raises:
            UnknownSourceError: there is none.  The error suggests similar names.
        """
        found = self.sources.get(name)
        if found is None:
            near = difflib.get_close_matches(name, self.sources, 3)
            error = UnknownSourceError(
                f"there is no stream or table named {name}",
                suggestion=f"Did you mean {' or '.join(near)}?" if near else "SHOW STREAMS; and SHOW TABLES; list them.",
            )
            error.wanted = name
            raise error
        return found

    def named(self, name: str) -> DataSource:
        """Find a source by a name from a program.

        The name follows SQL's rules: ``orders`` and ``ORDERS`` are the same source, `` `orders` `` is another one.  If no
        source has the name in upper case, the name is tried as it is.

        Raises:
            StatementError: there is none, or the name is not a text.
        """
        if not isinstance(name, str):
            raise StatementError(f"the name of a stream or table must be text, not {type(name).__name__}")
        if len(name) > 2 and name[0] == name[-1] == "`":
            return self.source(name[1:-1].replace("``", "`"))
        return self.sources.get(name.upper()) or self.sources.get(name) or self.source(name.upper())

    def readers(self, name: str) -> list[str]:
        """The ids of the queries that read a source."""
        return [q.id for q in self.queries.values() if name in q.sources]

    def writers(self, name: str) -> list[str]:
        """The ids of the queries that write to a source."""
        return [q.id for q in self.queries.values() if q.sink == name and q.kind != "CST"]

    def with_source(self, source: DataSource) -> Catalog:
        return replace(self, sources={**self.sources, source.name: source})

    def without_source(self, name: str) -> Catalog:
        return replace(self, sources={n: s for n, s in self.sources.items() if n != name})

    def with_type(self, name: str, type_: SqlType) -> Catalog:
        return replace(self, types={**self.types, name: type_})

    def without_type(self, name: str) -> Catalog:
        return replace(self, types={n: t for n, t in self.types.items() if n != name})

    def with_query(self, query: QueryEntry) -> Catalog:
        return replace(self, queries={**self.queries, query.id: query})

    def without_query(self, query_id: str) -> Catalog:
        return replace(self, queries={i: q for i, q in self.queries.items() if i != query_id})
