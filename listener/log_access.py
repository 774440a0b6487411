"""What the listener asks of a database: its log, and the rules that every way into it keeps."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from ..errors import DataError, StatementError, StorageError
from ..storage.formats import make_serde
from ..storage.formats.base import SerdeOptions
from ..storage.log.ownership import is_kafka_name, refused_write
from ..storage.log.protocol import FetchedRecords, Log, Records, TopicConfig
from ..storage.log.topic_config import described, with_config

if TYPE_CHECKING:
    from ..engine.database import Database
    from ..storage.formats.base import Serde

__all__ = ["STATE_TOPIC", "LogAccess", "group_name"]

STATE_TOPIC = "_penstock-kafka-state"
"""Producers, transactional ids and the texts of committed offsets: an internal, compacted topic."""

_IDS: Final = uuid.UUID("5be0a1c8-7a5d-4f0e-9d0c-6e2f4c1b8a37")
"""The namespace of topics' ids: they follow from a topic's name and its number in the log."""
_FIXED_CONFIGS = {
    "message.timestamp.type": "CreateTime",
    "min.insync.replicas": "1",
    "unclean.leader.election.enable": "false",
}
"""Configs that have one value here, and may be given with it."""


def group_name(group: str) -> str:
    """The name that the log keeps a consumer group's offsets under, the same as for `Database.consumer`."""
    return f"group:{group}"


class LogAccess:
    """The topics of a database as Kafka's clients see them: the engine's own are not there.  Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.log: Log = database.log
        self._names: dict[uuid.UUID | None, str] = {}

    def claim_group(self, name: str, owner: object, is_used: Callable[[], bool]) -> bool:
        """Whether a group's members may come over Kafka's protocol: see `runtime/clients/coordinator.py`."""
        return self._database.groups.claim(name, owner, is_used)

    def now_ms(self) -> int:
        """The present time of the database's clock."""
        return self._database.now_ms()

    # --- topics ----------------------------------------------------------------------------

    def topics(self) -> dict[str, TopicConfig]:
        """The topics that clients may see, by name."""
        return {name: config for name, config in self.log.topics().items() if not config.internal}

    def topic(self, name: str) -> TopicConfig | None:
        """One of them; None if there is none of this name that clients may see."""
        config = self.log.config(name)
        return None if config is None or config.internal else config

    def topic_id(self, name: str) -> uuid.UUID | None:
        """A topic's id: another one when it was deleted and made again.  None if there is none of this name."""
        if self.topic(name) is None:
            return None
        try:
            number = self.log.topic_id(name)
        except StorageError:  # deleted meanwhile
            return None
        return uuid.uuid5(_IDS, f"{name}/{number}")

    def name_of(self, topic_id: uuid.UUID | None) -> str | None:
        """The name of the topic that has this id now."""
        if topic_id is None:
            return None
        name = self._names.get(topic_id)
        if name is not None and self.topic_id(name) == topic_id:
            return name
        self._names = {self.topic_id(known): known for known in self.topics()}
        return self._names.get(topic_id)

    def refused_write(self, name: str) -> str | None:
        """Why no client may make, write, change or delete a topic of this name, in one clause; None if clients may.

        The engine's own topics that are not shown are to clients as if they were not there: their names alone decide.
        """
        return refused_write(name, self.topic(name))

    def refused_records(self, name: str) -> str | None:
        """Why no client may write records to a topic, in one clause; None if clients may."""
        return self.refused_write(name) or self._database.catalog.refused_write(name)

    def is_valid_name(self, name: str) -> bool:
        """Whether Kafka allows a topic of this name."""
        return is_kafka_name(name)

    def create_topic(self, name: str, partitions: int, configs: Mapping[str, str | None]) -> None:
        """Create a topic of bytes.

        Raises:
            StatementError: a config that does not exist, or has a value that it cannot have; the name is the engine's own.
            StorageError: the topic exists.
        """
        self._database.create_topic(name, partitions=partitions, config=_own(configs))

    def check_configs(self, configs: Mapping[str, str | None]) -> None:
        """Raises: StatementError, as `create_topic`."""
        with_config(TopicConfig(), _own(configs))

    def alter_topic(self, name: str, changes: Mapping[str, str | None]) -> None:
        """Change a topic's configs; None goes back to the default.  Raises: StatementError, StorageError."""
        self._database.alter_topic(name, _own(changes))

    def described(self, config: TopicConfig) -> dict[str, str]:
        """A topic's configs as texts."""
        return {**described(config), **_FIXED_CONFIGS}

    def add_partitions(self, name: str, total: int) -> None:
        """Raises: StatementError, StorageError: records with keys are there, whose places would change."""
        self._database.alter_topic(name, partitions=total)

    def delete_topic(self, name: str) -> None:
        """Raises: StatementError: a source or a query stands on it."""
        self._database.delete_topic(name)

    def is_behind(self, topics: Sequence[str]) -> bool:
        """Whether a running query that reads one of the topics has so much to catch up with that producers should wait."""
        return self._database.is_behind(topics)

    # --- values ----------------------------------------------------------------------------

    def as_stored(self, config: TopicConfig, records: Records) -> Records:
        """Records of bytes as a topic keeps them: typed topics take JSON objects with the columns' names.

        Raises:
            DataError: a value is no such object.
        """
        if config.value_type is None:
            return records
        fields = pa.schema(list(config.value_type))
        decoded = _json().decode(records.values, fields)
        if decoded.malformed is not None:
            row, reason = int(decoded.malformed.rows[0]), decoded.malformed.reasons[0]
            raise DataError(f"record {row} of the batch does not fit the topic's columns: {reason}")
        absent = None if decoded.nulls is None else pa.array(decoded.nulls)
        values = pa.StructArray.from_arrays(list(decoded.columns), fields=list(fields), mask=absent)
        return replace(records, values=values)

    def as_sent(self, config: TopicConfig, records: FetchedRecords) -> FetchedRecords:
        """Records with values as bytes: those of typed topics as JSON objects."""
        if records.values.type == pa.binary():
            return records
        fields = pa.schema(list(records.values.type))
        absent = records.values.is_null().to_numpy(zero_copy_only=False) if records.values.null_count else None
        encoded = _json().encode(records.values.flatten(), fields, absent)
        return replace(records, values=encoded.data)


def _json() -> Serde:
    return make_serde("JSON", SerdeOptions(wrap=True))


def _own(configs: Mapping[str, str | None]) -> dict[str, str | None]:
    """Configs that are the log's to know; the others have one value here.

    Raises:
        StatementError: such a one is given another value.
    """
    kept = {}
    for name, value in configs.items():
        if name not in _FIXED_CONFIGS:
            kept[name] = value
        elif value not in (None, _FIXED_CONFIGS[name]):
            raise StatementError(f"{name} is always {_FIXED_CONFIGS[name]} here, not {value}")
    return kept
