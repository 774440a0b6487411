"""Producers: batches, numbers, fencing, transactions, bounded memory."""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow as pa
import pytest

from penstock.errors import (
    BufferExhaustedError,
    ClientError,
    CommitFailedError,
    OutOfOrderSequenceError,
    ProducerFencedError,
    StorageError,
)
from penstock.runtime.clients.clients import Clients
from penstock.runtime.clients.producer import ProducerOptions
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import TopicConfig
from penstock.tests.unit.runtime.clients.conftest import Bench

PEOPLE = pa.struct([("name", pa.string()), ("age", pa.int64())])


def values(bench: Bench, topic: str, partition: int = 0) -> list[object]:
    found: list[object] = bench.log.read(topic, partition, 0, rows_max=100_000, reset="earliest").values.to_pylist()
    return found


def test_what_is_sent_together_is_one_commit_and_each_is_told_its_place(bench: Bench) -> None:
    """Keys choose partitions as Kafka does, a partition may be asked for, and records without a key go round."""
    bench.log.create_topic("t", TopicConfig(3))
    producer = bench.producer()
    epoch = bench.log.epoch
    keyed = [producer.send("t", key=b"k%d" % i, value=b"v%d" % i, timestamp=i) for i in range(20)]
    free = [producer.send("t", value=b"f%d" % i) for i in range(6)]
    asked = producer.send("t", key=b"k0", value=b"x", partition=2, headers=[("h", b"1"), ("n", None)])
    assert not asked.done() and bench.log.epoch == epoch
    producer.flush()
    assert bench.log.epoch == epoch + 1
    chosen = bench.log.partitions_of(pa.array([b"k%d" % i for i in range(20)], pa.binary()), 3).tolist()
    assert [d.result().partition for d in keyed] == chosen
    assert [d.result().timestamp for d in keyed] == list(range(20))
    assert sorted(d.result().partition for d in free) == [0, 0, 1, 1, 2, 2]
    for delivery, value in [(d, b"v%d" % i) for i, d in enumerate(keyed)] + [(asked, b"x")]:
        at = delivery.result()
        assert values(bench, "t", at.partition)[at.offset] == value
    arrivals = {}
    for partition in range(3):
        found = bench.log.read("t", partition, 0, rows_max=100)
        arrivals.update(zip(found.arrivals.tolist(), found.values.to_pylist(), strict=True))
    order = [b"v%d" % i for i in range(20)] + [b"f%d" % i for i in range(6)] + [b"x"]
    assert [arrivals[a] for a in sorted(arrivals)] == order, "they arrive in the order in which they were sent"


def test_a_record_that_does_not_fit_fails_alone(bench: Bench) -> None:
    """The others of its batch are written."""
    bench.log.create_topic("people", TopicConfig(1, PEOPLE))
    producer = bench.producer()
    sent = [
        producer.send("people", value={"name": "a", "age": 1}),
        producer.send("people", value={"name": "b", "age": "old"}),
        producer.send("people", value={"nmae": "c"}),
        producer.send("people", value={"name": "d"}, timestamp=-1),
        producer.send("people", value=None, key=b"gone"),
    ]
    producer.flush()
    assert [d.exception() is None for d in sent] == [True, False, False, False, True]
    with pytest.raises(ClientError, match="holds values of age, name, not nmae"):
        sent[2].result()
    assert values(bench, "people") == [{"name": "a", "age": 1}, None]
    with pytest.raises(ClientError, match="there is no topic nothing"):
        producer.send("nothing", value=b"")
    with pytest.raises(ClientError, match="partitions 0 to 0, not 4"):
        producer.send("people", value=None, partition=4)


def test_batches_come_as_arrow_or_as_dicts(bench: Bench) -> None:
    """Offsets are told by partition."""
    bench.log.create_topic("people", TopicConfig(2, PEOPLE))
    producer = bench.producer()
    table = pa.table({"key": [b"a", b"b", b"c"], "name": ["x", "y", "z"], "timestamp": [5, None, 7]})
    told = producer.send_batch("people", table).result()
    assert sum(n for _, n in told.offsets.values()) == 3
    assert [v for p in (0, 1) for v in values(bench, "people", p)] != []
    dicts = [{"value": {"name": "q", "age": i}, "headers": [("h", b"")]} for i in range(4)]
    assert producer.send_batch("people", dicts, partition=1).result().offsets[1][1] == 4
    assert values(bench, "people", 1)[-1] == {"name": "q", "age": 3}
    with pytest.raises(ClientError, match="no place for the column 'shoe'"):
        producer.send_batch("people", pa.table({"shoe": [1]}))
    with pytest.raises(ClientError, match="has no 'vaule'"):
        producer.send_batch("people", [{"vaule": 1}])


def test_a_retry_after_a_crash_is_told_where_its_record_lies(tmp_path: Path) -> None:
    """Numbers count per partition; a repeated one writes nothing, one that leaves a gap is an error."""
    log = LocalLog.open(tmp_path / "d")
    log.create_topic("t", TopicConfig(2))
    clients = Clients(log, clock_ms=lambda: 0)
    producer = clients.producer("loader", ProducerOptions())
    for i in range(3):
        assert producer.send("t", value=b"%d" % i, partition=0, sequence=i).result().offset == i
    assert producer.send("t", value=b"other", partition=1).result().offset == 0
    log.close()  # the process dies: nothing of the producer is closed
    log = LocalLog.open(tmp_path / "d")
    again = Clients(log, clock_ms=lambda: 0).producer("loader", ProducerOptions(background=False))
    assert (again.last_sequence("t", 0), again.last_sequence("t", 1)) == (2, 0)
    retries = [again.send("t", value=b"%d" % i, partition=0, sequence=i) for i in range(5)]
    gap = again.send("t", value=b"9", partition=0, sequence=9)
    again.flush()
    assert [(r.result().offset, r.result().duplicate) for r in retries] == [
        (0, True),
        (1, True),
        (2, True),
        (3, False),
        (4, False),
    ]
    with pytest.raises(OutOfOrderSequenceError, match="number 9 is not the next one in 't', partition 0: 5 is"):
        gap.result()
    bulk = [{"value": b"3"}, {"value": b"4"}]
    assert again.send_batch("t", bulk, partition=0, sequence=3).result() == ("t", {0: (3, 2)}, True)
    with pytest.raises(OutOfOrderSequenceError):
        again.send_batch("t", bulk, partition=0, sequence=4).result()
    assert again.send_batch("t", bulk, partition=0, sequence=5).result() == ("t", {0: (5, 2)}, False)
    assert log.end_offset("t", 0) == 7
    for _ in range(6):
        again.send("t", value=b"", partition=0).result()
    assert again.send("t", value=b"0", partition=0, sequence=0).result().offset == -1, "too long ago to be known"
    log.close()


def test_a_newer_producer_fences_the_older(bench: Bench) -> None:
    """Its records and its transactions."""
    bench.log.create_topic("t", TopicConfig(1))
    old = bench.producer("p")
    old.send("t", value=b"1").result()
    new = bench.producer("p")
    with pytest.raises(ProducerFencedError):
        old.send("t", value=b"2").result()
    with pytest.raises(ProducerFencedError), old.transaction() as transaction:
        transaction.send("t", value=b"3")
    new.send("t", value=b"4").result()
    assert values(bench, "t") == [b"1", b"4"]


def test_a_transaction_is_seen_as_a_whole_or_not_at_all(bench: Bench) -> None:
    """Over topics, partitions and a group's offsets; what fails in it or is aborted was never there."""
    bench.fill("in", 10, 2)
    bench.log.create_topic("out", TopicConfig(2))
    consumer = bench.consumer("in", group="g")
    producer = bench.producer("copier")
    records = consumer.poll()
    assert len(records) == 10
    with pytest.raises(ZeroDivisionError), producer.transaction() as transaction:
        lost = transaction.send("out", value=b"lost")
        transaction.send_offsets(consumer)
        assert values(bench, "out") == []
        raise ZeroDivisionError
    with pytest.raises(ClientError, match="aborted"):
        lost.result()
    with pytest.raises(ClientError, match="cannot hold"), producer.transaction() as transaction:
        transaction.send("out", value=b"fine")
        transaction.send("out", value=12)
        transaction.send_offsets(consumer)
    assert (values(bench, "out"), values(bench, "out", 1), consumer.committed()) == ([], [], {})
    with producer.transaction() as transaction:
        sent = [transaction.send("out", value=r.value, partition=r.partition) for r in records]
        transaction.send_batch("out", [{"value": b"end"}], partition=1)
        transaction.send_offsets(consumer)
        with pytest.raises(ClientError, match="not committed yet"):
            sent[0].result()
    assert [s.result().offset for s in sent] == [r.offset for r in records]
    assert values(bench, "out", 1)[-1] == b"end"
    assert consumer.committed() == {("in", 0): 5, ("in", 1): 5}
    with pytest.raises(ClientError, match="is over"):
        transaction.send("out", value=b"late")


def test_a_transaction_for_partitions_that_moved_is_refused(bench: Bench) -> None:
    """Otherwise what two members read would be written twice."""
    bench.fill("in", 4, 2)
    bench.log.create_topic("out", TopicConfig(1))
    first, second = bench.consumer("in", group="g"), bench.consumer("in", group="g")
    producer = bench.producer()
    first.poll()
    transaction = producer.transaction()
    transaction.send("out", value=b"x")
    transaction.send_offsets(first)
    second.poll()
    first.poll()
    with pytest.raises(CommitFailedError, match="does not own"):
        transaction.commit()
    assert values(bench, "out") == [] and first.committed() == {}


def test_a_full_buffer_blocks_and_then_says_so(bench: Bench) -> None:
    """While the log cannot take more, at most buffer_memory waits."""
    bench.log.create_topic("t", TopicConfig(1))
    entered, leave = threading.Event(), threading.Event()

    def admit(topics: object) -> None:
        entered.set()
        leave.wait(30)

    clients = Clients(bench.log, clock_ms=lambda: 0, admit=admit)
    producer = clients.producer(None, ProducerOptions(buffer_memory=5_000, max_block_ms=50))
    deliveries = [producer.send("t", value=b"first")]
    assert entered.wait(30)
    with pytest.raises(BufferExhaustedError, match="was full for 50 ms"):
        for _ in range(100):
            deliveries.append(producer.send("t", value=b"x" * 1000))
    with pytest.raises(ClientError, match="larger than the buffer"):
        producer.send("t", value=b"x" * 6000)
    leave.set()
    producer.close()
    assert len(deliveries) < 6
    assert [d.result().offset for d in deliveries] == list(range(len(deliveries)))
    with pytest.raises(ClientError, match="closed"):
        producer.send("t", value=b"late")


def test_a_failing_disk_is_told_to_each_sender_and_the_numbers_go_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that failed did not use up its numbers."""
    bench.log.create_topic("t", TopicConfig(1))
    producer = bench.producer("p")
    producer.send("t", value=b"0").result()
    with monkeypatch.context() as patch:

        def full(*arguments: object) -> None:
            raise StorageError("the disk is full")

        patch.setattr(bench.log.committer, "commit", full)
        failed = [producer.send("t", value=b"a"), producer.send("t", value=b"b")]
        with pytest.raises(StorageError, match="full"):
            producer.flush()
    assert [str(d.exception()) for d in failed] == ["the disk is full"] * 2
    assert producer.send("t", value=b"1", sequence=1).result().offset == 1


def test_many_threads_with_one_producer(bench: Bench) -> None:
    """Every record is written once, and each thread's in its order."""
    bench.log.create_topic("t", TopicConfig(3))
    producer = bench.producer("many", background=True, linger_ms=1)
    told: list[list[tuple[int, int]]] = [[] for _ in range(8)]

    def work(number: int) -> None:
        for i in range(40):
            at = producer.send("t", key=b"%d" % number, value=b"%d:%d" % (number, i)).result(30)
            told[number].append((at.partition, at.offset))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    producer.close()
    found = {(p, o): v for p in range(3) for o, v in enumerate(values(bench, "t", p))}
    assert len(found) == 320
    for number, places in enumerate(told):
        assert [found[place] for place in places] == [b"%d:%d" % (number, i) for i in range(40)]
        assert places == sorted(places)
