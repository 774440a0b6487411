"""The check of a statement: what it reads (`Checking`), what it asks of others (`Outside`), its result (`Checked`)."""

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
    """What a check looks up outside of the catalog: topics, schemas, running queries.

    `outside.Live` looks at the running database.  `recorded.Recorded` answers what was true when an old journal entry was
    written, and refuses nothing, since the statement was checked then.
    """

    @property
    def number(self) -> int:
        """The number that the statement will have in the journal."""
        ...

    def partitions(self, topic: str, asked: int | None = None) -> int | None:
        """The number of partitions of a source over the topic; None if the topic does not exist.

        Args:
            asked: the number in the statement (PARTITIONS).
        """
        ...

    def is_missing(self, topic: str) -> bool:
        """Whether the statement must create the topic, if nothing else creates it before."""
        ...

    def with_columns(
        self, statement: ast.CreateSource, clause: WithClause, topic: str, formats: tuple[FormatInfo, FormatInfo]
    ) -> ast.CreateSource:
        """The statement, with columns from the schema registry where it names none.  Raises: StatementError."""
        ...

    def check_topic(
        self, topic: str, clause: WithClause, format_: FormatInfo, schema: Schema, span: Span, *, grows: bool, written: bool
    ) -> None:
        """Check that a topic can hold a source's values and matches the statement.

        Args:
            span: where errors point if no property of the WITH clause is at fault.
            grows: columns that the topic lacks may be added to it.
            written: a query of the statement writes the topic.  Then it must not be one of the engine's own, and must have
                the partitions asked for even in a database with ``one_partition``.

        Raises:
            StatementError: it cannot hold them or does not match; or it does not exist, and no topic may have this name.
        """
        ...

    def deleted(self, topic: str) -> tuple[str, int] | None:
        """The topic that DELETE TOPIC deletes, with its number in the log; None if it does not exist.

        Raises:
            StatementError: it is one of the engine's own.
        """
        ...

    def check_writes(self, catalog: Catalog, topic: str, sink: str, sources: Iterable[str], span: Span) -> None:
        """Raises: StatementError, if a new query cannot write to the topic: what it writes would come back to it and never
        end, or the topic holds the table of another query than the one that fills ``sink``."""
        ...

    def check_copies(self, topics: Iterable[str], query_id: str) -> None:
        """Raises: StatementError, if an internal topic of the new query exists and belongs to something else."""
        ...

    def check_resumable(self, query_id: str) -> None:
        """Raises: StatementError, if a query cannot be resumed."""
        ...

    def check_room(self, queries: int, limit: int, span: Span) -> None:
        """Raises: StatementError, if the limit of persistent queries is reached."""
        ...


@dataclass(frozen=True, slots=True)
class Checking:
    """What a statement is checked against.  It does not change during the check.

    Attributes:
        overrides: the settings that differ from their defaults; they are kept with a query.
        planned: the running queries, by id.
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
    """A statement that passed its check and can be carried out.

    Attributes:
        change: what it changes.
        answer: the message after it has been carried out.
        planned: the query that it starts, ready to run.
        registered: sources whose schemas are registered first; a registry may refuse them.
        unregistered: internal topics whose schemas are removed first, since their columns change.
        undo: a statement and its change that take this one back if carrying it out fails.  None: it cannot be taken back,
            and opening the database again finishes it.
    """

    change: Change
    answer: Message
    planned: Planned | None = None
    registered: tuple[DataSource, ...] = ()
    unregistered: tuple[DataSource, ...] = ()
    undo: tuple[str, Change] | None = None
