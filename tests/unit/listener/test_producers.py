"""Numbers of producers' batches: none twice, none left out, older epochs nothing."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("kio")

from penstock.listener.batches import ReceivedBatch
from penstock.listener.producers import ProducerStates, RefusedBatch
from penstock.listener.protocol import ErrorCode
from penstock.storage.log.protocol import Records

PLACE = ("t", 0)


def batch(first: int, count: int = 1, epoch: int = 0, producer: int = 7) -> ReceivedBatch:
    records = Records(None, pa.array([b"v"] * count, pa.binary()), np.zeros(count, np.int64))
    return ReceivedBatch(records, producer, epoch, first, False, 100)


def write(producers: ProducerStates, made: ReceivedBatch, offset: int) -> None:
    producers.begin()
    producers.wrote(producers.accept(made, PLACE), offset)


def test_a_repeated_batch_has_its_offset() -> None:
    """Of the five newest ones; an older one is known to be there."""
    producers = ProducerStates({})
    for number in range(7):
        write(producers, batch(number * 10, 10), number * 10)
    producers.begin()
    with pytest.raises(RefusedBatch) as raised:
        producers.accept(batch(30, 10), PLACE)
    assert (raised.value.code, raised.value.offset) == (ErrorCode.none, 30)
    with pytest.raises(RefusedBatch) as raised:
        producers.accept(batch(0, 10), PLACE)
    assert raised.value.code == ErrorCode.duplicate_sequence_number


def test_a_gap_is_refused() -> None:
    """What comes behind a batch that is missing is not written before it."""
    producers = ProducerStates({})
    write(producers, batch(0), 0)
    producers.begin()
    with pytest.raises(RefusedBatch) as raised:
        producers.accept(batch(2), PLACE)
    assert raised.value.code == ErrorCode.out_of_order_sequence_number


def test_what_did_not_happen_does_not_count() -> None:
    """A commit that failed leaves the numbers as they were."""
    producers = ProducerStates({})
    write(producers, batch(0), 0)
    producers.begin()
    producers.accept(batch(1), PLACE)
    producers.begin()
    write(producers, batch(1), 1)


def test_several_batches_of_one_commit_follow_each_other() -> None:
    """Though none is written yet."""
    producers = ProducerStates({})
    producers.begin()
    accepted = [producers.accept(batch(number), PLACE) for number in range(3)]
    with pytest.raises(RefusedBatch):
        producers.accept(batch(5), PLACE)
    assert producers.entries(accepted) == [(("producer", 7, "t", 0), [0, 2])]


def test_numbers_begin_again_after_the_last_one() -> None:
    """2^31 - 1 is followed by 0."""
    producers = ProducerStates({("producer", 7, "t", 0): [0, 2**31 - 2]})
    write(producers, batch(2**31 - 1, 2), 0)
    write(producers, batch(1), 2)


def test_an_older_epoch_is_fenced() -> None:
    """Also where the newer one has written nothing yet."""
    producers = ProducerStates({})
    write(producers, batch(0), 0)
    producers.fence(7, 1)
    producers.begin()
    with pytest.raises(RefusedBatch) as raised:
        producers.accept(batch(1), PLACE)
    assert raised.value.code == ErrorCode.invalid_producer_epoch
    write(producers, batch(0, epoch=1), 1)


def test_after_a_restart_a_repeated_batch_is_known() -> None:
    """By its last number; its offset is not."""
    producers = ProducerStates({("producer", 7, "t", 0): [0, 9]})
    producers.begin()
    with pytest.raises(RefusedBatch) as raised:
        producers.accept(batch(5, 5), PLACE)
    assert raised.value.code == ErrorCode.duplicate_sequence_number
    write(producers, batch(10), 10)


def test_ids_are_given_once() -> None:
    """Beyond a restart: a block of them is set aside before the first is used."""
    first = ProducerStates({})
    given, entries = first.new_id()
    assert entries
    again = ProducerStates(dict(entries))
    assert again.new_id()[0] > given


def test_producers_that_are_gone_are_forgotten() -> None:
    """After a day; those with a transactional id are not."""
    now_s = 0.0
    producers = ProducerStates({("producer", 8, "t", 0): [0, 4]}, lambda: now_s)
    producers.fence(8, 0)
    write(producers, batch(0), 0)
    assert producers.expire() == []
    now_s = 25 * 3600.0
    assert producers.expire() == [(("producer", 7, "t", 0), None)]
    assert producers.expire() == []
