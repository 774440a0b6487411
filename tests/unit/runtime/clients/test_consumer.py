"""Consumers and their groups: positions, commits, who owns what, and who may commit it."""

from __future__ import annotations

import gc
import re
import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest

import penstock
from penstock.errors import ClientError, CommitFailedError, OffsetOutOfRangeError
from penstock.storage.log.protocol import TopicConfig
from penstock.tests.unit.runtime.clients.conftest import Bench


def numbers(records: list[penstock.RawRecord]) -> list[int]:
    return [int(record.value) for record in records]


def test_without_a_group_all_partitions_are_read(bench: Bench) -> None:
    """From the start or the end; in records or in columns; positions move with what was returned."""
    bench.fill("t", 10, 2)
    consumer = bench.consumer("t")
    records = consumer.poll(max_records=7)
    assert numbers(records) == [0, 2, 4, 6, 8, 1, 3]
    assert (records[0].topic, records[0].partition, records[0].offset, records[0].timestamp) == ("t", 0, 0, 1000)
    assert (consumer.position(("t", 0)), consumer.position(("t", 1)), consumer.lag()) == (5, 2, {("t", 0): 0, ("t", 1): 3})
    (batch,) = consumer.poll_batches()
    assert batch.arrow().to_pydict() == {
        "key": [None] * 3,
        "value": [b"5", b"7", b"9"],
        "timestamp": [1000] * 3,
        "offset": [2, 3, 4],
        "headers": [None] * 3,
    }
    assert consumer.poll() == []
    latest = bench.consumer("t", auto_offset_reset="latest")
    assert latest.poll() == []
    bench.producer().send("t", value=b"10", partition=1).result()
    assert numbers(latest.poll()) == numbers(consumer.poll()) == [10]
    with pytest.raises(ClientError, match="without a group commits no offsets"):
        consumer.commit()


def test_positions_can_be_sought_paused_and_looked_up(bench: Bench) -> None:
    """By offset, by end and by time."""
    bench.log.create_topic("t", TopicConfig(1))
    producer = bench.producer()
    for i in range(5):
        producer.send("t", value=b"%d" % i, timestamp=i * 10)
    producer.flush()
    place = ("t", 0)
    consumer = bench.consumer()
    with pytest.raises(ClientError, match="reads nothing"):
        consumer.poll()
    consumer.assign([place])
    consumer.seek(place, 3)
    assert numbers(consumer.poll()) == [3, 4]
    consumer.seek_to_beginning()
    consumer.pause(place)
    assert (consumer.poll(), consumer.paused()) == ([], frozenset({place}))
    consumer.resume(place)
    assert numbers(consumer.poll(max_records=1)) == [0]
    consumer.seek_to_end(place)
    assert consumer.poll() == []
    assert consumer.offsets_for_times({place: 15}) == {place: 2}
    assert consumer.offsets_for_times({place: 41}) == {place: None}
    assert (consumer.beginning_offsets([place]), consumer.end_offsets([place])) == ({place: 0}, {place: 5})
    with pytest.raises(ClientError, match="not assigned"):
        consumer.seek(("t", 1), 0)
    with pytest.raises(ClientError, match="of at least 0, not -1"):
        consumer.seek(place, -1)


def test_what_is_gone_is_met_by_the_reset(bench: Bench) -> None:
    """Earliest, latest, or an error that leaves the consumer where it is."""
    bench.fill("t", 6)
    bench.log.delete_before("t", 0, 4)
    place = ("t", 0)
    for reset, found in (("earliest", [4, 5]), ("latest", [])):
        consumer = bench.consumer("t", group=reset, auto_offset_reset=reset)
        consumer.poll()
        for outside in (1, 99):
            consumer.seek(place, outside)
            assert numbers(consumer.poll()) == found
            assert consumer.position(place) == 6
    strict = bench.consumer("t", group="none", auto_offset_reset="none")
    with pytest.raises(ClientError, match="no committed offset for 't', partition 0"):
        strict.poll()
    strict.seek(place, 1)
    for _ in range(2):
        with pytest.raises(OffsetOutOfRangeError):
            strict.poll()
    strict.seek(place, 5)
    assert numbers(strict.poll()) == [5]


def test_committed_offsets_are_where_the_next_one_reads_on(tmp_path: Path) -> None:
    """Also after opening again, beside queries, whose positions are other groups."""
    with penstock.connect(tmp_path / "d", auto_offset_reset="earliest") as db:
        db.execute("CREATE STREAM s (x INT) WITH (KAFKA_TOPIC='t', PARTITIONS=1, VALUE_FORMAT='JSON');")
        db.execute("CREATE STREAM c AS SELECT * FROM s;")
        db.insert("s", [{"x": i} for i in range(5)])
        with db.consumer("t", group="CSAS_C_1/S", enable_auto_commit=False) as consumer:
            consumer.poll(max_records=3)
            consumer.commit()
            assert consumer.committed() == {("t", 0): 3}
        with db.consumer("t", group="auto") as consumer:
            consumer.poll(max_records=2)
        assert list(db.groups) == ["CSAS_C_1/S", "auto"]
    with penstock.connect(tmp_path / "d", auto_offset_reset="earliest") as db:
        assert {name: group.lag for name, group in db.groups.items()} == {"CSAS_C_1/S": 2, "auto": 3}
        with db.consumer("t", group="CSAS_C_1/S") as consumer:
            assert [record.offset for record in consumer.poll()] == [3, 4]
        db.wait_idle(60)
        assert len(list(db.consume("C"))) == 5
        db.groups.delete("auto")
        assert list(db.groups) == ["CSAS_C_1/S"]
        with pytest.raises(KeyError):
            _ = db.groups["auto"]
        with pytest.raises(ClientError, match="read_uncommitted' is not supported"):
            db.consumer("t", isolation_level="read_uncommitted")


def test_auto_commit_commits_what_earlier_polls_returned(bench: Bench) -> None:
    """In a poll after the interval, when partitions go, and at the end; not after an error in the block."""
    bench.fill("t", 6)
    consumer = bench.consumer("t", group="g", enable_auto_commit=True, max_poll_records=2)
    place = ("t", 0)
    consumer.poll()
    consumer.poll()
    assert consumer.committed() == {}
    bench.seconds += 5
    consumer.poll()
    assert consumer.committed() == {place: 4}
    consumer.close()
    assert bench.clients.groups["g"].partitions[0].committed == 6
    with pytest.raises(ZeroDivisionError), bench.consumer("t", group="h", enable_auto_commit=True) as failing:
        failing.poll()
        raise ZeroDivisionError
    assert "h" not in bench.clients.groups


def test_a_loop_that_is_left_early_loses_nothing(bench: Bench) -> None:
    """Positions move record by record."""
    bench.fill("t", 10, 2)
    with bench.consumer("t", group="g", enable_auto_commit=True, consumer_timeout_ms=0) as consumer:
        found = []
        for record in consumer:
            found.append(int(record.value))
            if len(found) == 3:
                break
    with bench.consumer("t", group="g", enable_auto_commit=True, consumer_timeout_ms=0) as consumer:
        found.extend(int(record.value) for record in consumer)
    assert sorted(found) == list(range(10)) and found[:3] == [0, 2, 4]


def test_members_share_partitions_and_only_moved_ones_are_revoked(bench: Bench) -> None:
    """Listeners hear of what moves, before it goes, and what they commit then is where the next owner begins."""
    bench.fill("t", 12, 4)
    heard: list[tuple[str, list[tuple[str, int]]]] = []
    first = bench.consumer(
        "t",
        group="g",
        on_assigned=lambda p: heard.append(("assigned", p)),
        on_revoked=lambda p: (heard.append(("revoked", p)), first.commit()),
    )
    assert len(first.poll()) == 12
    second = bench.consumer("t", group="g")
    assert second.poll() == [] and second.assignment() == frozenset()
    assert bench.clients.groups["g"].state == "PreparingRebalance"
    assert first.poll() == []
    assert second.poll() == []
    assert first.assignment() | second.assignment() == {("t", n) for n in range(4)}
    assert first.assignment() & second.assignment() == set()
    assert [kind for kind, _ in heard] == ["assigned", "revoked"]
    assert frozenset(heard[1][1]) == second.assignment() and len(second.assignment()) == 2
    assert bench.clients.groups["g"].state == "Stable"
    first.close()
    second.poll()
    assert len(second.assignment()) == 4
    assert second.committed() == {("t", n): 3 for n in range(4)}


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("range", [{("a", 0), ("a", 1), ("b", 0)}, {("a", 2), ("b", 1)}]),
        ("roundrobin", [{("a", 0), ("a", 2), ("b", 1)}, {("a", 1), ("b", 0)}]),
        ("sticky", None),
    ],
)
def test_strategies_are_kafkas(bench: Bench, strategy: str, expected: list[set[tuple[str, int]]] | None) -> None:
    """Range by topic, round robin over all, sticky as even as can be."""
    bench.log.create_topic("a", TopicConfig(3))
    bench.log.create_topic("b", TopicConfig(2))
    members = [bench.consumer(["a", "b"], group="g", partition_assignment_strategy=strategy) for _ in range(2)]
    for _ in range(3):
        for member in members:
            member.poll()
    found = [set(member.assignment()) for member in members]
    assert sorted(map(len, found)) == [2, 3] and not found[0] & found[1]
    if expected is not None:
        assert found == expected
    with pytest.raises(ClientError, match=f"assign by {strategy}, not by cooperative-sticky"):
        bench.consumer("a", group="g").poll()
    with pytest.raises(ClientError, match="must be one of"):
        bench.consumer("a", group="h", partition_assignment_strategy="best").poll()


def test_a_silent_member_is_expelled_and_its_commit_refused(bench: Bench) -> None:
    """It hears that its partitions are lost, and joins again with its next poll."""
    bench.fill("t", 4, 2)
    lost: list[object] = []
    slow = bench.consumer("t", group="g", max_poll_interval_ms=1000, on_lost=lost.append)
    slow.poll()
    other = bench.consumer("t", group="g")
    bench.seconds += 2
    assert len(other.poll()) == 4
    with pytest.raises(CommitFailedError, match="is no longer a member of the group 'g'"):
        slow.commit()
    other.commit()
    assert slow.poll() == [] and lost == [[("t", 0), ("t", 1)]]
    other.poll()
    slow.poll()
    assert len(slow.assignment()) == len(other.assignment()) == 1


def test_an_old_generation_cannot_commit_what_it_had(bench: Bench) -> None:
    """Not even where the member got the partition back since."""
    bench.fill("t", 4, 2)
    first = bench.consumer("t", group="g")
    first.poll()
    before = first.group_metadata()
    group = bench.clients._coordinator.group("g")
    second = bench.consumer("t", group="g")
    for member in (second, first, second):
        member.poll()
    moved = next(iter(second.assignment()))
    kept = next(iter(first.assignment()))
    with pytest.raises(CommitFailedError, match="does not own"):
        first.commit({moved: 1})
    second.close()
    first.poll()
    assert moved in first.assignment()
    with (
        pytest.raises(CommitFailedError, match=f"commits for generation {before.generation}"),
        group.committing(before, [moved]),
    ):
        pass
    with group.committing(before, [kept]):
        pass
    with pytest.raises(CommitFailedError, match="has members"):
        manual = bench.consumer(group="g")
        manual.assign([kept])
        manual.commit()


def test_a_consumer_that_is_forgotten_leaves(bench: Bench) -> None:
    """Garbage collection ends a membership."""
    bench.fill("t", 2, 2)
    first, second = bench.consumer("t", group="g"), bench.consumer("t", group="g")
    for member in (first, second, first, second):
        member.poll()
    del first, member
    gc.collect()
    second.poll()
    assert len(second.assignment()) == 2


def test_topics_come_go_and_match_patterns(bench: Bench) -> None:
    """A topic that was made again is another one: what was committed for the old one does not count."""
    consumer = bench.consumer(re.compile(r"log\..*"), group="g")
    assert consumer.poll() == []
    bench.fill("log.a", 2)
    bench.fill("other", 2)
    bench.log.create_topic("log.internal", TopicConfig(1, internal=True))
    assert numbers(consumer.poll()) == [0, 1]
    assert consumer.subscription() == {"log.a"}
    consumer.commit()
    bench.log.delete_topic("log.a")
    assert consumer.poll() == [] and consumer.assignment() == frozenset()
    bench.fill("log.a", 3)
    bench.fill("log.b", 1)
    assert sorted(numbers(consumer.poll())) == [0, 0, 1, 2]
    consumer.unsubscribe()
    assert bench.clients.groups.describe("g").state == "Empty"


def test_a_poll_that_waits_is_woken_by_records_and_by_close(bench: Bench) -> None:
    """And a consumer is used from one thread at a time."""
    bench.fill("t", 0)
    consumer = bench.consumer("t", group="g")
    bench.clients._seconds = consumer._seconds = time.monotonic
    found: list[list[penstock.RawRecord]] = []
    started = threading.Event()

    def read() -> None:
        started.set()
        found.append(consumer.poll(60_000))
        found.append(consumer.poll(60_000))

    thread = threading.Thread(target=read)
    thread.start()
    started.wait(30)
    while consumer.member_id is None:
        started.wait(0.001)
    with pytest.raises(ClientError, match="one thread at a time"):
        consumer.poll()
    bench.producer().send("t", value=b"7").result()
    while not found:
        started.wait(0.001)
    consumer.close()
    thread.join(30)
    assert not thread.is_alive()
    assert [numbers(records) for records in found][:1] == [[7]]
    assert bench.clients.groups.describe("g").members == {}


def test_groups_are_reset_from_outside(bench: Bench) -> None:
    """To the ends, an offset, a time, or by a number; within what there is; not while there are members."""
    bench.log.create_topic("t", TopicConfig(1))
    producer = bench.producer()
    producer.send_batch("t", pa.table({"value": [b"%d" % i for i in range(10)], "timestamp": list(range(0, 100, 10))}))
    producer.flush()
    bench.log.delete_before("t", 0, 2)
    groups, place = bench.clients.groups, ("t", 0)
    with pytest.raises(ClientError, match="name the topics"):
        groups.reset("g", to="earliest")
    assert groups.reset("g", ["t"], to_offset=5) == {place: 5}
    assert groups["g"].lag == 5
    assert groups.reset("g", shift_by=-2) == {place: 3}
    assert groups.reset("g", shift_by=-9) == {place: 2}
    assert groups.reset("g", to_timestamp=65) == {place: 7}
    assert groups.reset("g", to="latest", dry_run=True) == {place: 10}
    assert groups["g"].partitions[0].committed == 7
    with pytest.raises(ClientError, match="one of"):
        groups.reset("g", to="latest", shift_by=1)
    with bench.consumer("t", group="g") as consumer:
        assert [record.offset for record in consumer.poll()] == [7, 8, 9]
        for change in (lambda: groups.reset("g", to="earliest"), lambda: groups.delete("g")):
            with pytest.raises(ClientError, match="has 1 members"):
                change()
    groups.reset("g", to="earliest")
    with bench.consumer("t", group="g") as consumer:
        assert consumer.poll()[0].offset == 2
