"""What any log must do: the promise of ``storage/log/protocol.py`` as tests.

A log is held to it by a class in a test file of its own::

    class TestLocalLog(LogContract):
        def open(self, place: Path) -> Log: ...

``open`` opens the log that was left at a place, or makes one there.  What a log need not have stands in its
`LogCapabilities`; tests of that are skipped where it says no.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.errors import OffsetOutOfRangeError, OutOfOrderSequenceError, PenstockError, ProducerFencedError, StorageError
from penstock.storage.log.protocol import HEADERS, NO_POSITION, Commit, FetchedRecords, Log, Outcome, Records, TopicConfig

TYPED = pa.struct([pa.field("A", pa.int64()), pa.field("B", pa.string())])


def records(
    values: Sequence[bytes | None], keys: Sequence[bytes | None] | None = None, timestamps: Sequence[int] | None = None
) -> Records:
    """Records of bytes; timestamps count from 0 unless they are given."""
    stamps = np.arange(len(values)) if timestamps is None else np.array(timestamps, np.int64)
    return Records(None if keys is None else pa.array(keys, pa.binary()), pa.array(values, pa.binary()), stamps)


def append(log: Log, topic: str, values: Sequence[bytes | None], partition: int | None = 0, **more: Any) -> Commit:
    """One commit with these records."""
    transaction = log.transaction()
    transaction.append(topic, records(values, **more), partition)
    return transaction.commit()


def everything(log: Log, topic: str, partition: int = 0) -> FetchedRecords:
    """All that a partition holds, as if it were read at once."""
    offset, end = log.start_offset(topic, partition), log.end_offset(topic, partition)
    pieces = [log.read(topic, partition, offset, rows_max=1_000_000)]
    while pieces[-1].next_offset < end:
        pieces.append(log.read(topic, partition, pieces[-1].next_offset, rows_max=1_000_000))
    full = [piece for piece in pieces if len(piece)] or pieces[:1]

    def column(name: str, kind: Any) -> Any:
        parts = [getattr(piece, name) for piece in full]
        if all(part is None for part in parts):
            return None
        parts = [pa.nulls(len(p), kind) if part is None else part for p, part in zip(full, parts, strict=True)]
        return pa.concat_arrays([part.combine_chunks() if isinstance(part, pa.ChunkedArray) else part for part in parts])

    return FetchedRecords(
        column("keys", pa.binary()),
        column("values", pa.binary()),
        np.concatenate([piece.timestamps for piece in full]),
        column("headers", HEADERS),
        np.concatenate([piece.offsets for piece in full]),
        np.concatenate([piece.arrivals for piece in full]),
        pieces[-1].epoch,
        pieces[-1].next_offset,
    )


def rises(log: Log, found: Sequence[int], expected: Sequence[int]) -> bool:
    """Whether offsets are those of a partition that has had so many records before each: where the marks of commits take
    offsets, too, they are larger, and rise as much at least."""
    if log.capabilities.dense_offsets:
        return list(found) == list(expected)
    steps = np.diff(expected)
    return len(found) == len(expected) and found[0] >= expected[0] and bool((np.diff(found) >= steps).all())


def values(log: Log, topic: str, partition: int = 0) -> list[bytes | None]:
    found: list[bytes | None] = everything(log, topic, partition).values.to_pylist()
    return found


class LogContract:
    """See the module's text.

    Attributes:
        all_configs: a topic with everything set, to values that the log takes.
    """

    all_configs = TopicConfig(2, None, "compact", 1000, 2000, True, {"a": "b"}, 4096, 5000, 6000, 7000, "zstd")

    def open(self, place: Path) -> Log:
        """The log at a place; a new one if there is none."""
        raise NotImplementedError

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        return tmp_path / "log"

    @pytest.fixture
    def log(self, place: Path) -> Iterator[Log]:
        made = self.open(place)
        made.create_topic("t", TopicConfig())
        made.create_topic("many", TopicConfig(3))
        yield made
        made.close()

    def reopened(self, log: Log, place: Path) -> Log:
        log.close()
        return self.open(place)

    # --- topics ----------------------------------------------------------------------------

    def test_topics_are_created_listed_and_deleted(self, log: Log) -> None:
        """A name is there once; one that is deleted and created again is another topic, and empty."""
        assert {"t", "many"} <= set(log.topics())
        assert log.config("many") == log.topics()["many"]
        assert log.topics()["many"].partitions == 3
        assert log.config("nothing") is None
        with pytest.raises(StorageError):
            log.create_topic("t", TopicConfig())
        number = log.topic_id("t")
        append(log, "t", [b"a"])
        log.delete_topic("t")
        assert "t" not in log.topics()
        for call in (lambda: log.delete_topic("t"), lambda: log.topic_id("t"), lambda: log.read("t", 0, 0, rows_max=1)):
            with pytest.raises(StorageError):
                call()
        log.create_topic("t", TopicConfig())
        assert log.topic_id("t") != number
        assert log.end_offset("t", 0) == 0

    def test_a_topic_needs_a_name_and_a_partition(self, log: Log) -> None:
        """Nothing is made of what has none."""
        for name, config in (("", TopicConfig()), ("x", TopicConfig(0))):
            with pytest.raises(StorageError):
                log.create_topic(name, config)
        assert "x" not in log.topics()

    def test_a_topic_is_kept_with_all_of_its_config(self, log: Log, place: Path) -> None:
        """Also over a close."""
        config = self.all_configs
        log.create_topic("c", config)
        again = self.reopened(log, place)
        assert again.topics()["c"] == config
        again.close()

    def test_partitions_may_be_added_while_no_record_has_a_key(self, log: Log) -> None:
        """And never taken away; a key would be in two partitions."""
        append(log, "t", [b"a"])
        log.alter_topic("t", TopicConfig(4))
        assert log.topics()["t"].partitions == 4
        assert values(log, "t") == [b"a"]
        append(log, "t", [b"b"], 3)
        for count in (3, 0):
            with pytest.raises(StorageError):
                log.alter_topic("t", TopicConfig(count))
        append(log, "many", [b"v"], None, keys=[b"k"])
        with pytest.raises(StorageError):
            log.alter_topic("many", TopicConfig(4))
        with pytest.raises(StorageError):
            log.alter_topic("nothing", TopicConfig())

    # --- appending and reading ------------------------------------------------------------------

    def test_what_is_appended_is_read(self, log: Log, place: Path) -> None:
        """Keys, values, tombstones, times and headers; offsets count up from 0; the same after opening again."""
        heads = pa.array([[{"KEY": "h", "VALUE": b"1"}], [], None], HEADERS)
        keys, found = pa.array([b"k", None, b""], pa.binary()), pa.array([b"a", None, b""], pa.binary())
        transaction = log.transaction()
        transaction.append("t", Records(keys, found, np.array([5, -3, 2**60]), heads), 0)
        commit = transaction.commit()
        assert (commit.starts, commit.ends) == ({("t", 0): 0}, {("t", 0): 3})
        for _ in range(2):
            read = everything(log, "t")
            assert read.keys is not None
            assert read.keys.to_pylist() == [b"k", None, b""]
            assert read.values.to_pylist() == [b"a", None, b""]
            assert read.timestamps.tolist() == [5, -3, 2**60]
            assert read.headers is not None
            assert [h or [] for h in read.headers.to_pylist()] == [[{"KEY": "h", "VALUE": b"1"}], [], []]
            assert read.offsets.tolist() == [0, 1, 2]
            assert rises(log, [read.next_offset, log.end_offset("t", 0)], [3, 3])
            assert log.start_offset("t", 0) == 0
            log = self.reopened(log, place)
        log.close()

    def test_a_read_is_bounded_and_goes_on_where_it_ended(self, log: Log) -> None:
        """By rows and by bytes, with one record at least; nothing at the end."""
        expected = [b"%03d" % i * 100 for i in range(50)]
        for start in range(0, 50, 7):
            append(log, "t", expected[start : start + 7])
        for bounds in (
            {"rows_max": 1},
            {"rows_max": 8},
            {"rows_max": 100, "bytes_max": 1},
            {"rows_max": 100, "bytes_max": 700},
        ):
            found: list[bytes] = []
            offset = 0
            while len(found) < 50:
                read = log.read("t", 0, offset, **bounds)  # type: ignore[arg-type]
                assert 1 <= len(read) <= bounds["rows_max"]
                assert rises(log, [int(read.offsets[0])], [offset])
                found += read.values.to_pylist()
                offset = read.next_offset
            assert found == expected
        assert len(log.read("t", 0, log.end_offset("t", 0), rows_max=10)) == 0

    def test_where_there_are_no_records(self, log: Log) -> None:
        """An offset outside is an error, or the start, or the end, as asked."""
        append(log, "t", [b"a", b"b"])
        end = log.end_offset("t", 0)
        for offset in (end + 1, 100):
            with pytest.raises(OffsetOutOfRangeError) as caught:
                log.read("t", 0, offset, rows_max=1)
            assert (caught.value.start, caught.value.end) == (0, end)
            assert log.read("t", 0, offset, rows_max=9, reset="earliest").values.to_pylist() == [b"a", b"b"]
            assert log.read("t", 0, offset, rows_max=9, reset="latest").next_offset == end
        with pytest.raises(StorageError):
            log.read("t", 1, 0, rows_max=1)

    def test_a_scan_gives_what_reading_gives(self, log: Log) -> None:
        """In pieces that are not empty; to the end as it was when the scan began."""
        for i in range(30):
            append(log, "t", [b"%d" % i, None])
        offsets = everything(log, "t").offsets.tolist()
        assert rises(log, offsets, range(60))
        scanned = log.scan("t", 0, offsets[11])
        pieces = list(scanned)
        assert all(len(piece) for piece in pieces)
        assert [v for piece in pieces for v in piece.values.to_pylist()] == values(log, "t")[11:]
        assert [o for piece in pieces for o in piece.offsets.tolist()] == offsets[11:]
        assert list(log.scan("t", 0, log.end_offset("t", 0))) == []

    def test_keys_have_one_partition_and_the_others_go_round(self, log: Log) -> None:
        """murmur2 of the key, as Kafka places them."""
        keys = [b"k%d" % (i % 10) for i in range(100)]
        append(log, "many", [b"%d" % i for i in range(100)], None, keys=keys)
        chosen = log.partitions_of(pa.array([*keys, None], pa.binary()), 3).tolist()
        assert chosen.pop() == -1
        for number in range(3):
            assert values(log, "many", number) == [b"%d" % i for i in range(100) if chosen[i] == number]
        append(log, "many", [b"x"] * 30, None)
        assert [values(log, "many", n).count(b"x") for n in range(3)] == [10, 10, 10]
        assert log.partitions_of(pa.array([b"21", b"foobar"], pa.binary()), 1000).tolist() == [
            (-973932308 & 0x7FFFFFFF) % 1000,
            (-790332482 & 0x7FFFFFFF) % 1000,
        ]

    def test_ranked_records_arrive_in_their_order(self, log: Log) -> None:
        """Over partitions, where the log has such an order; in each partition anyway."""
        transaction = log.transaction()
        ranks = [np.array([0, 3, 5]), np.array([1, 2, 4])]
        parts = [(n, records([b"%d" % r for r in ranks[n]]), ranks[n]) for n in range(2)]
        transaction.append_ranked("many", parts)
        transaction.commit()
        read = [everything(log, "many", n) for n in range(2)]
        assert [r.values.to_pylist() for r in read] == [[b"0", b"3", b"5"], [b"1", b"2", b"4"]]
        if log.capabilities.total_order:
            together = sorted(zip([*read[0].arrivals, *read[1].arrivals], [b"0", b"3", b"5", b"1", b"2", b"4"], strict=True))
            assert [value for _, value in together] == [b"%d" % i for i in range(6)]

    def test_arrivals_rise(self, log: Log) -> None:
        """In each partition; over all of them, where there is a total order."""
        for i in range(10):
            append(log, "many", [b"%d" % i], i % 3)
        arrivals = [everything(log, "many", n).arrivals.tolist() for n in range(3)]
        assert all(a == sorted(set(a)) for a in arrivals)
        if log.capabilities.total_order:
            assert [arrivals[i % 3][i // 3] for i in range(10)] == sorted(x for a in arrivals for x in a)

    def test_typed_values(self, log: Log, place: Path) -> None:
        """Fields can be picked; a type may gain fields at its end, which are null in what is older."""
        if not log.capabilities.typed_values:
            pytest.skip("the log holds bytes only")
        log.create_topic("typed", TopicConfig(1, TYPED))
        rows = [{"A": 1, "B": "x"}, {"A": None, "B": None}, None]
        transaction = log.transaction()
        transaction.append("typed", Records(None, pa.array(rows, TYPED), np.arange(3)), 0)
        transaction.commit()
        assert everything(log, "typed").values.to_pylist() == rows
        picked = log.read("typed", 0, 0, rows_max=9, fields=["B"]).values.to_pylist()
        assert picked == [{"B": "x"}, {"B": None}, None]
        wider = pa.struct([*TYPED, pa.field("C", pa.float64())])
        log.alter_topic("typed", TopicConfig(1, wider))
        assert everything(log, "typed").values.to_pylist()[0] == {"A": 1, "B": "x", "C": None}
        with pytest.raises(StorageError):
            log.alter_topic("typed", TopicConfig(1, pa.struct([pa.field("A", pa.string())])))
        transaction = log.transaction()
        with pytest.raises(StorageError):
            transaction.append("typed", records([b"bytes"]), 0)
        again = self.reopened(log, place)
        assert everything(again, "typed").values.to_pylist()[0] == {"A": 1, "B": "x", "C": None}
        again.close()

    def test_times_are_found(self, log: Log) -> None:
        """The first offset with that time or a later one; the end if there is none."""
        append(log, "t", [b"a", b"b", b"c"], timestamps=[10, 30, 20])
        end = log.end_offset("t", 0)
        assert [log.offset_for_time("t", 0, at) for at in (0, 10, 11, 30, 31)] == [0, 0, 1, 1, end]

    def test_records_are_dropped_from_the_front(self, log: Log) -> None:
        """Reading below is out of range; offsets stay."""
        append(log, "t", [b"a", b"b", b"c"])
        log.delete_before("t", 0, 2)
        assert log.start_offset("t", 0) == 2
        assert values(log, "t") == [b"c"]
        with pytest.raises(OffsetOutOfRangeError):
            log.read("t", 0, 0, rows_max=1)
        assert log.read("t", 0, 0, rows_max=1, reset="earliest").offsets.tolist() == [2]
        log.delete_before("t", 0, 100)
        end = log.end_offset("t", 0)
        assert log.start_offset("t", 0) == end
        assert rises(log, [end], [3])
        assert append(log, "t", [b"d"]).starts == {("t", 0): end}

    def test_what_follows_the_dropped_records_is_read(self, log: Log) -> None:
        """Also where records came together, and are followed: who has read some of them reads on."""
        log.end_offsets([("t", 0)])  # a log of brokers keeps in memory what comes from now on
        append(log, "t", [b"a", b"b", b"c", b"d"])
        for offset, value in enumerate([b"a", b"b"]):
            assert log.read("t", 0, offset, rows_max=1).values.to_pylist() == [value]
        log.delete_before("t", 0, 2)
        for offset, value in enumerate([b"c", b"d"], 2):
            assert log.read("t", 0, offset, rows_max=1).values.to_pylist() == [value]

    # --- transactions -----------------------------------------------------------------------

    def test_a_transaction_is_seen_whole_or_not_at_all(self, log: Log) -> None:
        """Nothing before its commit, then all of it; nothing of one that is aborted."""
        epoch = log.epoch
        transaction = log.transaction()
        transaction.append("t", records([b"a"]), 0)
        transaction.append("many", records([b"b"]), 1)
        transaction.set_positions("g", {("t", 0): 1})
        transaction.set_metadata("g", "text")
        assert values(log, "t") == []
        assert log.epoch == epoch
        commit = transaction.commit()
        assert commit.epoch == log.epoch > epoch
        assert (values(log, "t"), values(log, "many", 1)) == ([b"a"], [b"b"])
        assert (log.positions("g"), log.metadata("g")) == ({("t", 0): 1}, "text")
        other = log.transaction()
        other.append("t", records([b"lost"]), 0)
        other.abort()
        with pytest.raises(PenstockError):
            other.commit()
        assert values(log, "t") == [b"a"]

    def test_ends_of_several_partitions_are_of_one_commit(self, log: Log) -> None:
        """While others commit to both of them at once."""
        if not log.capabilities.joint_epochs:
            pytest.skip("each partition has its own")
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                transaction = log.transaction()
                transaction.append("many", records([b"x"]), 0)
                transaction.append("many", records([b"x"]), 1)
                transaction.commit(durable=False)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(200):
                _, ends = log.end_offsets([("many", 0), ("many", 1)])
                assert ends["many", 0] == ends["many", 1]
        finally:
            stop.set()
            writer.join()

    def test_commits_that_are_begun_happen_in_their_order(self, log: Log, place: Path) -> None:
        """Also large ones, and whoever asks first for the last one."""
        begun = []
        for i in range(6):
            transaction = log.transaction()
            transaction.append("t", records([b"%d" % i * 20_000] * (i + 1)), 0)
            begun.append(transaction.begin_commit())
        commits = [c.result() for c in reversed(begun)][::-1]
        assert all(c.done for c in begun)
        assert [c.epoch for c in commits] == sorted(c.epoch for c in commits)
        expected = [b"%d" % i * 20_000 for i in range(6) for _ in range(i + 1)]
        assert values(log, "t") == expected
        again = self.reopened(log, place)
        assert values(again, "t") == expected
        again.close()

    def test_several_transactions_with_one_call(self, log: Log) -> None:
        """Each for itself: one that cannot happen keeps the others from nothing."""
        log.create_topic("gone", TopicConfig())
        made = []
        for topic in ("t", "gone", "t"):
            transaction = log.transaction()
            transaction.append(topic, records([topic.encode()]), 0)
            made.append((transaction, True))
        log.delete_topic("gone")
        log.create_topic("gone", TopicConfig())
        outcomes: list[Outcome | None] = []
        try:
            log.commit_all(made, outcomes)
        except StorageError:
            assert values(log, "t") == []  # nothing was begun with
            return
        assert isinstance(outcomes[0], Commit)
        assert isinstance(outcomes[1], StorageError)
        assert isinstance(outcomes[2], Commit)
        assert values(log, "t") == [b"t", b"t"]

    def test_relaxed_commits_are_seen_at_once_and_kept_by_flush(self, log: Log, place: Path) -> None:
        """And by a close."""
        for i in range(5):
            transaction = log.transaction()
            transaction.append("t", records([b"%d" % i]), 0)
            transaction.commit(durable=False)
            assert len(values(log, "t")) == i + 1
        log.flush()
        again = self.reopened(log, place)
        assert len(values(again, "t")) == 5
        again.close()

    # --- groups and producers ------------------------------------------------------------------

    def test_groups_keep_positions_and_metadata(self, log: Log, place: Path) -> None:
        """Later ones replace earlier ones, place by place; unknown groups have none; a group can be deleted."""
        assert (log.positions("g"), log.metadata("g"), list(log.groups())) == ({}, None, [])
        for positions, metadata in (({("t", 0): 1, ("many", 2): 5}, "one"), ({("t", 0): 2}, "two")):
            transaction = log.transaction()
            transaction.set_positions("g", positions)
            transaction.set_metadata("g", metadata)
            transaction.commit()
        transaction = log.transaction()
        transaction.set_metadata("only", "text")
        transaction.commit()
        log = self.reopened(log, place)
        assert log.positions("g") == {("t", 0): 2, ("many", 2): 5}
        assert (log.metadata("g"), log.metadata("only")) == ("two", "text")
        assert sorted(log.groups()) == ["g", "only"]
        log.delete_group("g")
        log.delete_group("nothing")
        log = self.reopened(log, place)
        assert (log.positions("g"), log.metadata("g"), list(log.groups())) == ({}, None, ["only"])
        log.close()

    def test_a_position_that_is_taken_away(self, log: Log, place: Path) -> None:
        """It is gone, also when the log is opened again, or refused where the log cannot do that."""
        transaction = log.transaction()
        transaction.set_positions("g", {("t", 0): 1, ("many", 2): 5})
        transaction.commit()
        transaction = log.transaction()
        if not log.capabilities.forgets_positions:
            with pytest.raises(StorageError):
                transaction.set_positions("g", {("many", 2): NO_POSITION})
            return
        transaction.set_positions("g", {("many", 2): NO_POSITION, ("many", 1): NO_POSITION})
        transaction.commit()
        assert log.positions("g") == {("t", 0): 1}
        log = self.reopened(log, place)
        assert log.positions("g") == {("t", 0): 1}
        log.close()

    def test_a_sequence_that_does_not_rise_is_a_retry(self, log: Log, place: Path) -> None:
        """It writes nothing; what is remembered outlives the process."""
        for sequence, is_new in ((5, True), (5, False), (4, False), (6, True)):
            transaction = log.transaction()
            transaction.append("t", records([b"%d" % sequence]), 0)
            transaction.set_sequence("p", sequence)
            assert bool(transaction.commit().ends) == is_new
        assert values(log, "t") == [b"5", b"6"]
        log = self.reopened(log, place)
        assert log.last_sequence("p") == 6
        assert log.last_sequence("q") is None
        log.close()

    def test_a_producer_numbers_its_records_and_is_fenced(self, log: Log, place: Path) -> None:
        """Numbers follow each other in a partition; an older instance commits nothing; it can be asked what was written."""

        def send(epoch: int, value: bytes, number: int | None = None) -> Commit:
            transaction = log.transaction()
            transaction.append("t", records([value, value]), 0)
            transaction.set_producer("p", epoch, None if number is None else {("t", 0): number})
            return transaction.commit()

        first = log.open_producer("p")
        send(first, b"a", 0)
        with pytest.raises(OutOfOrderSequenceError):
            send(first, b"gap", 3)
        with pytest.raises(OutOfOrderSequenceError):
            send(first, b"again", 0)
        send(first, b"b")
        second = log.open_producer("p")
        assert second > first
        with pytest.raises(ProducerFencedError):
            send(first, b"old")
        send(second, b"c", 4)
        assert values(log, "t") == [b"a", b"a", b"b", b"b", b"c", b"c"]
        log = self.reopened(log, place)
        batches = log.produced("p", "t", 0)
        assert [(b.first, b.last) for b in batches] == [(0, 1), (2, 3), (4, 5)]
        assert rises(log, [b.offset for b in batches], [0, 2, 4])
        assert list(log.produced("p", "many", 0)) == []
        log.close()

    # --- waiting -----------------------------------------------------------------------------

    def test_a_commit_wakes_who_waits(self, log: Log) -> None:
        """And so does `wake`, if what is waited for holds; the time may be up first."""
        epoch = log.epoch
        assert log.wait(epoch, 0.01) == epoch
        threading.Timer(0.05, lambda: append(log, "t", [b"a"])).start()
        assert log.wait(epoch, 30) > epoch
        held: list[int] = []
        threading.Timer(0.05, lambda: (held.append(1), log.wake())).start()
        log.wait(log.epoch, 30, lambda: bool(held))
        assert held

    def test_closing_twice_is_closing(self, log: Log) -> None:
        """And nothing can be committed any more."""
        transaction = log.transaction()
        transaction.append("t", records([b"a"]), 0)
        log.close()
        log.close()
        with pytest.raises(StorageError):
            transaction.commit()
