"""The parts of an open database, which all its sessions share."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..errors import Span, StatementError, StorageError
from ..runtime.clock import Clock
from ..runtime.dataflow import Dataflow
from ..runtime.host import QueryHost
from ..storage.combining import Combiner
from ..storage.log.protocol import Log, TopicConfig
from .analysis.resolved import ResolvedQuery
from .catalog import Catalog, DataSource, FormatInfo
from .functions.registry import Registry
from .journal import Journal, JournalEntry
from .plan.nodes import PlanNode
from .schema import Schema
from .serdes import Layout, value_type
from .settings import Settings
from .types import from_arrow

if TYPE_CHECKING:
    from ..storage.schemas.registry import SchemaRegistry

LOGICAL_PARTITIONS = "partitions"
REPLICAS = "replicas"


@dataclass(frozen=True, slots=True)
class Planned:
    """A persistent query as it was planned: kept to explain it and to compare it with its replacement."""

    query_id: str
    plan: PlanNode
    dataflow: Dataflow
    order: int
    resolved: ResolvedQuery | None = None


@dataclass(slots=True)
class Engine:
    """The parts of an open database.  Statements run one at a time, under its lock; reading goes on beside them.

    Attributes:
        settings: what `connect` was given: the base of every session's.
        schemas: the schema registry.
        one_partition: every topic has one physical partition, whatever is asked for (SHOW and the rules of joins see
            what was asked for); makes results independent of how keys are spread.
        catalog: replaced, never changed.
        planned: persistent queries by id.
        replaying: the journal is being replayed: nothing is written, and queries are started only at its end.
        replayed: the entry in hand.
        unfinished: it is the last one, so what it does to topics may not have been done.
        journaled: the statement in hand, once it is in the journal and until it is taken back.
        unsettled: a statement is in the journal that could not be finished, so what is known in memory is not what the
            journal says: no other statement may follow it.
        combiner: makes few rows of many callers into records together.
        layouts: how rows of sources are written, by the source's name; each counts for the source it holds only.
        lock: held while a statement is executed.
    """

    log: Log
    host: QueryHost
    functions: Registry
    settings: Settings
    journal: Journal
    clock: Clock
    schemas: SchemaRegistry | None = None
    one_partition: bool = False
    catalog: Catalog = field(default_factory=Catalog)
    planned: dict[str, Planned] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    replaying: bool = False
    replayed: JournalEntry = field(default_factory=lambda: JournalEntry(0, "", {}))
    unfinished: bool = False
    journaled: str | None = None
    unsettled: StorageError | None = None
    layouts: dict[str, Layout] = field(default_factory=dict)
    combiner: Combiner = field(default_factory=Combiner)
    lock: threading.RLock = field(default_factory=threading.RLock)
    closed: bool = False

    def check_open(self) -> None:
        """Raises: StatementError, once the database is closed."""
        if self.closed:
            raise StatementError("the database is closed")

    # --- the journal -----------------------------------------------------------------------

    @property
    def statement_number(self) -> int:
        """The number that the statement in hand has, or will have once it is journaled."""
        return self.replayed.offset if self.replaying else self.journal.next_offset

    @property
    def changes_topics(self) -> bool:
        """Whether the statement in hand is to create or alter its topic: in a replay, only what may be unfinished is."""
        return not self.replaying or self.unfinished

    # --- topics ----------------------------------------------------------------------------

    def topic(self, name: str) -> TopicConfig | None:
        return self.log.config(name)

    def partitions(self, name: str) -> int:
        """How many partitions a topic was asked to have."""
        config = self.log.topics()[name]
        return int(config.properties.get(LOGICAL_PARTITIONS, config.partitions))

    def partitions_found(self, name: str) -> int | None:
        """How many partitions a topic has, or had when the statement in hand was executed; None if there is none."""
        if self.replaying:
            recorded = self.replayed.topic
            return recorded[1] if recorded is not None and recorded[0] == name else None
        return None if self.topic(name) is None else self.partitions(name)

    def topic_to_delete(self, name: str) -> str | None:
        """The topic, if it is there; in a replay, if it is still the one that the statement was to delete."""
        if self.topic(name) is None:
            return None
        if self.replaying and self.replayed.deleted != (name, self.log.topic_id(name)):
            return None
        return name

    def replicas(self, name: str) -> int:
        return int(self.log.topics()[name].properties.get(REPLICAS, "1"))

    def check_topic(self, name: str, format_: FormatInfo, schema: Schema, span: Span, *, grows: bool = False) -> None:
        """Whether an existing topic can hold a source's values.

        Args:
            grows: columns that the topic has not may be added to it.

        Raises:
            StatementError: it is internal; it holds typed columns of another shape, or bytes where columns are wanted.
        """
        config = self.log.topics()[name]
        if config.internal:
            raise StatementError(
                f"the topic {name} is internal: it goes with the query that writes it",
                span=span,
                suggestion=f"PRINT `{name}` FROM BEGINNING; shows what it holds.",
            )
        wanted = value_type(format_, schema)
        if config.value_type is None and wanted is None:
            return
        if config.value_type is None:
            raise StatementError(
                f"the topic {name} holds bytes, not the typed values of the ARROW format",
                span=span,
                suggestion="Say which VALUE_FORMAT its records have, JSON for example.",
            )
        if wanted is None:
            raise StatementError(
                f"the topic {name} holds typed values, which have the format ARROW, not {format_.name}",
                span=span,
                suggestion="Write VALUE_FORMAT = 'ARROW'.",
            )
        have = {f.name: f.type for f in config.value_type}
        for item in wanted:
            if have.get(item.name) != item.type and not (grows and item.name not in have):
                held = f"as {from_arrow(have[item.name])}" if item.name in have else "not at all"
                raise StatementError(
                    f"the topic {name} holds the column {item.name} {held}, not as {from_arrow(item.type)}",
                    span=span,
                    suggestion="Choose another name for the column, or another KAFKA_TOPIC.",
                )

    def create_topic(self, name: str, config: TopicConfig, replicas: int = 1) -> None:
        """Create a topic; what was asked for is kept where the physical topic differs."""
        properties: dict[str, str] = dict(config.properties)
        if replicas != 1:
            properties[REPLICAS] = str(replicas)
        partitions = config.partitions
        if self.one_partition and partitions != 1:
            properties[LOGICAL_PARTITIONS] = str(partitions)
            partitions = 1
        self.log.create_topic(name, replace(config, partitions=partitions, properties=properties))

    # --- sources ---------------------------------------------------------------------------

    def readers(self, name: str) -> list[str]:
        """Ids of the queries that read a source."""
        return [q.id for q in self.catalog.queries.values() if name in q.sources]

    def writers(self, name: str) -> list[str]:
        """Ids of the queries that write to a source."""
        return [q.id for q in self.catalog.queries.values() if q.sink == name and q.kind != "CST"]

    def view_of(self, source: DataSource) -> str | None:
        """The query that keeps a table's rows for pull queries, if one does."""
        if source.query_id is None or source.query_id not in self.planned:
            return None
        return source.query_id if self.planned[source.query_id].dataflow.view is not None else None
