"""Two processes of a service make a topic of the engine's own at the same moment: it is one topic."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa

from penstock.storage.log.kafka import topics
from penstock.storage.log.kafka.kafka_log import KafkaLog
from penstock.storage.log.kafka.settings import KafkaSettings
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.testing.kafka import KafkaBroker

NAME = "_changelog-CTAS_T_1-aggregate-groups"


def test_what_one_has_begun_to_write_to_it_happens(kafka_broker: KafkaBroker) -> None:
    """Though the other one did not see it when it began to make it."""
    first, second = (
        KafkaLog(KafkaSettings(kafka_broker.address, "shop", instance=instance, timeout_s=20)) for instance in "ab"
    )
    config = TopicConfig(2, pa.struct([pa.field("A", pa.int64())]), internal=True)
    begun: list[Any] = []

    def meanwhile(bits: int) -> int:
        if not begun:
            begun.append(None)
            first.create_topic(NAME, config)
            transaction = first.transaction()
            values = pa.array([{"A": 1}], config.value_type)
            transaction.append(NAME, Records(None, values, np.zeros(1, np.int64)), 0)
            begun[0] = transaction
        begun.append(None)
        return len(begun)

    try:
        with mock.patch.object(topics.random, "getrandbits", meanwhile):
            second.create_topic(NAME, config)
        second.topics()
        first.metadata("x")  # what the other one has said of it is known here
        begun[0].commit()
        assert second.read(NAME, 0, 0, rows_max=10).values.to_pylist() == [{"A": 1}]
    finally:
        second.close()
        first.close()
