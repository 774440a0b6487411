"""The buffer between a running query and the reader of its rows."""

from __future__ import annotations

from threading import Thread

import numpy as np
import pyarrow as pa
import pytest

from penstock.errors import DataError
from penstock.runtime.batch import Batch
from penstock.runtime.subscriptions import Feed, Subscription

SCHEMA = pa.schema([("A", pa.int64()), ("B", pa.string())])


def rows(start: int, count: int) -> Batch:
    """Rows (i, "i") at time i; every fifth is a tombstone."""
    numbers = np.arange(start, start + count)
    columns = (pa.array(numbers), pa.array([str(i) for i in numbers]))
    return Batch(SCHEMA, 1, columns, numbers, np.arange(count), tombstones=numbers % 5 == 0)


def test_rows_and_batches_are_the_same_rows() -> None:
    """What `poll` gives one by one, `poll_batch` gives in columns, from the row on that was not read yet."""
    feed = Feed()
    subscription = Subscription(("A", "B"), feed)
    feed.receive(rows(0, 3))
    feed.receive(rows(3, 4))
    first = subscription.poll()
    assert first is not None and (first.values, first.tombstone, first.timestamp) == ((0, "0"), True, 0)
    rest = subscription.poll_batch()
    assert rest is not None
    assert rest.columns.to_pydict() == {"A": [1, 2], "B": ["1", "2"]}
    assert (rest.timestamps.tolist(), rest.tombstones.tolist()) == ([1, 2], [False, False])
    more = subscription.poll_batch()
    assert more is not None and len(more) == 4 and more.tombstones.tolist() == [False, False, True, False]
    assert subscription.poll_batch() is None


def test_a_full_buffer_is_not_ready_until_half_of_it_is_read() -> None:
    """The query stops at the bound and is woken once there is room again."""
    woken: list[int] = []
    feed = Feed(rows_max=10, on_room=lambda: woken.append(1))
    subscription = Subscription(("A", "B"), feed)
    feed.receive(rows(0, 12))
    assert not feed.ready()
    for _ in range(6):
        subscription.poll()
    assert not woken[1:] and feed.ready()
    subscription.poll()
    assert len(woken) == 1
    subscription.poll_batch()
    assert len(woken) == 1


def test_dropped_rows_are_counted_on_the_next_row() -> None:
    """By choice rows are dropped, and the first one after them says how many."""
    feed = Feed(rows_max=4, overflow="drop")
    subscription = Subscription(("A", "B"), feed)
    feed.receive(rows(0, 6))
    feed.receive(rows(6, 1))
    assert [subscription.poll().values[0] for _ in range(4)] == [0, 1, 2, 3]  # type: ignore[union-attr]
    feed.receive(rows(7, 2))
    following = subscription.poll_batch()
    assert following is not None and (following.missed, len(following)) == (3, 2)


def test_the_limit_cuts_a_batch() -> None:
    """LIMIT counts rows, not batches, and ends the iteration."""
    feed = Feed(limit=4)
    subscription = Subscription(("A", "B"), feed)
    feed.receive(rows(0, 3))
    feed.receive(rows(3, 3))
    assert [len(batch) for batch in subscription.batches()] == [3, 1]
    assert subscription.finished


def test_an_error_comes_after_the_rows() -> None:
    """A reader gets what the query gave before it failed, then the reason."""
    feed = Feed()
    subscription = Subscription(("A", "B"), feed)
    feed.receive(rows(0, 1))
    feed.fail(DataError("it stopped"))
    assert subscription.poll_batch() is not None
    with pytest.raises(DataError, match="it stopped"):
        subscription.poll_batch()


def test_a_waiting_reader_is_woken_by_a_batch() -> None:
    """A reader that waits gets the rows of another thread."""
    feed = Feed()
    subscription = Subscription(("A", "B"), feed)
    writer = Thread(target=lambda: feed.receive(rows(0, 2)))
    writer.start()
    batch = subscription.poll_batch(10)
    writer.join()
    assert batch is not None and len(batch) == 2
