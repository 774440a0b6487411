"""The schema registry of a database: a topic of its log, as registry servers have one, or such a server.

The topic ``_schemas`` has a property that is set once a server holds the schemas.  The ids in records are valid in one
registry only, so opening a database with another registry is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from ..errors import DataError, StatementError
from ..runtime.clock import now_ms
from ..storage.formats import EmbeddedRegistry, SchemaRegistry
from ..storage.log.ownership import SCHEMAS
from ..storage.log.protocol import Log, Records, TopicConfig

TOPIC = SCHEMAS
URL_PROPERTY = "ksql.schema.registry.url"
_SERVER = "kept.by"


def open_registry(log: Log, url: str = "", ca_file: str = "") -> SchemaRegistry:
    """Open the registry with all schemas that are registered.  A registration is durable when it returns.

    Args:
        url: the address of a registry server; empty: the schemas are in the log.
        ca_file: the certificates that the server's certificate is checked with, see `RemoteRegistry`.

    Raises:
        StatementError: the schemas of this database are not where ``url`` says.
        StorageError: the topic cannot be read or created, or a server is needed and does not answer.
    """
    if TOPIC not in log.topics():
        log.create_topic(TOPIC, TopicConfig(internal=True))
    config = log.topics()[TOPIC]
    if not url:
        if _SERVER in config.properties:
            raise StatementError(
                "the schemas of this database are kept by a schema registry server",
                suggestion=f"Give its URL to connect() as {URL_PROPERTY}.",
            )
        return _embedded(log)
    # Imported here because it needs Python's HTTP client, which nothing else does.
    from ..storage.schemas.remote import RemoteRegistry

    remote = RemoteRegistry(url, ca_file)
    _check_same(_embedded(log), remote)
    if _SERVER not in config.properties:
        log.alter_topic(TOPIC, replace(config, properties={**config.properties, _SERVER: "server"}))
    return remote


def _embedded(log: Log) -> EmbeddedRegistry:
    def append(key: bytes, value: bytes | None) -> None:
        transaction = log.transaction()
        keys, values = pa.array([key], pa.binary()), pa.array([value], pa.binary())
        transaction.append(TOPIC, Records(keys, values, np.array([now_ms()], np.int64)), 0)
        transaction.commit()

    return EmbeddedRegistry(_records(log), append)


def _check_same(own: EmbeddedRegistry, remote: SchemaRegistry) -> None:
    """Check that all ids in this database have the same schemas at the server.

    Raises:
        StatementError: one does not.
    """
    for schema_id, schema in own.schemas().items():
        try:
            same = remote.by_id(schema_id).same_as(schema)
        except DataError:
            same = False
        if not same:
            raise StatementError(
                f"this database has schemas of its own, and schema id {schema_id} is another one at the registry server",
                suggestion=f"Open it without {URL_PROPERTY}, or import its schemas there under their ids.",
            )


def _records(log: Log) -> Iterator[tuple[bytes, bytes | None]]:
    for records in log.scan(TOPIC, 0, log.start_offset(TOPIC, 0)):
        keys = [] if records.keys is None else records.keys.to_pylist()
        # (the registry writes no records without a key, but old versions let anybody write here)
        yield from ((key, value) for key, value in zip(keys, records.values.to_pylist()) if key is not None)
