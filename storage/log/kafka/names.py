"""The engine's names for topics and groups, and Kafka's.

A cluster has many tenants.  What is the engine's own by its name (`ownership.is_own_name`) carries the service's id in
Kafka, so that two services do not meet::

    _penstock-statements      penstock.shop.statements
    _changelog-CTAS_T_1-agg   penstock.shop.changelog-CTAS_T_1-agg
    ksql_processing_log       penstock.shop.ksql_processing_log
    orders                    orders

Topics of other services, and those of the brokers (``__consumer_offsets``), are not there for the engine.
"""

from __future__ import annotations

from ...layout import CHANGELOG_PREFIX
from ..ownership import PROCESSING_LOG, SCHEMAS, is_own_name

__all__ = ["TopicNames"]

_FAMILY = "penstock."
_OWN = "_penstock-"
_PLAIN = frozenset({SCHEMAS, PROCESSING_LOG})
_CHANGELOG = CHANGELOG_PREFIX.removeprefix("_")


class TopicNames:
    """Of one service."""

    def __init__(self, service_id: str) -> None:
        self._prefix = f"{_FAMILY}{service_id}."
        self.state = f"{self._prefix}state"
        """The topic in which a `ServiceState` is kept: not there for the engine."""

    def topic(self, name: str) -> str:
        """Kafka's name of a topic of the engine's."""
        if not is_own_name(name):
            return name
        if name in _PLAIN:
            return self._prefix + name
        if name.startswith(CHANGELOG_PREFIX):
            return self._prefix + name.removeprefix("_")
        return self._prefix + name.removeprefix(_OWN)

    def engine_topic(self, kafka_name: str) -> str | None:
        """The engine's name of a topic of Kafka's; None for one that it is not to see."""
        if kafka_name.startswith(self._prefix):
            rest = kafka_name.removeprefix(self._prefix)
            if kafka_name == self.state:
                return None
            if rest in _PLAIN:
                return rest
            return f"_{rest}" if rest.startswith(_CHANGELOG) else _OWN + rest
        # what others call as the engine calls its own (a registry's _schemas) is not to be taken for that
        return None if kafka_name.startswith((_FAMILY, "__")) or is_own_name(kafka_name) else kafka_name

    def group(self, name: str) -> str:
        """Kafka's name of a consumer group of the engine's."""
        return self._prefix + name

    def engine_group(self, kafka_name: str) -> str | None:
        """The engine's name of a group of Kafka's; None for one that is not this service's."""
        return kafka_name.removeprefix(self._prefix) if kafka_name.startswith(self._prefix) else None
