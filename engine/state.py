"""The parts of an open database that all its sessions share."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..errors import StatementError, StorageError
from ..runtime.clock import Clock
from ..runtime.dataflow import Dataflow
from ..runtime.host import QueryHost
from ..storage.combining import Combiner
from ..storage.log.protocol import Log, TopicConfig
from .analysis.resolved import ResolvedQuery
from .catalog import Catalog, DataSource
from .functions.registry import Registry
from .journal import ChangeJournal
from .lookup_cache import LookupCache
from .plan.tree import PlanNode
from .serdes import Layout
from .settings import Settings

if TYPE_CHECKING:
    from ..storage.schemas.registry import SchemaRegistry

LOGICAL_PARTITIONS = "partitions"
REPLICAS = "replicas"


class FollowedFile(Protocol):
    """A file that a stream follows.  ``error`` says why following has stopped."""

    path: Path
    error: str | None

    @property
    def wanted(self) -> bool: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan of a persistent query, for EXPLAIN, and to compare it with a query that replaces it."""

    query_id: str
    plan: PlanNode
    dataflow: Dataflow
    order: int
    resolved: ResolvedQuery | None = None


@dataclass(slots=True)
class Engine:
    """The parts of an open database.

    Statements run one at a time, and hold ``lock``.  Queries that only read run at the same time.

    Attributes:
        settings: the properties given to `connect`.  Every session starts from them.
        schemas: the schema registry.
        one_partition: every topic has one physical partition, so that results do not depend on the partition of a key.  SHOW
            and the rules of joins use the number that the statement gave.
        catalog: it is replaced, and never changed.
        planned: persistent queries by id.
        unsettled: the error after a statement in the journal could not be finished.  The state in memory then differs from
            the journal, so no other statement may follow.
        combiner: combines small inserts of many callers into common records.
        lookups: pull queries by key that have been analysed.
        layouts: how rows of sources are written, by the source's name.  Each is valid only for the source object in it.
        followers: the files that streams follow, by the stream's name.
        lock: held while a statement is executed.
    """

    log: Log
    host: QueryHost
    functions: Registry
    settings: Settings
    journal: ChangeJournal
    clock: Clock
    schemas: SchemaRegistry | None = None
    one_partition: bool = False
    catalog: Catalog = field(default_factory=Catalog)
    planned: Mapping[str, Planned] = field(default_factory=dict)
    unsettled: StorageError | None = None
    layouts: dict[str, Layout] = field(default_factory=dict)
    combiner: Combiner = field(default_factory=Combiner)
    lookups: LookupCache = field(default_factory=LookupCache)
    lock: threading.RLock = field(default_factory=threading.RLock)
    followers: dict[str, FollowedFile] = field(default_factory=dict)
    closed: bool = False

    def check_open(self) -> None:
        """Check that the database is open.

        Raises:
            StatementError: it is closed.
            StorageError: this is a forked process, see `Log.foreign`.
        """
        self.log.check_process()
        if self.closed:
            raise StatementError("the database is closed")

    # --- topics ----------------------------------------------------------------------------

    def topic(self, name: str) -> TopicConfig | None:
        return self.log.config(name)

    def partitions(self, name: str) -> int:
        """The number of partitions that was given when a topic was created."""
        config = self._config(name)
        return int(config.properties.get(LOGICAL_PARTITIONS, config.partitions))

    def _config(self, name: str) -> TopicConfig:
        config = self.log.config(name)
        if config is None:
            raise StorageError(f"there is no topic {name!r}")
        return config

    def replicas(self, name: str) -> int:
        return int(self._config(name).properties.get(REPLICAS, "1"))

    def create_topic(self, name: str, config: TopicConfig, replicas: int = 1, *, durable: bool = True) -> None:
        """Create a topic.  For ``durable`` see `Log.create_topic`.

        If the physical topic has other partitions, the number that was given is stored, too.
        """
        properties: dict[str, str] = dict(config.properties)
        if replicas != 1:
            properties[REPLICAS] = str(replicas)
        partitions = config.partitions
        if self.one_partition and partitions != 1:
            properties[LOGICAL_PARTITIONS] = str(partitions)
            partitions = 1
        self.log.create_topic(name, replace(config, partitions=partitions, properties=properties), durable=durable)

    # --- sources ---------------------------------------------------------------------------

    def view_of(self, source: DataSource) -> str | None:
        """The id of the query that keeps a table's rows for pull queries; None if there is none."""
        if source.query_id is None or source.query_id not in self.planned:
            return None
        return source.query_id if self.planned[source.query_id].dataflow.view is not None else None
