"""What producers are told, and what is written, where something goes wrong beside them: none twice, none in part."""

from __future__ import annotations

import asyncio
import gzip
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import crc32c
import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("kio")

import penstock
from penstock.engine.database import Database
from penstock.errors import StorageError
from penstock.listener import broker as broker_module
from penstock.listener import kafka_listener, requests_data, transactions  # noqa: F401 (its modules have the handlers)
from penstock.listener.appender import Append, Gathering
from penstock.listener.broker import HANDLERS, Broker, BrokerOptions, Client
from penstock.listener.log_access import LogAccess
from penstock.listener.protocol import ErrorCode, Request
from penstock.listener.record_columns import RecordColumns, encode
from penstock.listener.security import Security
from penstock.listener.transactions import Refused
from penstock.storage.log.protocol import Records

TIMEOUT_S = 60
MINUTE_MS = 60_000
Play = Callable[[Broker], Awaitable[None]]


@pytest.fixture
def db() -> Iterator[Database]:
    with penstock.connect(None, threads=0) as database:
        for name in ("a", "b"):
            database.create_topic(name)
        yield database


def played(db: Database, play: Play, security: Security | None = None) -> None:
    """Let a play have a broker."""

    async def run() -> None:
        broker = Broker(LogAccess(db), BrokerOptions(), security or Security(), "127.0.0.1", 9)
        try:
            await play(broker)
        finally:
            broker.close()

    asyncio.run(run())


def batch(value: str, producer: int = -1, epoch: int = -1, sequence: int = -1, transactional: bool = False) -> bytes:
    zeros = np.zeros(1, np.int64)
    body = encode(RecordColumns(zeros, zeros, None, pa.array([value.encode()], pa.binary()), None))
    rest = struct.pack(">hiqqqhii", 0x10 if transactional else 0, 0, 1, 1, producer, epoch, sequence, 1) + body
    return struct.pack(">qiibI", 0, len(rest) + 9, 0, 2, crc32c.crc32c(rest)) + rest


async def produced(broker: Broker, topic: str, data: bytes, transactional_id: str | None = None, acks: int = -1) -> Any:
    part = SimpleNamespace(index=0, records=data)
    body = SimpleNamespace(
        topic_data=[SimpleNamespace(name=topic, partition_data=[part])], transactional_id=transactional_id, acks=acks
    )
    found = await HANDLERS["produce"](broker, Client("here"), Request("produce", 9, 1, "c", body))
    return None if found is None else found["responses"][0]["partition_responses"][0]


def values(db: Database, topic: str) -> list[bytes]:
    return list(db.log.read(topic, 0, 0, rows_max=100).values.to_pylist())


async def begun(broker: Broker, *topics: str) -> tuple[int, int]:
    """A transaction ``x`` with partition 0 of topics: producer id and epoch."""
    made = await broker.transactions.init("x", MINUTE_MS, -1, -1)
    await broker.transactions.add_places("x", made.producer_id, made.epoch, [(topic, 0) for topic in topics])
    return made.producer_id, made.epoch


def test_a_batch_of_a_transaction_counts_once(db: Database) -> None:
    """Though the commit with which it was gathered fails, and it is gathered again."""

    async def play(broker: Broker) -> None:
        producer, epoch = await begun(broker, "a")
        go_on, taken = threading.Event(), threading.Event()

        def wait(gathering: Gathering) -> None:
            taken.set()
            go_on.wait(TIMEOUT_S)

        broker.appender.submit(Append(wait))
        assert await broker.blocking(taken.wait, TIMEOUT_S)

        def fails(gathering: Gathering) -> None:
            gathering.append("a", 0, Records(None, pa.array([b"other"], pa.binary()), np.zeros(1, np.int64)))
            raise StorageError("its topic was just deleted")

        ours = asyncio.ensure_future(produced(broker, "a", batch("once", producer, epoch, 0, True), "x"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        other = broker.appender.submit(Append(fails))
        go_on.set()
        assert (await ours)["error_code"] == ErrorCode.none
        with pytest.raises(StorageError):
            await asyncio.wrap_future(other)
        await broker.transactions.end("x", producer, epoch, True)
        assert values(db, "a") == [b"once"]

    played(db, play)


def zipped(data: bytes) -> bytes:
    """A batch, compressed by gzip."""
    body = gzip.compress(data[61:])
    rest = struct.pack(">h", struct.unpack_from(">h", data, 21)[0] | 1) + data[23:61] + body
    return struct.pack(">qiibI", 0, len(rest) + 9, 0, 2, crc32c.crc32c(rest)) + rest


def test_batches_of_one_request_have_a_bound_together(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many partitions it names, a request does not become gigabytes; what fits of it is written."""
    monkeypatch.setattr(requests_data, "KAFKA_UNPACKED_BYTES_MAX", 1_000_000)
    bomb = zipped(batch("x" * 300_000))
    assert len(bomb) < 1000

    async def play(broker: Broker) -> None:
        for name in range(9):
            db.create_topic(f"t{name}")
        parts = [SimpleNamespace(name=f"t{n}", partition_data=[SimpleNamespace(index=0, records=bomb)]) for n in range(9)]
        body = SimpleNamespace(topic_data=parts, transactional_id=None, acks=-1)
        found = await HANDLERS["produce"](broker, Client("here"), Request("produce", 9, 1, "c", body))
        assert found is not None
        codes = [r["partition_responses"][0]["error_code"] for r in found["responses"]]
        assert codes == [ErrorCode.none] * 3 + [ErrorCode.message_too_large] * 6
        assert [len(values(db, f"t{n}")) for n in range(9)] == [1] * 3 + [0] * 6
        assert (await produced(broker, "a", bomb))["error_code"] == ErrorCode.none  # the next request has room again

    played(db, play)


def test_a_transaction_holds_what_its_batches_become(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound of open transactions is not about compressed bytes."""
    monkeypatch.setattr(transactions, "KAFKA_TRANSACTION_BYTES_MAX", 1_000_000)

    async def play(broker: Broker) -> None:
        producer, epoch = await begun(broker, "a")
        codes = []
        for number in range(5):
            data = zipped(batch("x" * 300_000, producer, epoch, number, True))
            codes.append((await produced(broker, "a", data, "x"))["error_code"])
        assert codes == [ErrorCode.none] * 3 + [ErrorCode.message_too_large] * 2

    played(db, play)


def test_requests_that_wait_have_a_bound_together(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """While queries are far behind, no more of them are unpacked; they are written when there is room, in their order."""
    monkeypatch.setattr(broker_module, "KAFKA_WAITING_BYTES_MAX", 500_000)
    unpacked = []
    plain = requests_data.decode_batch

    def counted(*arguments: Any) -> Any:
        unpacked.append(1)
        return plain(*arguments)

    monkeypatch.setattr(requests_data, "decode_batch", counted)

    async def play(broker: Broker) -> None:
        behind = True
        monkeypatch.setattr(type(broker.access), "is_behind", lambda self, topics: behind)
        texts = [f"{n}" + "x" * 300_000 for n in range(6)]
        waiting = [asyncio.ensure_future(produced(broker, "a", zipped(batch(text)))) for text in texts]
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(unpacked) == 2
        assert not any(w.done() for w in waiting)
        behind = False
        assert [(await w)["error_code"] for w in waiting] == [ErrorCode.none] * 6
        assert sorted(values(db, "a")) == [text.encode() for text in texts]

    played(db, play)


def test_a_batch_that_could_not_be_kept_is_taken_again(db: Database) -> None:
    """With the same number, and once."""

    async def play(broker: Broker) -> None:
        producer, epoch = await begun(broker, "a")
        with mock.patch.object(broker.transactions, "gather", side_effect=StorageError("no")):
            first = await produced(broker, "a", batch("once", producer, epoch, 0, True), "x")
        assert first["error_code"] == ErrorCode.kafka_storage_error
        assert (await produced(broker, "a", batch("once", producer, epoch, 0, True), "x"))["error_code"] == ErrorCode.none
        await broker.transactions.end("x", producer, epoch, True)
        assert values(db, "a") == [b"once"]

    played(db, play)


def test_a_transaction_outlives_a_deleted_topic(db: Database) -> None:
    """What went to others is committed once; what went to it is gone with it, also if there is a new one of its name."""

    async def play(broker: Broker) -> None:
        producer, epoch = await begun(broker, "a", "b")
        for topic in ("a", "b"):
            assert (await produced(broker, topic, batch("v", producer, epoch, 0, True), "x"))["error_code"] == ErrorCode.none
        db.delete_topic("b")
        db.create_topic("b")
        await broker.transactions.end("x", producer, epoch, True)
        assert (values(db, "a"), values(db, "b")) == ([b"v"], [])
        producer, epoch = await begun(broker, "b", "a")
        for topic in ("b", "a"):
            assert (await produced(broker, topic, batch("w", producer, epoch, 0, True), "x"))["error_code"] == ErrorCode.none
        db.delete_topic("b")
        await broker.transactions.end("x", producer, epoch, True)
        assert values(db, "a") == [b"v", b"w"]

    played(db, play)


def test_what_comes_after_the_end_is_refused(db: Database) -> None:
    """A batch that was let in before its transaction's end, and written after it, is not said to be kept."""

    async def play(broker: Broker) -> None:
        producer, epoch = await begun(broker, "a")
        client = Client("here")
        part = SimpleNamespace(index=0, records=batch("late", producer, epoch, 0, True))
        body = SimpleNamespace(topic_data=[SimpleNamespace(name="a", partition_data=[part])], transactional_id="x", acks=-1)
        await client.order.acquire()  # as if a query were far behind
        late = asyncio.ensure_future(HANDLERS["produce"](broker, client, Request("produce", 9, 1, "c", body)))
        await asyncio.sleep(0)
        await broker.transactions.end("x", producer, epoch, True)
        client.order.release()
        answer = await late
        assert answer is not None
        assert answer["responses"][0]["partition_responses"][0]["error_code"] == ErrorCode.invalid_txn_state
        assert values(db, "a") == []

    played(db, play)


def test_an_epoch_may_be_asked_for_again(db: Database) -> None:
    """Whose answer was lost gets the same; a zombie, and whoever has begun something since, does not."""

    async def play(broker: Broker) -> None:
        transactions = broker.transactions
        first = await transactions.init("x", MINUTE_MS, -1, -1)
        given = (first.producer_id, first.epoch)
        second = await transactions.init("x", MINUTE_MS, *given)
        again = await transactions.init("x", MINUTE_MS, *given)
        assert (again.producer_id, again.epoch) == (second.producer_id, second.epoch) == (given[0], given[1] + 1)
        await transactions.add_places("x", again.producer_id, again.epoch, [("a", 0)])
        with pytest.raises(Refused) as refused:
            await transactions.init("x", MINUTE_MS, *given)
        assert refused.value.code == ErrorCode.producer_fenced
        other = await transactions.init("x", MINUTE_MS, -1, -1)  # another instance
        assert other.epoch == again.epoch + 1
        with pytest.raises(Refused):
            await transactions.init("x", MINUTE_MS, again.producer_id, again.epoch)

    played(db, play)

    async def after_a_restart(broker: Broker) -> None:
        known = await broker.transactions.init("x", MINUTE_MS, -1, -1)
        await broker.transactions.init("x", MINUTE_MS, known.producer_id, known.epoch)

    async def and_one_more(broker: Broker) -> None:
        (seen,) = broker.transactions.all()
        again = await broker.transactions.init("x", MINUTE_MS, seen.producer_id, seen.epoch - 1)
        assert again.epoch == seen.epoch

    played(db, after_a_restart)
    played(db, and_one_more)


def test_what_was_lost_with_the_process_can_be_aborted(db: Database) -> None:
    """Clients abort and go on after this error, and give up after others; a commit is not taken for done."""

    async def play(broker: Broker) -> None:
        await begun(broker, "a")

    async def restarted(broker: Broker) -> None:
        (seen,) = broker.transactions.all()
        for lost in (
            broker.transactions.add_places("x", seen.producer_id, seen.epoch, [("b", 0)]),
            broker.transactions.add_group("x", seen.producer_id, seen.epoch, "g"),
            broker.transactions.end("x", seen.producer_id, seen.epoch, True),
        ):
            with pytest.raises(Refused) as refused:
                await lost
            assert refused.value.code == ErrorCode.invalid_producer_id_mapping
        await broker.transactions.init("x", MINUTE_MS, seen.producer_id, seen.epoch)

    played(db, play)
    played(db, restarted)


def test_a_begin_that_is_not_durable_is_none(db: Database) -> None:
    """Otherwise a crash could make an older commit look like that of the new transaction."""

    async def play(broker: Broker) -> None:
        producer, epoch = await begun(broker, "a")
        await broker.transactions.end("x", producer, epoch, True)
        full = mock.patch.object(broker.state, "append", side_effect=StorageError("the disk is full"))
        with full, pytest.raises(StorageError):
            await broker.transactions.add_places("x", producer, epoch, [("a", 0)])
        assert broker.transactions.all()[0].state == "CompleteCommit"
        answer = await produced(broker, "a", batch("v", producer, epoch, 0, True), "x")
        assert answer["error_code"] == ErrorCode.invalid_txn_state
        await broker.transactions.add_places("x", producer, epoch, [("a", 0)])
        assert broker.transactions.all()[0].state == "Ongoing"

    played(db, play)


def test_a_partition_has_one_batch_in_a_request(db: Database) -> None:
    """Of two, of which the first was written before, the second would be passed over and said to be written."""

    async def play(broker: Broker) -> None:
        assert (await produced(broker, "a", batch("1", 7, 0, 0)))["error_code"] == ErrorCode.none
        answer = await produced(broker, "a", batch("1", 7, 0, 0) + batch("2", 7, 0, 1))
        assert answer["error_code"] == ErrorCode.invalid_record
        assert values(db, "a") == [b"1"]

    played(db, play)


def test_who_wants_no_answer_is_cut_off(db: Database) -> None:
    """Or it would write to a topic that is gone for ever."""

    async def play(broker: Broker) -> None:
        assert await produced(broker, "a", batch("1"), acks=0) is None
        with pytest.raises(Refused, match="gone"):
            await produced(broker, "gone", batch("1"), acks=0)

    played(db, play)


def test_ends_of_epochs_are_told_to_readers(db: Database) -> None:
    """Not of topics that a user may not read."""
    security = Security.of({"shop": ("secret", "read", ["a"])})

    async def play(broker: Broker) -> None:
        assert security.check is not None
        client = Client("here", principal=security.check("shop", "secret"))
        asked = [SimpleNamespace(topic=name, partitions=[SimpleNamespace(partition=0)]) for name in ("a", "b")]
        request = Request("offset_for_leader_epoch", 3, 1, "c", SimpleNamespace(topics=asked))
        answer = await HANDLERS["offset_for_leader_epoch"](broker, client, request)
        assert answer is not None
        found = {t["topic"]: (t["partitions"][0]["error_code"], t["partitions"][0]["end_offset"]) for t in answer["topics"]}
        assert found == {"a": (ErrorCode.none, 0), "b": (ErrorCode.topic_authorization_failed, -1)}

    played(db, play, security)


@pytest.mark.parametrize(
    ("host", "advertised", "told"),
    [
        ("127.0.0.1", None, "127.0.0.1"),
        ("0.0.0.0", None, "192.0.2.7"),
        ("::", None, "192.0.2.7"),
        ("0.0.0.0", "kafka.example.org", "kafka.example.org"),
    ],
)
def test_clients_are_told_an_address_that_they_reach(db: Database, host: str, advertised: str | None, told: str) -> None:
    """Not that of all addresses, where a client on another machine would find itself."""

    async def run() -> None:
        broker = Broker(LogAccess(db), BrokerOptions(advertised), Security(), host, 9092)
        client = Client("198.51.100.4", reached="192.0.2.7")
        try:
            for api, version, body in (
                ("metadata", 9, SimpleNamespace(topics=[])),
                ("describe_cluster", 0, SimpleNamespace()),
                ("find_coordinator", 3, SimpleNamespace(key="g", key_type=0)),
            ):
                answer = await HANDLERS[api](broker, client, Request(api, version, 1, "c", body))
                assert answer is not None
                place = answer["brokers"][0] if "brokers" in answer else answer
                assert (place["host"], place["port"]) == (told, 9092)
        finally:
            broker.close()

    asyncio.run(run())
