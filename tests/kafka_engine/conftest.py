"""Databases whose log is in Kafka: over Penstock's own listener, and over Apache Kafka where `make test-kafka` runs one."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

pytest.importorskip("confluent_kafka")
pytest.importorskip("kio")

from apache_kafka import wanted_address
from own_names import OwnNames

import penstock
from penstock.storage.log.kafka import parts

Connect = Callable[..., penstock.Database]

APACHE = pytest.param(
    "Apache Kafka",
    marks=[
        pytest.mark.skipif(wanted_address() is None, reason="PENSTOCK_KAFKA does not name a broker: see `make test-kafka`"),
        pytest.mark.xdist_group("apache-kafka"),
    ],
)


EVERY = 1 if os.environ.get("PENSTOCK_KAFKA_GOLDEN") == "all" else 7
"""Of the golden scripts over Kafka, one of so many is run; by turns with one partition and with three."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave only a sample of the golden scripts: each takes seconds, most of them waiting for groups."""
    golden = [item for item in items if item.path.name == "test_golden.py" and item.path.parent.name == "kafka_engine"]
    left_out: set[pytest.Item] = set()
    for broker in ("[Apache Kafka-", "[our listener-"):
        left_out.update(item for number, item in enumerate(i for i in golden if broker in i.name) if number % EVERY)
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(params=["our listener", APACHE])
def address(request: pytest.FixtureRequest) -> str:
    """Where Kafka answers.  Each test has a listener of its own; on Apache Kafka others have topics, too."""
    if request.param == "our listener":
        found: str = request.getfixturevalue("kafka_broker").address
        return found
    address = wanted_address()
    assert address is not None
    return address


@pytest.fixture
def service_id() -> str:
    """One that nobody else has."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def connect(address: str, service_id: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Opens a database of the service, whose topics have names of their own on the broker; closed at the end."""
    monkeypatch.setattr(parts, "TopicNames", OwnNames)
    with ExitStack() as opened:

        def make(path: Path | None = None, **more: Any) -> penstock.Database:
            return opened.enter_context(penstock.connect(path, kafka=address, service_id=service_id, **more))

        yield make
