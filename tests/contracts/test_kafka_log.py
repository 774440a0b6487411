"""`KafkaLog` keeps what any log promises: over Penstock's own listener, and over Apache Kafka (`make test-kafka`)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

pytest.importorskip("confluent_kafka")
pytest.importorskip("kio")

from apache_kafka import empty, wanted_address
from log import LogContract

from penstock.storage.log.kafka.kafka_log import KafkaLog
from penstock.storage.log.kafka.settings import KafkaSettings
from penstock.storage.log.protocol import Log, TopicConfig
from penstock.testing.kafka import KafkaBroker


class _OverKafka(LogContract):
    servers: str

    def open(self, place: Path) -> Log:
        return KafkaLog(KafkaSettings(self.servers, "contract", instance=place.parent.name, timeout_s=20))


class TestOverOurListener(_OverKafka):
    """Each test has a broker of its own."""

    @pytest.fixture(autouse=True)
    def _broker(self, kafka_broker: KafkaBroker) -> Iterator[None]:
        self.servers = kafka_broker.bootstrap_servers
        yield


@pytest.mark.skipif(wanted_address() is None, reason="PENSTOCK_KAFKA does not name a broker: see `make test-kafka`")
@pytest.mark.xdist_group("apache-kafka")
class TestOverApacheKafka(_OverKafka):
    """One broker, emptied for each test."""

    all_configs = TopicConfig(2, None, "compact", 1000, 2000, True, {"a": "b"}, 4 << 20, 5000, 6000, 7000, "zstd")

    @pytest.fixture(autouse=True)
    def _broker(self) -> Iterator[None]:
        address = wanted_address()
        assert address is not None
        empty(address)
        self.servers = address
        yield
