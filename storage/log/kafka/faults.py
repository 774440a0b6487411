"""Translates the errors of Kafka's client for whoever runs the machines: what is wrong, and what to do about it."""

from __future__ import annotations

import re
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from ....errors import LogRefusedError, LogUnavailableError, PartitionsLostError, StorageError

__all__ = [
    "FENCED",
    "FORGOTTEN",
    "GENERATION_OVER",
    "LOGIN",
    "RETRIED",
    "error_of",
    "fault",
    "is_absence",
    "is_gone",
    "is_passing",
]

FENCED = frozenset({KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH})
"""Errors: another producer with the same transactional id has started since."""
GENERATION_OVER = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
    }
)
"""Errors: the group has given this member's partitions to others."""
FORGOTTEN = frozenset({KafkaError.INVALID_PRODUCER_ID_MAPPING, KafkaError.UNKNOWN_PRODUCER_ID})
"""Errors: the brokers do not know this producer any more.  They forget transactional ids that are idle for 7 days, and
Penstock's listener what was open when it ended.
"""

_DESTROY_BROKER = -137
"""librdkafka's error, which older versions of confluent-kafka lack: the client has dropped what it knew of a broker whose
connection was cut, and what it had asked there.
"""
_ABSENT = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError._RESOLVE,
        KafkaError._NOENT,  # what finds no leaders of partitions
        KafkaError._MSG_TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._WAIT_COORD,
        KafkaError._PURGE_QUEUE,
        KafkaError._PURGE_INFLIGHT,
        KafkaError._DESTROY,
        _DESTROY_BROKER,
        KafkaError._UNKNOWN_BROKER,
        KafkaError._RETRY,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
    }
)
RETRIED = frozenset(
    {
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
        KafkaError.CONCURRENT_TRANSACTIONS,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.NOT_CONTROLLER,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.KAFKA_STORAGE_ERROR,
    }
)
"""Errors after which Kafka will soon have an answer."""
LOGIN = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL})
"""Errors: the brokers refuse this client as such."""
_FORBIDDEN = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)
_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_GONE = frozenset(
    {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION, KafkaError.UNKNOWN_TOPIC_ID}
)
_AFTER = re.compile(r" \(after \d+ ms\)")
"""What would make the same failure another text each time."""
_TIMESTAMP = 32
"""Kafka's INVALID_TIMESTAMP."""


def error_of(failure: BaseException) -> Any:
    """The `KafkaError` of an exception; None if it is not one of Kafka's."""
    if isinstance(failure, KafkaException) and failure.args and isinstance(failure.args[0], KafkaError):
        return failure.args[0]
    return None


def is_absence(failure: BaseException) -> bool:
    """Whether an error means that no broker answers."""
    error = error_of(failure)
    return isinstance(failure, TimeoutError) if error is None else error.code() in _ABSENT


def is_gone(error: Any) -> bool:
    """Whether a `KafkaError` means that a topic or a partition does not exist."""
    return error is not None and error.code() in _GONE


def is_passing(failure: BaseException) -> bool:
    """Whether a failed transaction may soon succeed with another producer."""
    error = error_of(failure)
    if error is None:
        return False
    code = error.code()
    if code in GENERATION_OVER or code in LOGIN or code in _FORBIDDEN or code in _LARGE or code in _GONE:
        return False
    known = code in _ABSENT or code in RETRIED or code in FENCED or code in FORGOTTEN or code == KafkaError.UNKNOWN
    return known or error.fatal() or error.retriable()


def fault(failure: Any, doing: str, servers: str, last: Any = None) -> StorageError:
    """The error to raise for a failure.

    Args:
        failure: an exception or a `KafkaError`.
        doing: what was tried, to follow "cannot".
        last: the client's last report about its connections: why nobody answers.
    """
    error = failure if isinstance(failure, KafkaError) else error_of(failure)
    code = None if error is None else error.code()
    if (code is None and isinstance(failure, TimeoutError)) or code in _ABSENT or code in RETRIED:
        if last is not None and last.code() in LOGIN:
            code, error = last.code(), last
        else:
            why = "" if last is None else f" ({last.str()})"
            return LogUnavailableError(
                f"cannot {doing}: no Kafka broker answers at {servers}{why}",
                action="start the broker or correct its address; what was running goes on when it answers again",
            )
    text = _AFTER.sub("", str(failure) if error is None else error.str())
    starting = code == KafkaError.INVALID_REPLICATION_FACTOR and "fenced" in text  # "All brokers are currently fenced."
    if code == KafkaError.UNKNOWN or starting:  # a broker that is ending, or that has met an error of its own
        return LogUnavailableError(
            f"cannot {doing}: a Kafka broker of {servers} failed: {text}",
            action="look into the brokers' logs; what was running goes on when they answer again",
        )
    if code in LOGIN:
        return LogRefusedError(
            f"cannot {doing}: the Kafka brokers at {servers} refuse this client: {text}",
            action="check security.protocol, sasl.mechanism, sasl.username, sasl.password and the ssl.* settings",
        )
    if code in _FORBIDDEN:
        return LogRefusedError(
            f"cannot {doing}: Kafka does not allow it: {text}", action="have the cluster's administrator grant it (ACLs)"
        )
    if code in _LARGE:
        return LogRefusedError(
            f"cannot {doing}: a record is larger than Kafka takes: {text}",
            action="raise max.message.bytes of the topic and message.max.bytes of the brokers, or write smaller records",
        )
    if code in _GONE:
        return LogRefusedError(
            f"cannot {doing}: Kafka does not have the topic or the partition: {text}",
            action="create the topic again, or DROP what reads it",
        )
    if code in GENERATION_OVER:
        return PartitionsLostError(f"cannot {doing}: another process of the service has these partitions now")
    if code in FENCED:
        return PartitionsLostError(f"cannot {doing}: another process writes in the name of this one now")
    if code == _TIMESTAMP:
        return StorageError(
            f"cannot {doing}: Kafka refuses a record's timestamp: {text}",
            action="raise message.timestamp.after.max.ms (or before) of the topic",
        )
    return StorageError(f"cannot {doing}: {text}")
