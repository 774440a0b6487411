"""Two processes of a service make a topic of the engine's own at the same moment: it is one topic."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest

from penstock.errors import LogRefusedError, LogUnavailableError, StorageError
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


@pytest.mark.parametrize("failure", [LogUnavailableError("no broker answers"), LogRefusedError("not allowed")])
def test_one_that_fails_to_make_it_leaves_what_is_known_of_it(kafka_broker: KafkaBroker, failure: StorageError) -> None:
    """A broker that has just started may not show a topic that is there, and then be gone again."""
    first, second = (KafkaLog(KafkaSettings(kafka_broker.address, "shop", instance=i, timeout_s=20)) for i in "ab")
    config = TopicConfig(2, pa.struct([pa.field("A", pa.int64())]), internal=True)
    try:
        first.create_topic(NAME, config)
        shown = [{}]
        listed = topics.Topics._list

        def at_first_without(self: topics.Topics, seconds: float | None = None) -> dict[str, int]:
            return shown.pop() if shown else listed(self, seconds)

        fails = mock.patch.object(topics.Topics, "make", side_effect=failure)
        with mock.patch.object(topics.Topics, "_list", at_first_without), fails as asked, pytest.raises(type(failure)):
            second.create_topic(NAME, config)
        assert asked.call_count == 1
        for log in (first, second):
            log._topics.refresh()
            found = log.config(NAME)
            assert found is not None and found.value_type == config.value_type
    finally:
        second.close()
        first.close()


def test_nothing_is_left_of_a_topic_that_is_refused(kafka_broker: KafkaBroker) -> None:
    log = KafkaLog(KafkaSettings(kafka_broker.address, "shop", instance="a", timeout_s=20))
    config = TopicConfig(2, pa.struct([pa.field("A", pa.int64())]), internal=True)
    refused = mock.patch.object(topics.Topics, "make", side_effect=LogRefusedError("not allowed"))
    try:
        with refused, pytest.raises(LogRefusedError):
            log.create_topic(NAME, config)
        log._parts.state.catch_up()
        assert log._parts.state.get("topic", NAME) is None
    finally:
        log.close()
