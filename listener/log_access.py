"""The listener's access to a database: its log, and the rules for all that write to it."""

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
"""The internal, compacted topic with producers, transactional ids and the metadata of committed offsets; see `state`."""

_IDS: Final = uuid.UUID("5be0a1c8-7a5d-4f0e-9d0c-6e2f4c1b8a37")
"""The UUID namespace of topic ids.  An id is derived from the topic's name and its number in the log."""
_FIXED_CONFIGS = {
    "message.timestamp.type": "CreateTime",
    "min.insync.replicas": "1",
    "unclean.leader.election.enable": "false",
}
"""Topic configs that can have only this value here.  A request may set them to it."""


def group_name(group: str) -> str:
    """The log's name for the offsets of a consumer group.  `Database.consumer` uses the same one."""
    return f"group:{group}"


class LogAccess:
    """The topics of a database that Kafka's clients see: all but the engine's internal ones.  Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.log: Log = database.log
        self._names: dict[uuid.UUID | None, str] = {}

    def claim_group(self, name: str, owner: object, is_used: Callable[[], bool]) -> bool:
        """Claim a group for members that use Kafka's protocol.  False if another coordinator has the group, see
        `runtime/clients/coordinator.py`."""
        return self._database.groups.claim(name, owner, is_used)

    def now_ms(self) -> int:
        """The present time of the database's clock, in milliseconds since 1970."""
        return self._database.now_ms()

    # --- topics ----------------------------------------------------------------------------

    def topics(self) -> dict[str, TopicConfig]:
        """Name -> config of the visible topics."""
        return {name: config for name, config in self.log.topics().items() if not config.internal}

    def topic(self, name: str) -> TopicConfig | None:
        """The config of a visible topic; None if there is none of this name."""
        config = self.log.config(name)
        return None if config is None or config.internal else config

    def topic_id(self, name: str) -> uuid.UUID | None:
        """A topic's id; None if no visible topic has this name.  A topic that was deleted and created again has a new id."""
        if self.topic(name) is None:
            return None
        try:
            number = self.log.topic_id(name)
        except StorageError:  # deleted meanwhile
            return None
        return uuid.uuid5(_IDS, f"{name}/{number}")

    def name_of(self, topic_id: uuid.UUID | None) -> str | None:
        """The name of the visible topic with this id; None if there is none."""
        if topic_id is None:
            return None
        name = self._names.get(topic_id)
        if name is not None and self.topic_id(name) == topic_id:
            return name
        self._names = {self.topic_id(known): known for known in self.topics()}
        return self._names.get(topic_id)

    def refused_write(self, name: str) -> str | None:
        """The reason, as one clause, why no client may create, write, change or delete a topic of this name; None if
        clients may.

        Only the name decides, since clients do not see the engine's internal topics.
        """
        return refused_write(name, self.topic(name))

    def refused_records(self, name: str) -> str | None:
        """The reason, as one clause, why no client may write records to a topic; None if clients may."""
        return self.refused_write(name) or self._database.catalog.refused_write(name)

    def is_valid_name(self, name: str) -> bool:
        """Whether Kafka allows this name for a topic."""
        return is_kafka_name(name)

    def create_topic(self, name: str, partitions: int, configs: Mapping[str, str | None]) -> None:
        """Create a topic whose values are bytes.

        Raises:
            StatementError: a config does not exist or has a wrong value, or the name is reserved for the engine.
            StorageError: the topic exists.
        """
        self._database.create_topic(name, partitions=partitions, config=_own(configs))

    def check_configs(self, configs: Mapping[str, str | None]) -> None:
        """Check the configs of a topic.  Raises: StatementError: a config does not exist or has a wrong value."""
        with_config(TopicConfig(), _own(configs))

    def alter_topic(self, name: str, changes: Mapping[str, str | None]) -> None:
        """Change a topic's configs; a None resets one to its default.

        Raises:
            StatementError: a config does not exist or has a wrong value.
            StorageError: the change could not be written.
        """
        self._database.alter_topic(name, _own(changes))

    def described(self, config: TopicConfig) -> dict[str, str]:
        """Name -> value of a topic's configs, as text."""
        return {**described(config), **_FIXED_CONFIGS}

    def add_partitions(self, name: str, total: int) -> None:
        """Add partitions to a topic, up to ``total`` of them.

        Raises:
            StatementError: the number is not allowed.
            StorageError: the topic has records with keys, some of which would belong to other partitions then.
        """
        self._database.alter_topic(name, partitions=total)

    def delete_topic(self, name: str) -> None:
        """Delete a topic.  Raises: StatementError, if a stream, table or query uses it."""
        self._database.delete_topic(name)

    def is_behind(self, topics: Sequence[str]) -> bool:
        """Whether a running query that reads one of the topics is so far behind that producers should wait."""
        return self._database.is_behind(topics)

    # --- values ----------------------------------------------------------------------------

    def as_stored(self, config: TopicConfig, records: Records) -> Records:
        """Convert records whose values are bytes to the form in which a topic stores them.

        For a typed topic each value must be a JSON object whose members are columns of the topic.

        Raises:
            DataError: a value is not such an object.
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
        """Convert stored records to records whose values are bytes.  Values of typed topics become JSON objects."""
        if records.values.type == pa.binary():
            return records
        fields = pa.schema(list(records.values.type))
        absent = records.values.is_null().to_numpy(zero_copy_only=False) if records.values.null_count else None
        encoded = _json().encode(records.values.flatten(), fields, absent)
        return replace(records, values=encoded.data)


def _json() -> Serde:
    return make_serde("JSON", SerdeOptions(wrap=True))


def _own(configs: Mapping[str, str | None]) -> dict[str, str | None]:
    """Select the configs that the log keeps; the others are those of `_FIXED_CONFIGS`.

    Raises:
        StatementError: a config of `_FIXED_CONFIGS` has another value than the one there.
    """
    kept = {}
    for name, value in configs.items():
        if name not in _FIXED_CONFIGS:
            kept[name] = value
        elif value not in (None, _FIXED_CONFIGS[name]):
            raise StatementError(f"{name} is always {_FIXED_CONFIGS[name]} here, not {value}")
    return kept
