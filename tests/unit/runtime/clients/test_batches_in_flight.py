"""Batches that are begun while the disk works for those before them."""

from __future__ import annotations

import threading
from typing import Any

import pyarrow as pa
import pytest

from penstock.errors import ClientError, StorageError
from penstock.runtime.clients.batch_writer import Delivery
from penstock.runtime.clients.clients import Clients
from penstock.runtime.clients.producer import Producer, ProducerOptions
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import TopicConfig
from penstock.storage.log.settings import LogSettings
from penstock.tests.support.faulty_files import FaultyFiles, StoppedDisk

PATIENCE_S = 30
ROWS = 100


def bench(files: FaultyFiles, **options: Any) -> tuple[LocalLog, Producer]:
    """Batches of one table each."""
    log = LocalLog(files, LogSettings(background=False, embedded_bytes_max=0, in_flight_bytes_min=0, sync_threads=1))
    log.create_topic("t", TopicConfig())
    clients = Clients(log, clock_ms=lambda: 0)
    return log, clients.producer(options.pop("id", None), ProducerOptions(batch_bytes=1, **options))


def table(value: bytes) -> pa.Table:
    return pa.table({"value": pa.array([value] * ROWS)})


def values(log: LocalLog) -> list[bytes]:
    found: list[bytes] = log.read("t", 0, 0, rows_max=100_000).values.to_pylist()
    assert len(found) % ROWS == 0
    return found[::ROWS]


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("producer_id", [None, "p"])
def test_many_batches_are_written_in_their_order(background: bool, producer_id: str | None) -> None:
    """Each has a commit of its own and is told where it is; with a slow sender's result in between."""
    log, producer = bench(FaultyFiles(0), id=producer_id, background=background)
    epoch = log.epoch
    sent = []
    for i in range(40):
        sent.append(producer.send_batch("t", table(b"%02d" % i)))
        if i % 10 == 5:
            assert sent[-1].result().offsets == {0: (i * ROWS, ROWS)}
    producer.flush()
    assert all(d.done() for d in sent)
    assert values(log) == [b"%02d" % i for i in range(40)]
    assert log.epoch == epoch + 40
    producer.close()


def test_at_most_so_many_are_on_their_way() -> None:
    """While the disk works for the first, others are begun, up to the bound; then all are written."""
    files = StoppedDisk()
    log, producer = bench(files, max_in_flight=3)
    files.go.clear()
    sent = [producer.send_batch("t", table(b"%d" % i)) for i in range(6)]
    begun = threading.Event()

    def wait_for_three() -> None:
        while len(log.committer._in_flight) < 3:
            pass
        begun.set()

    threading.Thread(target=wait_for_three, daemon=True).start()
    assert begun.wait(PATIENCE_S)
    assert not any(d.done() for d in sent)
    assert len(producer._accumulator._in_flight) <= 4  # the last of them waits for its turn
    files.go.set()
    producer.close()
    assert [d.result().offsets[0][0] for d in sent] == [i * ROWS for i in range(6)]


def test_a_full_disk_is_told_to_all_that_were_on_their_way() -> None:
    """Nothing of theirs is written, and what is sent afterwards is."""
    files = StoppedDisk()
    log, producer = bench(files)
    files.go.clear()
    sent = [producer.send_batch("t", table(b"%d" % i)) for i in range(2)]
    while len(log.committer._in_flight) < 2:
        pass
    files.full_chance = 1.0
    files.go.set()
    assert all(isinstance(d.exception(PATIENCE_S), StorageError) for d in sent)
    files.full_chance = 0.0
    assert producer.send_batch("t", table(b"x")).result().offsets == {0: (0, ROWS)}
    producer.close()
    assert values(log) == [b"x"]


def test_a_callback_may_send_flush_and_wait() -> None:
    """It is called by the thread that tells of a batch, which then has to see to the others itself."""
    log, producer = bench(FaultyFiles(0), buffer_memory=15_000)
    answers: list[Any] = []
    over = threading.Event()

    def called(delivery: Delivery[Any]) -> None:
        answers.append(producer.send_batch("t", table(b"answer")).result())
        producer.send_batch("t", table(b"behind"))
        producer.flush()
        over.set()

    first = producer.send_batch("t", table(b"0"))
    first.add_done_callback(called)
    for i in range(1, 12):
        producer.send_batch("t", table(b"%d" % i))
    assert over.wait(PATIENCE_S)
    producer.close()
    assert len(answers) == 1
    found = values(log)
    assert [v for v in found if v.isdigit()] == [b"%d" % i for i in range(12)]
    assert found.count(b"answer") == found.count(b"behind") == 1


def test_a_transaction_of_a_producer_with_an_id_waits_for_its_batches() -> None:
    """It numbers its records behind theirs; and a callback of its own may send."""
    files = StoppedDisk()
    log, producer = bench(files, id="p")
    files.go.clear()
    first = producer.send_batch("t", table(b"first"))
    assert files.waits.wait(PATIENCE_S)
    transaction = producer.transaction()
    later: list[Any] = []
    transaction.send_batch("t", table(b"second")).add_done_callback(
        lambda delivery: later.append(producer.send_batch("t", table(b"third")).result())
    )
    threading.Timer(0.05, files.go.set).start()
    transaction.commit()
    assert first.result().offsets == {0: (0, ROWS)}
    assert later[0].offsets == {0: (2 * ROWS, ROWS)}
    assert producer.last_sequence("t") == 3 * ROWS - 1
    producer.close()
    assert values(log) == [b"first", b"second", b"third"]


def test_the_bound_is_at_least_one() -> None:
    with pytest.raises(ClientError, match="max_in_flight must be at least 1"):
        bench(FaultyFiles(0), max_in_flight=0)
