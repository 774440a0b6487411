"""A commit that nobody answered: it is found out whether it happened, or it is said that nobody knows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from confluent_kafka import KafkaError, KafkaException

from penstock.errors import LogRefusedError, LogUnavailableError
from penstock.storage.log.kafka.messages import without
from penstock.storage.log.kafka.names import TopicNames
from penstock.storage.log.kafka.reading import OutsideError
from penstock.storage.log.kafka.transaction import KafkaTransaction
from penstock.storage.log.kafka.writing import Delivered, UndecidedError, end, kafka_errors
from penstock.storage.log.protocol import FetchedRecords, TopicConfig


class Partitions:
    """What brokers say of partitions: ``starts``, and the offsets of the records that can be read."""

    def __init__(self, starts: dict[Any, int], records: dict[Any, list[int]]) -> None:
        self._starts = starts
        self._records = records

    def settle(self, places: list[Any]) -> None:
        pass

    def starts(self, places: list[Any]) -> dict[Any, int]:
        return {place: self._starts[place] for place in places}

    def committed(self, ends: Any) -> None:
        pass

    def read(self, place: Any, offset: int, *_: Any) -> FetchedRecords:
        if place not in self._starts:
            raise LogRefusedError("there is no such topic")
        if offset < self._starts[place]:
            raise OutsideError
        offsets = np.array([o for o in self._records[place] if o >= offset], np.int64)
        if not len(offsets):
            return without(offset)
        nothing = pa.array([None] * len(offsets), pa.binary())
        return FetchedRecords(None, nothing, offsets, None, offsets, offsets, 0, int(offsets[-1]) + 1)


def _decide(partitions: Partitions, starts: dict[Any, int], compacted: tuple[str, ...] = ()) -> bool:
    """What is found out about a commit whose records begin at these offsets."""
    log: Any = SimpleNamespace(
        ends=partitions,
        seekers=partitions,
        names=TopicNames("shop"),
        settings=SimpleNamespace(timeout_s=1.0, servers="here"),
        advance=lambda: 1,
    )
    topics: Any = SimpleNamespace(one=lambda name: TopicConfig(cleanup_policy="compact" if name in compacted else "delete"))
    transaction = KafkaTransaction(log, topics)
    delivered = Delivered()
    delivered.starts = dict(starts)
    delivered.ends = {place: offset + 1 for place, offset in starts.items()}
    undecided = UndecidedError(delivered)
    undecided.__cause__ = KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer"))
    slot: Any = SimpleNamespace(renew=lambda seconds: None)
    return transaction._decided(log, slot, {"q": []}, undecided) is not None


MOVED, CHANGES, OUT = ("penstock.shop.repartition-q", 0), ("penstock.shop.changelog-q", 0), ("out", 0)


def test_a_record_that_is_there_was_committed() -> None:
    assert _decide(Partitions({OUT: 0}, {OUT: [4, 5]}), {OUT: 5})


def test_a_record_that_is_not_there_was_not() -> None:
    assert not _decide(Partitions({OUT: 0}, {OUT: [4, 7]}), {OUT: 5})


def test_what_others_have_taken_in_and_deleted_tells_nothing() -> None:
    """Another process has read the records behind a repartition topic and deleted them: the other records tell."""
    for written in ([9], []):
        partitions = Partitions({MOVED: 8, OUT: 0}, {MOVED: [], OUT: written})
        assert _decide(partitions, {MOVED: 3, OUT: 9}) is bool(written)
    gone = Partitions({OUT: 0}, {OUT: [9]})
    assert _decide(gone, {MOVED: 3, OUT: 9}), "the topic was deleted"


def test_what_compaction_may_have_taken_tells_nothing() -> None:
    """A record that is not in a compacted topic may have a newer value behind it.  One that is there was committed."""
    name = "_changelog-q"
    assert _decide(Partitions({CHANGES: 0}, {CHANGES: [3]}), {CHANGES: 3}, (name,))
    assert not _decide(Partitions({CHANGES: 0, OUT: 0}, {CHANGES: [7], OUT: []}), {CHANGES: 3, OUT: 9}, (name,))
    with pytest.raises(LogUnavailableError, match="not known"):
        _decide(Partitions({CHANGES: 0}, {CHANGES: [7]}), {CHANGES: 3}, (name,))


def test_where_nothing_tells_nobody_knows() -> None:
    """A query goes on from what is committed then; it does not stop."""
    with pytest.raises(LogUnavailableError, match="not known"):
        _decide(Partitions({MOVED: 8}, {MOVED: []}), {MOVED: 3})


class Failing:
    """A producer that cannot end its transaction."""

    def __init__(self, failure: BaseException) -> None:
        self._failure = failure

    def commit_transaction(self, _timeout_s: float) -> None:
        raise self._failure

    def purge(self) -> None:
        pass

    def abort_transaction(self, _timeout_s: float) -> None:
        pass


@pytest.mark.parametrize(
    "failure",
    [
        KafkaException(KafkaError(KafkaError.INVALID_PRODUCER_ID_MAPPING, "not known", txn_requires_abort=True)),
        SystemError("commit_transaction returned NULL without setting an exception"),
    ],
)
def test_a_commit_may_have_happened_before_the_answer_was_lost(failure: BaseException) -> None:
    """The broker has forgotten the producer, or the client lost the answer: written again, it could be there twice."""
    producer: Any = Failing(failure)
    log: Any = SimpleNamespace(settings=SimpleNamespace(attempt_s=1.0, timeout_s=1.0))
    with pytest.raises(UndecidedError):
        end(producer, Delivered(), log)


def test_the_client_says_what_it_met() -> None:
    cause = KafkaException(KafkaError(KafkaError._FENCED, "another one", fatal=True))
    with pytest.raises(KafkaException) as caught, kafka_errors():
        raise SystemError("poll") from cause
    assert caught.value is cause


def test_positions_in_a_topic_that_is_missing_for_a_moment_are_kept_nowhere_else() -> None:
    """A broker that comes back may not show all topics.  A commit that put the position elsewhere would not be refused where
    other processes have the partitions, and the records would be read again."""
    log: Any = SimpleNamespace(names=TopicNames("shop"), members=SimpleNamespace(is_joined=lambda group: group == "q"))
    topics: Any = SimpleNamespace(lasting=lambda wanted: {})
    log.check_process = lambda: None
    transaction = KafkaTransaction(log, topics)
    transaction.set_positions("q", {("orders", 0): 5})
    with pytest.raises(LogUnavailableError, match="orders"):
        transaction._split(log)
