"""The log through its protocol, on real files and in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.errors import OffsetOutOfRangeError, StorageError
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import HEADERS, Records, TopicConfig
from penstock.storage.log.settings import LogSettings

PERSON = pa.struct([("name", pa.string()), ("age", pa.int64())])


def quiet(**changes: Any) -> LogSettings:
    """Settings without a background thread."""
    return LogSettings(background=False, **changes)


def people(*names: str | None, key: bytes | None = b"k") -> Records:
    """Typed records; a name of None is a tombstone."""
    values = [None if n is None else {"name": n, "age": len(n)} for n in names]
    return Records(pa.array([key] * len(names), pa.binary()), pa.array(values, PERSON), np.arange(len(names)))


def blobs(*values: bytes | None, keys: list[bytes | None] | None = None, time: int = 0) -> Records:
    """Records of bytes."""
    return Records(
        None if keys is None else pa.array(keys, pa.binary()),
        pa.array(values, pa.binary()),
        np.full(len(values), time, np.int64),
    )


def put(log: LocalLog, topic: str, records: Records, partition: int | None = None, durable: bool = True) -> Any:
    """Append and commit."""
    transaction = log.transaction()
    transaction.append(topic, records, partition)
    return transaction.commit(durable)


@pytest.fixture(params=["disk", "memory"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalLog]:
    """A log with a topic of bytes (two partitions) and a typed one."""
    log = LocalLog.open(tmp_path / "db" if request.param == "disk" else None, quiet())
    log.create_topic("blobs", TopicConfig(partitions=2))
    log.create_topic("people", TopicConfig(value_type=PERSON))
    yield log
    log.close()


def test_read_gives_what_was_appended(log: LocalLog) -> None:
    """Keys, values, timestamps, headers, offsets and arrivals come back."""
    headers = pa.array([[{"KEY": "h", "VALUE": b"1"}], None], HEADERS)
    records = Records(pa.array([b"a", None]), pa.array([b"x", None]), np.array([7, 5]), headers)
    commit = put(log, "blobs", records, 1)
    read = log.read("blobs", 1, 0, rows_max=10)
    assert read.keys.to_pylist() == [b"a", None]
    assert read.values.to_pylist() == [b"x", None]
    assert read.headers.to_pylist() == headers.to_pylist()
    assert read.timestamps.tolist() == [7, 5]
    assert read.offsets.tolist() == [0, 1]
    assert read.arrivals.tolist() == [0, 1]
    assert (read.epoch, read.next_offset) == (1, 2)
    assert commit.ends == {("blobs", 1): 2}


def test_nothing_is_visible_before_the_commit(log: LocalLog) -> None:
    """An open or aborted transaction leaves no trace."""
    transaction = log.transaction()
    transaction.append("blobs", blobs(b"x"), 0)
    assert log.end_offset("blobs", 0) == 0
    transaction.abort()
    assert len(log.read("blobs", 0, 0, rows_max=1)) == 0
    assert log.epoch == 0


def test_keyed_records_keep_their_own_arrival(log: LocalLog) -> None:
    """A batch that is split by key over partitions keeps each row's place in the total order."""
    keys: list[bytes | None] = [b"%d" % i for i in range(20)]
    put(log, "blobs", blobs(*[b"v"] * 20, keys=keys))
    seen = {}
    for partition in range(2):
        read = log.read("blobs", partition, 0, rows_max=100)
        assert read.arrivals.tolist() == sorted(read.arrivals.tolist())
        seen.update(zip(read.arrivals.tolist(), read.keys.to_pylist(), strict=True))
    assert [seen[i] for i in range(20)] == keys
    assert log.arrival_end == 20


def test_records_without_keys_go_round_robin(log: LocalLog) -> None:
    """Null keys are dealt out evenly, across transactions."""
    for _ in range(3):
        put(log, "blobs", blobs(b"a"))
    put(log, "blobs", blobs(b"b", b"c", b"d"))
    assert log.end_offset("blobs", 0) == log.end_offset("blobs", 1) == 3


def test_fields_pick_and_order_the_fields_of_typed_values(log: LocalLog) -> None:
    """A read of some fields gives structs of just these; tombstones stay tombstones."""
    put(log, "people", people("ann", None, "bo"))
    assert log.read("people", 0, 0, rows_max=9, fields=["age"]).values.to_pylist() == [{"age": 3}, None, {"age": 2}]
    assert log.read("people", 0, 0, rows_max=9, fields=[]).values.to_pylist() == [{}, None, {}]
    assert log.read("people", 0, 1, rows_max=1, fields=["age", "name"]).values.to_pylist() == [None]


def test_values_of_another_type_are_refused(log: LocalLog) -> None:
    """The topic's type is the only one it takes, and unknown topics and partitions are errors."""
    transaction = log.transaction()
    for topic, records, partition in (("people", blobs(b"x"), 0), ("nope", blobs(b"x"), 0), ("blobs", blobs(b"x"), 2)):
        with pytest.raises(StorageError):
            transaction.append(topic, records, partition)


def test_altered_topics_read_old_frames_with_null_fields(log: LocalLog) -> None:
    """A field added at the end is null in older records, also within one read and for a writer who has not noticed."""
    put(log, "people", people("ann"))
    late = log.transaction()
    late.append("people", people("bo"))
    between = log.transaction()
    between.append("people", people("cy"))
    grown = pa.struct([*PERSON, pa.field("city", pa.string())])
    log.alter_topic("people", TopicConfig(value_type=grown, properties={"a": "b"}))
    late.commit()
    between.append("people", Records(None, pa.array([{"name": "di", "age": 1, "city": "x"}], grown), np.array([1])))
    between.append("people", people("ed"))
    between.commit()
    rows = log.read("people", 0, 0, rows_max=9).values.to_pylist()
    assert [r["city"] for r in rows] == [None, None, None, "x", None]
    assert [r["name"] for r in rows] == ["ann", "bo", "cy", "di", "ed"]
    assert log.read("people", 0, 0, rows_max=9, fields=["city"]).values.to_pylist() == [{"city": r["city"]} for r in rows]
    with pytest.raises(StorageError):
        log.alter_topic("people", TopicConfig(value_type=PERSON))


def test_small_frames_are_read_as_one_batch(log: LocalLog) -> None:
    """Records appended one by one come back together, and from any offset."""
    for i in range(50):
        put(log, "blobs", blobs(b"%d" % i, time=i), 0, durable=False)
    read = log.read("blobs", 0, 7, rows_max=30)
    assert read.values.to_pylist() == [b"%d" % i for i in range(7, 37)]
    assert read.timestamps.tolist() == list(range(7, 37))
    assert read.next_offset == 37


def test_reads_stop_at_bytes_max_but_give_at_least_one_record(log: LocalLog) -> None:
    """``bytes_max`` bounds a read without stopping it."""
    put(log, "blobs", blobs(*[bytes(1000)] * 100), 0)
    assert len(log.read("blobs", 0, 0, rows_max=1000, bytes_max=1)) == 1
    assert 5 <= len(log.read("blobs", 0, 0, rows_max=1000, bytes_max=10_000)) <= 10


def test_a_retried_sequence_is_dropped(log: LocalLog) -> None:
    """A commit whose producer sequence is not above the last one does nothing."""
    for sequence in (1, 1, 2, 1):
        transaction = log.transaction()
        transaction.append("blobs", blobs(b"x"), 0)
        transaction.set_sequence("p", sequence)
        transaction.commit()
    assert log.end_offset("blobs", 0) == 2
    assert log.last_sequence("p") == 2
    assert log.last_sequence("q") is None


def test_groups_have_positions_and_lag(log: LocalLog) -> None:
    """Positions are part of a commit; lag is what is left to read; a deleted topic is forgotten."""
    transaction = log.transaction()
    transaction.append("blobs", blobs(b"a", b"b", b"c"), 0)
    transaction.set_positions("g", {("blobs", 0): 1, ("people", 0): 0})
    transaction.commit()
    assert log.lag("g") == {("blobs", 0): 2, ("people", 0): 0}
    log.delete_topic("people")
    assert log.positions("g") == {("blobs", 0): 1}
    log.delete_group("g")
    assert log.positions("g") == {}


def test_offset_for_time_finds_the_first_record_not_before(log: LocalLog) -> None:
    """Times that are out of order are found too; beyond the last is the end offset."""
    for times in ([5, 1], [3, 9], [2]):
        put(log, "blobs", Records(None, pa.array([b"x"] * len(times)), np.array(times)), 0)
    found = [log.offset_for_time("blobs", 0, t) for t in (0, 5, 6, 9, 10)]
    assert found == [0, 0, 3, 3, 5]


def test_delete_before_moves_the_start(log: LocalLog) -> None:
    """Records below are not read any more, the offsets of the others stay."""
    put(log, "blobs", blobs(b"a", b"b", b"c"), 0)
    log.delete_before("blobs", 0, 2)
    assert log.start_offset("blobs", 0) == 2
    assert log.read("blobs", 0, 0, rows_max=9, reset="earliest").values.to_pylist() == [b"c"]
    log.delete_before("blobs", 0, 99)
    put(log, "blobs", blobs(b"d"), 0)
    assert log.read("blobs", 0, 0, rows_max=9, reset="earliest").offsets.tolist() == [3]


def test_a_topic_created_again_is_empty(log: LocalLog) -> None:
    """Deleting a topic removes its records; a transaction begun on the old one is refused."""
    put(log, "blobs", blobs(b"a"), 0)
    stale = log.transaction()
    stale.append("blobs", blobs(b"a"), 0)
    log.delete_topic("blobs")
    log.create_topic("blobs", TopicConfig(partitions=2))
    with pytest.raises(StorageError):
        stale.commit()
    assert log.end_offset("blobs", 0) == 0


def test_everything_survives_closing(tmp_path: Path) -> None:
    """Topics, records, positions, sequences, epoch and arrivals are there after a reopen, relaxed commits included."""
    log = LocalLog.open(tmp_path, quiet())
    config = TopicConfig(value_type=PERSON, cleanup_policy="compact", retention_ms=5, properties={"a": "b"})
    log.create_topic("people", config)
    put(log, "people", people("ann", "bo"))
    transaction = log.transaction()
    transaction.append("people", people("c"))
    transaction.set_positions("g", {("people", 0): 2})
    transaction.set_sequence("p", 4)
    transaction.commit(durable=False)
    log.close()
    log = LocalLog.open(tmp_path, quiet())
    assert log.topics() == {"people": config}
    assert [v["name"] for v in log.read("people", 0, 0, rows_max=9).values.to_pylist()] == ["ann", "bo", "c"]
    assert (log.epoch, log.arrival_end, log.positions("g"), log.last_sequence("p")) == (2, 3, {("people", 0): 2}, 4)
    put(log, "people", people("d"))
    assert log.read("people", 0, 2, rows_max=9).arrivals.tolist() == [2, 3]
    log.close()


def test_a_second_process_is_turned_away(tmp_path: Path) -> None:
    """The directory is held by one log at a time; the error names the holder."""
    log = LocalLog.open(tmp_path, quiet())
    with pytest.raises(StorageError, match="pid"):
        LocalLog.open(tmp_path, quiet())
    log.close()
    LocalLog.open(tmp_path, quiet()).close()


def test_wait_returns_the_newest_epoch(log: LocalLog) -> None:
    """It returns at once if there is something newer, and after the timeout if not."""
    put(log, "blobs", blobs(b"a"), 0)
    assert log.wait(0, 10) == 1
    assert log.wait(1, 0.001) == 1


def test_end_offsets_are_as_of_one_commit(log: LocalLog) -> None:
    """The ends of several partitions come with the epoch they belong to."""
    transaction = log.transaction()
    transaction.append("blobs", blobs(b"a", b"b"), 0)
    transaction.append("people", people("x"))
    transaction.commit()
    assert log.end_offsets([("blobs", 0), ("blobs", 1), ("people", 0)]) == (
        1,
        {("blobs", 0): 2, ("blobs", 1): 0, ("people", 0): 1},
    )


def test_a_read_outside_of_what_there_is_says_so() -> None:
    """Before the first and beyond the last record reading is an error, or goes on where ``reset`` says."""
    log = LocalLog.open(None, LogSettings(background=False))
    log.create_topic("t", TopicConfig())
    for i in range(10):
        transaction = log.transaction()
        transaction.append("t", Records(None, pa.array([b"%d" % i]), np.array([i])))
        transaction.commit()
    log.delete_before("t", 0, 4)
    for asked in (0, 3, 11, -1):
        with pytest.raises(OffsetOutOfRangeError) as caught:
            log.read("t", 0, asked, rows_max=5)
        assert (caught.value.asked, caught.value.start, caught.value.end) == (asked, 4, 10)
    assert log.read("t", 0, 3, rows_max=1, reset="earliest").offsets.tolist() == [4]
    assert len(log.read("t", 0, 3, rows_max=1, reset="latest")) == 0
    assert log.read("t", 0, 99, rows_max=1, reset="earliest").offsets.tolist() == [4]
    assert len(log.read("t", 0, 10, rows_max=1)) == 0
