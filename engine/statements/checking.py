"""Checking a statement: what it reads, what it looks up outside of the catalog, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ...errors import Span
from ...grammar import ast
from ..analysis.with_clause import WithClause
from ..catalog import Catalog, DataSource, FormatInfo
from ..changes import Change
from ..functions.registry import Registry
from ..query_options import QueryOptions
from ..results import Message
from ..schema import Schema
from ..state import Planned

if TYPE_CHECKING:
    from ...storage.schemas.registry import SchemaRegistry


class Outside(Protocol):
    """What checking looks up beside the catalog: topics, schemas, running queries.

    `outside.Live` looks at them as they are; `recorded.Recorded` knows what was true when an old entry of the journal was
    written, and refuses nothing, since everything was tried then.
    """

    @property
    def number(self) -> int:
        """The number that the statement will have in the journal."""
        ...

    def partitions(self, topic: str, asked: int | None = None) -> int | None:
        """How many partitions a source over the topic has; None if the topic is not there.

        Args:
            asked: what the statement says: PARTITIONS.
        """
        ...

    def is_missing(self, topic: str) -> bool:
        """Whether the statement is to make the topic, if nothing has made it until then."""
        ...

    def with_columns(
        self, statement: ast.CreateSource, clause: WithClause, topic: str, formats: tuple[FormatInfo, FormatInfo]
    ) -> ast.CreateSource:
        """The statement with the columns that the schema registry has for it.  Raises: StatementError."""
        ...

    def check_topic(
        self, topic: str, clause: WithClause, format_: FormatInfo, schema: Schema, span: Span, *, grows: bool, written: bool
    ) -> None:
        """Whether a topic can hold a source's values, and is what the statement asks for.

        Args:
            span: of what to show, where no property of the clause is at fault.
            grows: columns that the topic has not may be added to it.
            written: by a query of the statement: it must not be the engine's own, and the partitions asked for must be its
                even where every topic is to have one.

        Raises:
            StatementError: it cannot, or is not; or it is not there, and nobody may make one of this name.
        """
        ...

    def deleted(self, topic: str) -> tuple[str, int] | None:
        """The topic that DELETE TOPIC deletes, with its number in the log; None if it is not there.

        Raises:
            StatementError: it is the engine's own.
        """
        ...

    def check_writes(self, catalog: Catalog, topic: str, sink: str, sources: Iterable[str], span: Span) -> None:
        """Raises: StatementError, if a new query cannot write to the topic: what it writes would come back to it and never
        end, or the topic holds the table of another query than the one that fills ``sink``."""
        ...

    def check_copies(self, topics: Iterable[str], query_id: str) -> None:
        """Raises: StatementError, if an internal topic of a new query is there already and is not its own."""
        ...

    def check_resumable(self, query_id: str) -> None:
        """Raises: StatementError, if a query cannot go on."""
        ...

    def check_room(self, queries: int, limit: int, span: Span) -> None:
        """Raises: StatementError, if there may be no further persistent query."""
        ...


@dataclass(frozen=True, slots=True)
class Checking:
    """What a statement is checked against: nothing of it changes meanwhile.

    Attributes:
        overrides: the settings that differ from their defaults: kept with a query.
        planned: the queries that run, by id.
    """

    catalog: Catalog
    planned: Mapping[str, Planned]
    functions: Registry
    schemas: SchemaRegistry | None
    options: QueryOptions
    overrides: Mapping[str, str]
    outside: Outside


@dataclass(frozen=True, slots=True)
class Checked:
    """A statement that can be executed.

    Attributes:
        change: what it changes.
        answer: what is said when it has happened.
        planned: the query that it starts, ready to run.
        registered: sources whose schemas are registered before anything else happens; a registry may refuse them.
        unregistered: internal topics whose schemas begin anew.
        undo: the statement, and the change, that take it back should its work fail; None: it cannot be taken back, and is
            finished when the database is opened again.
    """

    change: Change
    answer: Message
    planned: Planned | None = None
    registered: tuple[DataSource, ...] = ()
    unregistered: tuple[DataSource, ...] = ()
    undo: tuple[str, Change] | None = None
