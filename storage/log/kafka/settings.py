"""What is said about a Kafka cluster and this process's part in it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ....errors import StatementError

__all__ = ["KafkaSettings", "is_client_property", "settings_of"]

CLIENT_PREFIXES = ("security.", "sasl.", "ssl.", "socket.", "broker.address.", "enable.ssl.")
"""Properties of the client that pass through to librdkafka, by how they begin."""
NUMBERS = {
    "session.timeout.ms": "session_timeout_ms",
    "transaction.timeout.ms": "transaction_timeout_ms",
    "replication.factor": "replicas",
}
"""Further ones, which are fields of `KafkaSettings`."""
_PATIENCE = "socket.timeout.ms"
"""How long a call waits; the client itself gives a connection up sooner (`KafkaSettings.attempt_s`)."""
_ATTEMPT_S = 10.0
_SERVICE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,99}")


def is_client_property(name: str) -> bool:
    """Whether a property is one of Kafka's client, which connecting takes and no statement."""
    return name in NUMBERS or name.startswith(CLIENT_PREFIXES)


def settings_of(servers: str, service_id: str, properties: Mapping[str, object], instance: str | None) -> KafkaSettings:
    """Settings from the properties of a client.

    Args:
        instance: see there; None: one of this process's only.

    Raises:
        StatementError: a number is none.
    """
    chosen: dict[str, Any] = {}
    for name, field_name in [*NUMBERS.items(), (_PATIENCE, _PATIENCE)]:
        if name in properties:
            text = str(properties[name])
            if not text.isdecimal() or int(text) < 1:
                raise StatementError(f"{name} must be a whole number of at least 1, not {text!r}")
            chosen[field_name] = int(text)
    if _PATIENCE in chosen:
        chosen["timeout_s"] = chosen.pop(_PATIENCE) / 1000
    if instance is not None:
        chosen.update(instance=instance, is_static=True)
    return KafkaSettings(
        servers,
        service_id,
        client={name: str(value) for name, value in properties.items() if name not in NUMBERS and name != _PATIENCE},
        **chosen,
    )


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How to reach a cluster, and as whom.

    Attributes:
        servers: ``bootstrap.servers``.
        service_id: processes with the same one are one service: they share statements, topics of their own and the
            partitions of their queries.
        instance: this process among them; the same over its restarts, and used by no other process at the same time.
        is_static: whether ``instance`` is the same over restarts; its partitions are kept for it through a short one.
        client: further properties of the client, as librdkafka takes them (``security.protocol``, ``sasl.password``, ..).
        replicas: of topics that are created; None leaves it to the brokers.
        timeout_s: how long a call waits for the brokers before it is an error (``socket.timeout.ms``).
        transaction_timeout_ms: after which the brokers abort a transaction whose process is gone.
        session_timeout_ms: after which a process that does not answer loses its partitions.
        partition_bytes_max: of records that are kept in memory, for each partition that is followed.
    """

    servers: str
    service_id: str = "default_"
    instance: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    is_static: bool = False
    client: Mapping[str, str] = field(default_factory=dict)
    replicas: int | None = None
    timeout_s: float = 30.0
    transaction_timeout_ms: int = 10_000
    session_timeout_ms: int = 10_000
    partition_bytes_max: int = 8 * 1024 * 1024

    @property
    def attempt_s(self) -> float:
        """How long is waited for the answer to one request: a connection that gives none is given up then."""
        return min(_ATTEMPT_S, self.timeout_s, self.transaction_timeout_ms / 1000)

    def __post_init__(self) -> None:
        """Raises: StatementError, for a service id that cannot be part of the names of topics."""
        if not _SERVICE.fullmatch(self.service_id):
            raise StatementError(
                f"a service id must be 1 to 100 letters, digits, _ and -, not {self.service_id!r}",
                suggestion="service_id='shop'",
            )

    @property
    def client_id(self) -> str:
        """What the brokers know this process by."""
        return f"penstock-{self.service_id}-{self.instance}"

    def __repr__(self) -> str:  # the passwords of `client` stay out of every message
        return f"<KafkaSettings {self.service_id} at {self.servers}>"
