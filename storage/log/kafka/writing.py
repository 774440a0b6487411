"""One attempt at a Kafka transaction: its records, its end, and what is known about it after a failure."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import TopicPartition as KafkaPartition

from ..protocol import Records
from .ends import Ends, Place
from .faults import FORGOTTEN, error_of, is_absence
from .messages import TIMESTAMP_HEADER
from .parts import Parts

__all__ = ["Delivered", "UndecidedError", "abort", "end", "flushed", "in_parts", "produce", "reason", "send_offsets"]

_ABORT_S = 5.0
_OFFSETS_S = 5.0
_UNSAID = frozenset({KafkaError._STATE, KafkaError._FATAL, KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})
"""Errors that only say that there was another one before."""


class Delivered:
    """Collects the delivery report of each message."""

    def __init__(self) -> None:
        self.starts: dict[Place, int] = {}
        self.ends: dict[Place, int] = {}
        self.counts: dict[Place, int] = {}
        self.untold: set[Place] = set()
        self.error: Any = None

    def __call__(self, error: Any, message: Any) -> None:
        if error is not None:
            if self.error is None:
                self.error = error
            return
        where = (message.topic(), message.partition())
        offset: int | None = message.offset()
        self.counts[where] = self.counts.get(where, 0) + 1
        if offset is None or offset < 0:
            self.untold.add(where)  # what follows it in its batch is counted from -1
        if where in self.untold or offset is None:
            return
        if where not in self.starts:
            self.starts[where] = offset
        self.ends[where] = offset + 1

    def complete(self, ends: Ends, *, committed: bool) -> None:
        """Take offsets from the ends of partitions, if the broker gives them only when it commits (Penstock's listener
        does).

        That is exact as long as nobody else writes to the partition at the same moment.

        Raises:
            StorageError: no broker answers.
        """
        if self.untold:
            for place, end in ends.ends(self.untold).items():
                self.starts[place] = end - self.counts[place] if committed else end
                if committed:
                    self.ends[place] = end


@contextmanager
def kafka_errors() -> Iterator[None]:
    """Where a callback of the client's own meets a fatal error while ours is called, a call ends with a `SystemError`.

    Raises:
        KafkaException: in its place.
    """
    try:
        yield
    except SystemError as error:
        if isinstance(error.__cause__, KafkaException):
            raise error.__cause__ from None
        # .. and the client has lost which: `reason` asks it again
        raise KafkaException(KafkaError(KafkaError._FATAL, "the client can write no more", fatal=True)) from error


def produce(producer: Producer, topic: str, partition: int, records: Records, delivered: Delivered) -> None:
    n = len(records)
    refreshed = False
    keys = [None] * n if records.keys is None else records.keys.to_pylist()
    headers: list[Any] = [None] * n if records.headers is None else records.headers.to_pylist()
    for key, value, stamp, heads in zip(keys, records.values.to_pylist(), records.timestamps.tolist(), headers, strict=True):
        listed = [(h["KEY"], h["VALUE"]) for h in heads] if heads else []
        if stamp <= 0:
            listed.append((TIMESTAMP_HEADER, str(stamp).encode()))
            stamp = 1
        while True:
            try:
                producer.produce(
                    topic,
                    value=value,
                    key=key,
                    partition=partition,
                    timestamp=stamp,
                    headers=listed or None,
                    on_delivery=delivered,
                )
                break
            except BufferError:
                with kafka_errors():
                    producer.poll(0.05)
            except KafkaException as failure:
                if refreshed or error_of(failure).code() != KafkaError._UNKNOWN_PARTITION:
                    raise
                refreshed = True  # partitions were added since this producer last asked
                producer.list_topics(topic, 5.0)


def flushed(producer: Producer, delivered: Delivered, log: Parts) -> None:
    """Wait until all messages have their offsets.  Raises: KafkaException."""
    with kafka_errors():
        left = producer.flush(log.settings.attempt_s)
    if delivered.error is not None:
        raise KafkaException(delivered.error)
    if left:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{left} records were not written in time"))


def send_offsets(producer: Producer, places: list[KafkaPartition], metadata: Any, log: Parts) -> None:
    """Add a group's positions to a transaction.

    Where the group's coordinator goes away at this moment, librdkafka may wait for ever, whatever its timeout is
    (https://github.com/confluentinc/librdkafka/pull/3847).  So another thread waits; a producer that has not come back is
    left to it, and nothing is done with it any more.

    Raises:
        KafkaException: they were not added.
    """
    seconds = min(_OFFSETS_S, log.settings.attempt_s)
    _answered(lambda: producer.send_offsets_to_transaction(places, metadata, seconds), seconds + 1)


def _answered(ask: Callable[[], None], seconds: float) -> None:
    """Have another thread ask a group's coordinator, and wait for so long.  Raises: KafkaException."""
    outcome: list[BaseException | None] = []

    def asking() -> None:
        try:
            ask()
        except BaseException as error:
            outcome.append(error)
        else:
            outcome.append(None)

    thread = threading.Thread(target=asking, name="penstock-kafka-offsets", daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the coordinator of a group gave no answer"))
    if outcome[0] is not None:
        raise outcome[0]


def in_parts(
    producer: Producer, parts: Sequence[tuple[str, int, Records]], offsets: Mapping[str, list[KafkaPartition]], log: Parts
) -> Delivered:
    """Without a transaction: write records, and when all of them are on the brokers, commit positions.

    The producer does not give up before `KafkaSettings.timeout_s`: it writes each record once and in order meanwhile, so
    that a later value of a key is never followed by an earlier one.

    Args:
        parts: by Kafka's names of topics.
        offsets: by the engine's names of groups.

    Raises:
        KafkaException: not all of it happened; records may be there, positions may be set.
    """
    delivered = Delivered()
    try:
        for topic, partition, records in parts:
            produce(producer, topic, partition, records, delivered)
        deadline = time.monotonic() + log.settings.timeout_s + 1
        while producer.flush(0.5) and delivered.error is None:
            if log.closed or time.monotonic() > deadline:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "records were not written in time"))
        if delivered.error is not None:
            raise KafkaException(delivered.error)
    except BaseException:
        producer.purge()
        raise
    for group, places in offsets.items():
        _answered(partial(log.members.commit, group, places), log.settings.attempt_s + 1)
    return delivered


class UndecidedError(Exception):
    """The brokers were asked to commit and gave no answer: the outcome is unknown."""

    def __init__(self, delivered: Delivered) -> None:
        super().__init__()
        self.delivered = delivered


def end(producer: Producer, delivered: Delivered, log: Parts) -> None:
    """Commit.  If no answer comes, it is asked for again, for a while.

    Raises:
        KafkaException: it did not happen.
        UndecidedError: it is not known whether it did.
    """
    deadline = time.monotonic() + log.settings.attempt_s
    while True:
        try:
            with kafka_errors():
                producer.commit_transaction(max(0.5, deadline - time.monotonic()))
            return
        except KafkaException as failure:
            error = error_of(failure)
            if error.code() == KafkaError.UNKNOWN or error.code() in FORGOTTEN:
                raise UndecidedError(
                    delivered
                ) from failure  # it may have failed, or forgotten the producer, behind the commit
            if error.txn_requires_abort():
                abort(producer, failure, log)
                raise
            if error.fatal() and not is_absence(failure):
                raise UndecidedError(delivered) from failure  # the epoch may have been taken after it was committed
            if not error.fatal() and not error.retriable() and error.code() != KafkaError._TIMED_OUT:
                raise
            if error.fatal() or time.monotonic() > deadline:
                raise UndecidedError(delivered) from failure


def reason(producer: Producer, failure: BaseException) -> BaseException:
    """The error that a transaction failed with.

    librdkafka may say only that its state does not allow a call, that there was a fatal error, or that records were
    given up.  The cause is what it tells whoever begins a transaction in that state.
    """
    error = error_of(failure)
    if error is None or error.code() not in _UNSAID:
        return failure
    try:
        producer.begin_transaction()
    except KafkaException as earlier:
        if error_of(earlier).code() != KafkaError._STATE:
            return earlier
    return failure


def abort(producer: Producer, failure: BaseException, log: Parts) -> None:
    """Abort the transaction.

    If the brokers do not answer, they abort it themselves after its timeout, or when another producer of its id begins.
    """
    error = error_of(failure)
    try:
        with kafka_errors():
            producer.purge()
        if error is None or not (error.fatal() or is_absence(failure)):
            with kafka_errors():
                producer.abort_transaction(min(_ABORT_S, log.settings.timeout_s))
    except KafkaException:
        return
