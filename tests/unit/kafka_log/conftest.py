"""Databases whose log is in Kafka: over Penstock's own listener."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("confluent_kafka")
pytest.importorskip("kio")

import penstock
from penstock.testing.kafka import KafkaBroker

Connect = Callable[..., penstock.Database]


@pytest.fixture
def connect(kafka_broker: KafkaBroker, tmp_path: Path) -> Iterator[Connect]:
    """Opens a database of the service ``shop``, with a directory by its name; closed at the end."""
    with ExitStack() as opened:

        def make(name: str | None = "a", **more: Any) -> penstock.Database:
            more = {"service_id": "shop", "auto_offset_reset": "earliest", **more}
            path = None if name is None else tmp_path / name
            return opened.enter_context(penstock.connect(path, kafka=kafka_broker.address, **more))

        yield make
