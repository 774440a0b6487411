"""The parts of an open database, which all its sessions share."""

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
from .journal import Journal
from .lookup_cache import LookupCache
from .plan.tree import PlanNode
from .serdes import Layout
from .settings import Settings

if TYPE_CHECKING:
    from ..storage.schemas.registry import SchemaRegistry

LOGICAL_PARTITIONS = "partitions"
REPLICAS = "replicas"


class Following(Protocol):
    """A file whose new lines are taken in; ``error`` says why that has stopped."""

    path: Path
    error: str | None

    def close(self) -> None: ...


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
        unsettled: a statement is in the journal that could not be finished, so what is known in memory is not what the
            journal says: no other statement may follow it.
        combiner: makes few rows of many callers into records together.
        lookups: pull queries by key that have been analysed.
        layouts: how rows of sources are written, by the source's name; each counts for the source it holds only.
        followers: files whose new lines are taken in, by the stream's name.
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
    planned: Mapping[str, Planned] = field(default_factory=dict)
    unsettled: StorageError | None = None
    layouts: dict[str, Layout] = field(default_factory=dict)
    combiner: Combiner = field(default_factory=Combiner)
    lookups: LookupCache = field(default_factory=LookupCache)
    lock: threading.RLock = field(default_factory=threading.RLock)
    followers: dict[str, Following] = field(default_factory=dict)
    closed: bool = False

    def check_open(self) -> None:
        """Raises: StatementError, once the database is closed; StorageError, in a forked process: see `Log.foreign`."""
        self.log.check_process()
        if self.closed:
            raise StatementError("the database is closed")

    # --- topics ----------------------------------------------------------------------------

    def topic(self, name: str) -> TopicConfig | None:
        return self.log.config(name)

    def partitions(self, name: str) -> int:
        """How many partitions a topic was asked to have."""
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
        """Create a topic; what was asked for is kept where the physical topic differs.  For ``durable`` see
        `Log.create_topic`."""
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
        """The query that keeps a table's rows for pull queries, if one does."""
        if source.query_id is None or source.query_id not in self.planned:
            return None
        return source.query_id if self.planned[source.query_id].dataflow.view is not None else None
