"""Following partitions: what is kept of them, and partitions that go while they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("confluent_kafka")

from confluent_kafka import KafkaError, KafkaException

from penstock.storage.log.kafka.kafka_log import KafkaLog
from penstock.storage.log.kafka.reading import Follower
from penstock.storage.log.kafka.settings import KafkaSettings
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.testing.kafka import KafkaBroker
from tests.support.waiting import until


def test_a_partition_that_goes_meanwhile_has_its_end() -> None:
    """The thread that follows it may let go of it at any moment: its topic was deleted."""
    connection: Any = mock.Mock()
    follower = Follower(connection, lambda places: dict.fromkeys(places, 5), lambda: None)
    with mock.patch.object(Follower, "_begin", lambda self: self._tails.clear()):
        assert follower.ends([("t", 0), ("t", 1)]) == {("t", 0): 5, ("t", 1): 5}


class _Message:
    """One of `confluent_kafka`."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def error(self) -> None:
        return None

    def topic(self) -> str:
        return "t"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def key(self) -> None:
        return None

    def value(self) -> bytes:
        return b"%d" % self._offset

    def headers(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_000


def _follower(*batches: Sequence[int]) -> Follower:
    """Follows one partition, of which the records with these offsets have come, a batch at a time."""
    connection: Any = mock.Mock()
    connection.settings.partition_bytes_max = 1 << 20
    follower = Follower(connection, lambda places: dict.fromkeys(places, 0), lambda: None)
    with mock.patch.object(Follower, "_begin", lambda self: None):
        follower.ends([PLACE])
    follower._changes.clear()  # (as its thread would have carried them out)
    for offsets in batches:
        follower._take_in([_Message(offset) for offset in offsets])
    return follower


def _read(follower: Follower, offset: int, rows_max: int = 100) -> list[int] | None:
    found = follower.read(PLACE, offset, rows_max, None)
    return None if found is None else found.offsets.tolist()


PLACE = ("t", 0)


@pytest.mark.parametrize("batches", [[range(10)], [range(4), range(4, 10)], [range(10), range(10, 12)]])
@pytest.mark.parametrize("offset", [0, 3, 4, 5, 9, 10])
def test_records_behind_deleted_ones_stay(batches: list[range], offset: int) -> None:
    """Records that came together are not forgotten together: who has read some of them reads the rest."""
    follower = _follower(*batches)
    follower.drop_before(PLACE, offset)
    assert _read(follower, offset) == list(range(offset, batches[-1].stop))
    if offset:
        assert _read(follower, offset - 1) is None, "what was deleted is looked for elsewhere, and is not found"


@pytest.mark.parametrize("again", [range(3, 8), range(5, 8), range(8), range(2, 4)])
def test_records_that_come_again_hide_no_new_ones(again: range) -> None:
    """Of what comes a second time, the part that is new is kept."""
    follower = _follower(range(5), again)
    assert _read(follower, 2) == list(range(2, max(5, again.stop)))


def test_what_was_read_makes_room() -> None:
    """However many records have come and gone, a partition goes on; one that nobody reads stands still."""
    follower = _follower()
    follower._connection.settings.partition_bytes_max = 20_000
    for start in range(0, 10_000, 100):
        follower._take_in([_Message(offset) for offset in range(start, start + 100)])
        assert _read(follower, start) == list(range(start, start + 100))
        assert _read(follower, start + 100) == []
    assert not follower._changes
    for start in range(10_000, 10_400, 100):
        follower._take_in([_Message(offset) for offset in range(start, start + 100)])
    assert [change[0] for change in follower._changes] == ["pause"]
    assert _read(follower, 10_000, 400) == list(range(10_000, 10_400))
    assert [change[0] for change in follower._changes] == ["pause", "resume"], "nobody reads at the end to ask for more"


def test_a_partition_that_nobody_reads_is_followed_anew() -> None:
    """It stood still, and others have read it: who reads it now begins behind that place, and sees that more has come."""
    follower = _follower()
    follower._connection.settings.partition_bytes_max = 10
    follower._take_in([_Message(offset) for offset in range(10)])
    assert follower._tails[PLACE].paused
    assert follower.ends([PLACE]) == {PLACE: 10}
    follower._start_of = lambda places: dict.fromkeys(places, 5_000)
    follower._tails[PLACE].read_s -= 1_000
    with mock.patch.object(Follower, "_begin", lambda self: None):
        assert follower.ends([PLACE]) == {PLACE: 5_000}
    assert [change[0] for change in follower._changes] == ["pause", "unassign", "assign"]


def test_who_reads_elsewhere_makes_room() -> None:
    """Who is behind reads elsewhere, and may pass the place where the partition stands still without reading here."""
    follower = _follower()
    follower._connection.settings.partition_bytes_max = 10
    follower._take_in([_Message(offset) for offset in range(10)])
    follower.was_read(PLACE, 0)
    assert [change[0] for change in follower._changes] == ["pause"]
    follower.was_read(PLACE, 12)
    assert [change[0] for change in follower._changes] == ["pause", "resume"]
    follower._take_in([_Message(offset) for offset in range(10, 12)])
    assert _read(follower, 10) == [10, 11]


def test_a_follower_that_fails_begins_again() -> None:
    """Whatever happens to its thread, who asks for a partition's end gets the present one, and not that of then."""
    follower = _follower(range(3))
    failures = [ValueError("a message that cannot be read")]

    def follow(self: Follower) -> None:
        if failures:
            raise failures.pop()
        self._closed = True

    with mock.patch.object(Follower, "_follow", follow):
        follower._run()
    follower._start_of = lambda places: dict.fromkeys(places, 7)
    with mock.patch.object(Follower, "_begin", lambda self: None):
        assert follower.ends([PLACE]) == {PLACE: 7}
    assert list(follower._changes) == [("assign", PLACE, 7)]


def test_a_partition_is_assigned_again_after_it_could_not_be() -> None:
    """A failure between two assignments does not stay."""
    follower, assigned, consumer = _follower(), {PLACE}, mock.Mock()
    consumer.incremental_assign.side_effect = [KafkaException(KafkaError(KafkaError._FAIL, "no")), None]
    for _ in range(2):
        follower._changes.append(("assign", PLACE, 0))
        follower._carry_out(consumer, assigned)
    assert consumer.incremental_unassign.call_count == 1 and assigned == {PLACE}


def test_a_partition_that_stood_still_goes_on_when_it_is_followed_anew(kafka_broker: KafkaBroker) -> None:
    log = KafkaLog(KafkaSettings(kafka_broker.address, "shop", instance="a", timeout_s=60, partition_bytes_max=1_000))
    other = KafkaLog(KafkaSettings(kafka_broker.address, "shop", instance="b", timeout_s=60))

    def write(count: int) -> int:
        transaction = other.transaction()
        values = pa.array([b"v" * 100] * count, pa.binary())
        transaction.append("t", Records(None, values, np.ones(count, np.int64)), 0)
        transaction.commit()
        return other.end_offset("t", 0)

    def end() -> int:
        return log.end_offsets([("t", 0)])[1]["t", 0]

    try:
        other.create_topic("t", TopicConfig(1))
        until(lambda: log.config("t") is not None)
        end()
        write(50)
        until(lambda: log._follower._tails[PLACE].paused)
        written = write(50)
        log._follower._tails[PLACE].read_s -= 1_000
        until(lambda: end() == written)
        written = write(1)
        until(lambda: end() == written)
    finally:
        log.close()
        other.close()
