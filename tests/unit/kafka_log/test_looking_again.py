"""What brokers say for a moment only does not stop a query, and nothing waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from confluent_kafka import KafkaError, KafkaException

from penstock.errors import LogRefusedError, LogUnavailableError, OffsetOutOfRangeError, StorageError
from penstock.storage.log.kafka import membership, producers
from penstock.storage.log.kafka.ends import Ends
from penstock.storage.log.kafka.faults import fault
from penstock.storage.log.kafka.kafka_log import KafkaLog
from penstock.storage.log.kafka.messages import records_of, without
from penstock.storage.log.kafka.producers import ProducerPool
from penstock.storage.log.kafka.reading import OutsideError, Seekers, _Seeker
from penstock.storage.log.kafka.topics import Topics
from penstock.storage.log.protocol import FetchedRecords, TopicConfig
from tests.support.waiting import until

PLACE = ("t", 0)


def _read(outside: Sequence[int], starts: Sequence[int], reset: Any, end: int = 20, timeout_s: float = 60.0) -> int:
    """Read from offset 5 where a broker has nothing at ``outside``, whose offsets it says so for once each; the partition
    starts at ``starts``, one after the other."""
    left, found = list(outside), list(starts)

    def read(place: Any, offset: int, *_: Any) -> FetchedRecords:
        if offset in left:
            left.remove(offset)
            raise OutsideError
        return without(offset)

    log: Any = SimpleNamespace(
        _parts=SimpleNamespace(seekers=SimpleNamespace(read=read)),
        _place=lambda *place: place,
        settings=SimpleNamespace(timeout_s=timeout_s),
        start_offset=lambda *_: found.pop(0) if len(found) > 1 else found[0],
        end_offset=lambda *_: end,
    )
    return KafkaLog._read_anywhere(log, "t", 0, 5, 10, None, 0, reset).next_offset


def test_an_offset_that_is_there_after_all_is_read() -> None:
    """The broker that leads a partition since a moment knew less of it."""
    assert _read([5, 5], [0], "none") == 5


def test_a_start_that_moves_again_is_followed() -> None:
    """Another process deletes records, and deletes more before the new start is read."""
    assert _read([5, 8], [8, 12], "earliest") == 12


def test_what_is_outside_is_told() -> None:
    with pytest.raises(OffsetOutOfRangeError):
        _read([5], [8], "none")
    with pytest.raises(LogUnavailableError):
        _read([5] * 100_000, [0], "none", timeout_s=0.05)


@pytest.mark.parametrize(("written", "error"), [(30, LogUnavailableError), (9, StorageError)])
def test_an_open_transaction_is_no_other_topic(written: int, error: type[StorageError]) -> None:
    """What this process has committed cannot be read while an earlier transaction is open: that passes.  Where it has gone,
    the topic is another one."""
    ends = Ends(mock.Mock(settings=SimpleNamespace(timeout_s=0.05)))
    ends.committed({PLACE: 20})
    with (
        mock.patch.object(Ends, "_ask", lambda self, places, what, *uncommitted: {PLACE: written if uncommitted else 9}),
        pytest.raises(StorageError) as caught,
    ):
        ends.ends([PLACE])
    assert type(caught.value) is error


def test_a_partition_is_followed_while_a_transaction_is_open() -> None:
    """Where it stands now is known at once, whatever this process has committed behind it."""
    ends = Ends(mock.Mock(settings=SimpleNamespace(timeout_s=600)))
    ends.committed({PLACE: 20})
    with mock.patch.object(Ends, "_ask", lambda self, places, *_: {PLACE: 9}):
        assert ends.now([PLACE]) == {PLACE: 9}


def test_a_busy_reader_holds_nobody_up() -> None:
    """Records of one topic are deleted while another one is read from a broker that does not answer."""
    seekers = Seekers(mock.Mock())
    busy = _Seeker(mock.Mock())
    busy.place, busy.next = PLACE, 7
    seekers._all.append(busy)
    with busy.lock:
        thread = threading.Thread(target=seekers.forget, args=("t",), daemon=True)
        thread.start()
        until(lambda: not thread.is_alive())
    busy._consumer = consumer = mock.Mock()
    consumer.poll.return_value = None
    busy._ended = 7
    busy._connection = mock.Mock(settings=SimpleNamespace(timeout_s=0.01), fault=lambda *_: LogUnavailableError("none"))
    with pytest.raises(LogUnavailableError):  # it looks anew, and here nothing comes
        busy.read(PLACE, 7, 1, None, 7)
    assert consumer.assign.called, "what it kept is of before"


def test_producers_of_one_name_do_not_gather(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has threads and connections, and there is a name for every topic that the engine makes."""
    monkeypatch.setattr(producers, "EXCLUSIVE_MAX", 3)
    pool = ProducerPool(mock.Mock())
    for number in range(10):
        pool.give_back(f"topic-{number}", mock.Mock(), {})
    assert sorted(pool._exclusive) == ["topic-7", "topic-8", "topic-9"]


def test_brokers_that_are_starting_are_waited_for() -> None:
    """A topic that is made just then is refused in words of its own."""
    text = "Unable to replicate the partition 1 time(s): All brokers are currently fenced."
    failure = KafkaException(KafkaError(KafkaError.INVALID_REPLICATION_FACTOR, text))
    assert isinstance(fault(failure, "create", "here"), LogUnavailableError)
    few = KafkaException(KafkaError(KafkaError.INVALID_REPLICATION_FACTOR, "only 1 broker(s) are registered"))
    assert not isinstance(fault(few, "create", "here"), LogUnavailableError)


class _Message:
    """One of `confluent_kafka`, with a header that another program wrote."""

    def __init__(self, value: bytes | None) -> None:
        self._value = value

    def offset(self) -> int:
        return 0

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_000

    def key(self) -> None:
        return None

    def value(self) -> bytes:
        return b"v"

    def headers(self) -> list[tuple[str, bytes | None]]:
        return [("penstock.timestamp", self._value)]


@pytest.mark.parametrize("value", [b"yesterday", b"", None, b"9" * 40])
def test_a_header_of_the_same_name_is_a_header(value: bytes | None) -> None:
    found = records_of([_Message(value)])
    assert found.timestamps.tolist() == [1_000]
    assert found.headers.to_pylist() == [[{"KEY": "penstock.timestamp", "VALUE": value}]]
    assert records_of([_Message(b"-5")]).timestamps.tolist() == [-5]


def test_a_member_that_cannot_begin_tries_again() -> None:
    """It says why, and takes part as soon as it can."""
    failures = [KafkaException(KafkaError(KafkaError._FAIL, "no more files")), StorageError("none"), ValueError("x")]
    took_part = threading.Event()

    def consumer(_config: Any) -> Any:
        if failures:
            raise failures.pop(0)
        return mock.Mock()

    parts: Any = SimpleNamespace(
        settings=SimpleNamespace(session_timeout_ms=6000, is_static=False),
        names=SimpleNamespace(group=str, topic=str),
        connection=SimpleNamespace(consumer=consumer, absent=None, fault=lambda failure, doing: StorageError(doing)),
        members=mock.Mock(),
        closed=False,
    )

    def take_part(self: Any, _consumer: Any) -> None:
        took_part.set()
        self._closing = True

    with mock.patch.object(membership.KafkaMembership, "_take_part", take_part):
        member = membership.KafkaMembership(parts, "q", ["t"], lambda _: None, None, dict, mock.Mock())
        until(took_part.is_set)
        member.leave()
    assert not failures


def test_topics_that_are_missing_for_a_moment_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that comes back may not know of all topics at once."""
    answers: list[dict[str, TopicConfig]] = [{}, {}, {"t": TopicConfig(2)}]
    topics = Topics(mock.Mock(settings=SimpleNamespace(timeout_s=60)), *[mock.Mock()] * 4)  # type: ignore[arg-type]
    topics._seen = {"t", "u"}

    def refresh(self: Topics, seconds: float | None = None) -> None:
        self._known = answers.pop(0) if len(answers) > 1 else answers[0]

    monkeypatch.setattr(Topics, "refresh", refresh)
    assert topics.lasting(["t"]) == {"t": TopicConfig(2)}
    monkeypatch.setattr("penstock.storage.log.kafka.topics.LATE_S", 0.0)
    assert topics.lasting() == {"t": TopicConfig(2)}, "what is gone is not waited for again"
    assert topics._seen == {"t"}
    with pytest.raises(LogRefusedError):
        topics.need("u")
