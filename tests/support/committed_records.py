"""What a topic of Apache Kafka holds for readers of committed records."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import confluent_kafka


def committed(
    address: str, topic: str, last: Callable[[list[Any]], bool], *, seconds: float = 90.0, quiet_s: float = 1.5
) -> list[Any]:
    """Key and value of what is read with read_committed, until ``last`` says that it is all, and ``quiet_s`` longer."""
    reader = confluent_kafka.Consumer(
        {
            "bootstrap.servers": address,
            "group.id": uuid.uuid4().hex,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    reader.subscribe([topic])
    found: list[Any] = []
    end, quiet = time.monotonic() + seconds, 0.0
    while time.monotonic() < end and quiet < quiet_s:
        messages = reader.consume(1000, 0.5)
        for message in messages:
            assert message.error() is None, message.error()
            found.append((message.key(), json.loads(message.value())))
        quiet = quiet + 0.5 if not messages and last(found) else 0.0
    reader.close()
    return found
