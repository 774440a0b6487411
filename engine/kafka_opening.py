"""Opens a database whose log is in Kafka: finds the log, and the part of the directory that belongs to it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ..errors import StatementError, StorageError
from ..storage.log.protocol import Log

if TYPE_CHECKING:
    from ..storage.state.checkpoint import CheckpointFiles

__all__ = ["KafkaPlace", "check_kafka", "open_kafka_log"]

_FILE = "kafka.json"


@dataclass(frozen=True, slots=True)
class KafkaPlace:
    """Where a database's log is, and the identity of this process there.

    Attributes:
        client: properties of Kafka's client.  They are never journaled or shown.
    """

    servers: str
    service_id: str = "default_"
    client: Mapping[str, object] = field(default_factory=dict, repr=False)


def check_kafka(place: KafkaPlace) -> None:
    """Check all that can be checked before something is created.

    Raises:
        StatementError: ``penstock[kafka]`` is not installed, or a property is wrong.
    """
    try:
        from ..storage.log.kafka import kafka_log  # noqa: F401 (what it needs is there)
        from ..storage.log.kafka.settings import settings_of
    except ImportError as error:
        raise StatementError(
            f"a log in Kafka needs a package that is not installed: {error.name}", suggestion="pip install penstock[kafka]"
        ) from None
    settings_of(place.servers, place.service_id, place.client, None)


def open_kafka_log(place: KafkaPlace, directory: Path | None, checkpoints: CheckpointFiles | None) -> Log:
    """Open the log of a service.  Call `check_kafka` before.

    Copies of state in the directory are deleted if they belong to another service, or to one whose topics were deleted
    since.

    Raises:
        StorageError: no broker answers, or it refuses this client.
    """
    from ..storage.log.kafka.kafka_log import KafkaLog
    from ..storage.log.kafka.settings import settings_of

    known = {} if directory is None else _known(directory / _FILE)
    instance = None if directory is None else known.get("instance") or uuid.uuid4().hex[:12]
    log = KafkaLog(settings_of(place.servers, place.service_id, place.client, instance))
    if directory is not None and checkpoints is not None:
        now = {"instance": instance, "service": place.service_id, "log": log.identity}
        if now != known:
            for query_id in checkpoints.queries():
                checkpoints.delete(query_id)
            (directory / _FILE).write_bytes(msgspec.json.encode(now))
    return log


def _known(path: Path) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(path.read_bytes())
    except FileNotFoundError:
        return {}
    except msgspec.DecodeError as error:
        raise StorageError(f"not what Penstock writes: {error}", path=str(path), action="delete the file") from error
    return found if isinstance(found, dict) else {}
