"""What is said about a Kafka cluster and this process's part in it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ....errors import StatementError

__all__ = ["CLIENT_PREFIXES", "Guarantee", "KafkaSettings", "is_client_property", "is_secret"]

Guarantee = Literal["exactly_once_v2", "at_least_once"]

CLIENT_PREFIXES = (
    "security.",
    "sasl.",
    "ssl.",
    "socket.",
    "broker.address.",
    "enable.ssl.",
    "client.",
    "https.",
    "log.",
    "debug",
)
"""Properties of the client that pass through to librdkafka, by how they begin."""
_SECRETS = re.compile(r"password|secret|jaas|token|\.pem$|credential|oauthbearer\.config", re.IGNORECASE)
_SERVICE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,99}")


def is_client_property(name: str) -> bool:
    """Whether a property is one of Kafka's client, which connecting takes and no statement."""
    return name.startswith(CLIENT_PREFIXES)


def is_secret(name: str) -> bool:
    """Whether the value of a property must not be written or shown anywhere."""
    return _SECRETS.search(name) is not None


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How to reach a cluster, and as whom.

    Attributes:
        servers: ``bootstrap.servers``.
        service_id: processes with the same one are one service: they share statements, topics of their own and the
            partitions of their queries.
        instance: this process among them; the same over its restarts, and used by no other process at the same time.
        client: further properties of the client, as librdkafka takes them (``security.protocol``, ``sasl.password``, ..).
        guarantee: ``exactly_once_v2`` has a transaction of Kafka's for each commit; ``at_least_once`` has none.
        replicas: of topics that are created; None leaves it to the brokers.
        timeout_s: how long a call waits for the brokers before it is an error.
        transaction_timeout_ms: after which the brokers abort a transaction whose process is gone.
        session_timeout_ms: after which a process that does not answer loses its partitions.
        partition_bytes_max: of records that are kept in memory, for each partition that is followed.
    """

    servers: str
    service_id: str = "default_"
    instance: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    client: Mapping[str, str] = field(default_factory=dict)
    guarantee: Guarantee = "exactly_once_v2"
    replicas: int | None = None
    timeout_s: float = 30.0
    transaction_timeout_ms: int = 10_000
    session_timeout_ms: int = 10_000
    partition_bytes_max: int = 8 * 1024 * 1024

    def __post_init__(self) -> None:
        """Raises: StatementError, for a service id that cannot be part of the names of topics."""
        if not _SERVICE.fullmatch(self.service_id):
            raise StatementError(
                f"a service id has letters, digits, _ and -, 100 at most; not {self.service_id!r}",
                suggestion="service_id='shop'",
            )

    def __repr__(self) -> str:  # the passwords of `client` stay out of every message
        return f"<KafkaSettings {self.service_id} at {self.servers}>"
