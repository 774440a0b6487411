"""The Kafka client may lose which fatal error it has met: it is asked again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from confluent_kafka import KafkaError, KafkaException

from penstock.errors import LogUnavailableError
from penstock.storage.log.kafka.faults import FENCED, error_of, fault, is_passing
from penstock.storage.log.kafka.kafka_log import KafkaLog
from penstock.storage.log.kafka.settings import KafkaSettings
from penstock.storage.log.kafka.transaction import KafkaTransaction
from penstock.storage.log.kafka.writing import Delivered, UndecidedError, end, flushed, reason
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.testing.kafka import KafkaBroker


class Fenced:
    """A producer that was fenced while it waited, and whose client answers the wait with a `SystemError`."""

    def __init__(self, cause: KafkaException | None) -> None:
        self._cause = cause

    def flush(self, _timeout_s: float) -> int:
        raise SystemError("flush returned NULL without setting an exception") from self._cause

    def begin_transaction(self) -> None:
        raise KafkaException(KafkaError(KafkaError._FENCED, "another one has begun", fatal=True))


FENCED_ERROR = KafkaException(KafkaError(KafkaError._FENCED, "another one has begun", fatal=True))


@pytest.mark.parametrize("cause", [None, FENCED_ERROR])
def test_a_lost_error_is_asked_for(cause: KafkaException | None) -> None:
    """Whether the client says why or not, the failure is Kafka's own, and one after which another producer may succeed."""
    producer: Any = Fenced(cause)
    log: Any = SimpleNamespace(settings=SimpleNamespace(attempt_s=1.0))
    with pytest.raises(KafkaException) as caught:
        flushed(producer, Delivered(), log)
    failure = reason(producer, caught.value)
    assert error_of(failure).code() in FENCED
    assert is_passing(failure)


class Failing:
    """A producer whose broker fails while it commits, as one that is ended then."""

    def commit_transaction(self, _timeout_s: float) -> None:
        raise KafkaException(KafkaError(KafkaError.UNKNOWN, "EndTxn commit failed", txn_requires_abort=True))


def test_a_broker_that_fails_leaves_the_commit_undecided() -> None:
    """It may have been committed; a query waits and looks, and does not stop."""
    producer: Any = Failing()
    log: Any = SimpleNamespace(settings=SimpleNamespace(attempt_s=1.0))
    with pytest.raises(UndecidedError) as caught:
        end(producer, Delivered(), log)
    failure = caught.value.__cause__
    assert failure is not None and is_passing(failure)
    assert isinstance(fault(failure, "commit", "here"), LogUnavailableError)


@pytest.mark.parametrize("name", ["_DESTROY", "_DESTROY_BROKER", "_UNKNOWN_BROKER", "_RETRY", "_TRANSPORT"])
def test_a_cut_connection_stops_no_query(name: str) -> None:
    """Whatever the client has dropped with it, the step is done again with another producer."""
    code = getattr(KafkaError, name, None)
    if code is None:
        pytest.skip("this version of confluent-kafka has no such error")
    failure = KafkaException(KafkaError(code))
    assert is_passing(failure)
    assert isinstance(fault(failure, "commit", "here"), LogUnavailableError)


def test_what_the_client_says_stands() -> None:
    """An error that tells what it is is not asked for again."""
    failure = KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "not for you"))
    assert reason(Fenced(None), failure) is failure


def test_a_producer_that_the_brokers_have_forgotten_is_replaced(kafka_broker: KafkaBroker) -> None:
    """They forget one that has written nothing for 7 days; what it was to commit is committed by another one."""
    log = KafkaLog(KafkaSettings(kafka_broker.address, "shop", instance="a", timeout_s=60))
    log.create_topic("t", TopicConfig(1))
    write, failures = KafkaTransaction._write, []

    def forgotten_at_first(self: KafkaTransaction, *how: Any) -> Any:
        if not failures:
            failures.append(KafkaException(KafkaError(KafkaError.INVALID_PRODUCER_ID_MAPPING, "not known")))
            raise failures[0]
        return write(self, *how)

    try:
        transaction = log.transaction()
        transaction.append("t", Records(None, pa.array([b"v"], pa.binary()), np.ones(1, np.int64)), 0)
        with mock.patch.object(KafkaTransaction, "_write", forgotten_at_first):
            transaction.commit()
        assert failures and log.read("t", 0, 0, rows_max=10).values.to_pylist() == [b"v"]
    finally:
        log.close()
