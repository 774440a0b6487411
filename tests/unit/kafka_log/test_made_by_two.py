"""Two processes of a service make a topic of the engine's own at the same moment: it is one topic."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest

from penstock.errors import LogRefusedError, LogUnavailableError, StorageError
from penstock.storage.log.kafka import kafka_log, topics
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


def test_what_another_one_has_just_said_of_it_stays(kafka_broker: KafkaBroker) -> None:
    """One that was looking when the other one said it, and fails to make the topic, does not take it away."""
    first, second = (KafkaLog(KafkaSettings(kafka_broker.address, "shop", instance=i, timeout_s=20)) for i in "ab")
    config = TopicConfig(2, pa.struct([pa.field("A", pa.int64())]), internal=True)
    entry = topics._entry(config, 7)

    def meanwhile(bits: int) -> int:
        first._claim_entry((("topic", NAME), entry), lambda other: False)
        return 8

    refused = mock.patch.object(topics.Topics, "make", side_effect=LogRefusedError("not allowed"))
    try:
        with refused, mock.patch.object(topics.random, "getrandbits", meanwhile), pytest.raises(LogRefusedError):
            second.create_topic(NAME, config)
        first._parts.state.catch_up()
        assert first._parts.state.get("topic", NAME) == entry
    finally:
        second.close()
        first.close()


def test_two_that_begin_a_log_know_it_by_one_name(kafka_broker: KafkaBroker) -> None:
    """And know each other by one key, though each has found none when it looked."""
    first, second = (KafkaLog(KafkaSettings(kafka_broker.address, "shop", instance=i, timeout_s=20)) for i in "ab")
    found: list[str] = []

    def meanwhile(size: int) -> str:
        if not found:
            found.append("")
            found[0] = first.service_key()
        return f"made by {len(found)}"

    try:
        with mock.patch.object(kafka_log.secrets, "token_hex", meanwhile):
            assert second.service_key() == found[0] == first.service_key()
        assert first.identity == second.identity
    finally:
        second.close()
        first.close()


def test_a_topic_that_a_restarted_broker_does_not_show_is_looked_for(kafka_broker: KafkaBroker) -> None:
    """A broker that has just started may not know of it yet.  One that does not come back is gone."""
    kafka_broker.database.create_topic("orders", partitions=3)
    log = KafkaLog(KafkaSettings(kafka_broker.address, "shop", instance="a", timeout_s=20))
    listed, left = topics.Topics._list, [3]

    def without(self: topics.Topics, seconds: float | None = None) -> dict[str, int]:
        found = listed(self, seconds)
        if left[0]:
            left[0] -= 1
            del found["orders"]
        return found

    try:
        assert log._topics.need("orders").partitions == 3
        with mock.patch.object(topics.Topics, "_list", without):
            log._topics._asked_s = 0.0
            assert log._topics.need("orders").partitions == 3
            assert left == [0]
            left[0] = 1_000
            log._topics._asked_s = 0.0
            with mock.patch.object(topics, "LATE_S", 0.5), pytest.raises(LogRefusedError, match="no topic"):
                log._topics.need("orders")
            with pytest.raises(LogRefusedError, match="no topic"), mock.patch.object(topics.time, "sleep") as slept:
                log._topics.need("orders")
            assert not slept.called  # it is not waited for again
    finally:
        log.close()
