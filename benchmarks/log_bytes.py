"""What the log does with plain records: appends, scans, many callers, opening.

A record is 100 bytes of value, random, so nothing is compressed away, without a key or with one of 10 bytes; a row's share
of offsets and timestamps comes on top.  Beside each figure stands the same work without Penstock: the bytes written
and synced, the same files mapped and summed up.
"""

from __future__ import annotations

import mmap
import os
import statistics
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from crc32c import crc32c

import penstock
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings

from .measure import Measurement, Options, rate, timed, workload

VALUE_BYTES = 100
BATCH_ROWS = 10_000
CALLERS = 64
IN_FLIGHT = 5
"""Kafka's ``max.in.flight.requests.per.connection``, unless it is set."""


def plain(rows: int, keys: bool, value_bytes: int = VALUE_BYTES) -> Records:
    """Records of random bytes."""
    data = np.random.default_rng(0).bytes(rows * value_bytes)
    ends = np.arange(rows + 1, dtype=np.int32) * value_bytes
    values = pa.Array.from_buffers(pa.binary(), rows, [None, pa.py_buffer(ends), pa.py_buffer(data)])
    names = pa.array([b"%010d" % i for i in range(rows)], pa.binary()) if keys else None
    return Records(names, values, np.arange(rows))


def commit(log: LocalLog, topic: str, records: Records, durable: bool) -> None:
    """One transaction."""
    transaction = log.transaction()
    transaction.append(topic, records, 0)
    transaction.commit(durable)


def commit_ahead(log: LocalLog, topic: str, records: Records, times: int) -> None:
    """Several, each durable, with at most `IN_FLIGHT` on their way: the next one is made while the disk works."""
    with ThreadPoolExecutor(1) as waiting:
        on_their_way: deque[Future[Any]] = deque()
        for _ in range(times):
            if len(on_their_way) == IN_FLIGHT:
                on_their_way.popleft().result()
            transaction = log.transaction()
            transaction.append(topic, records, 0)
            on_their_way.append(waiting.submit(transaction.begin_commit().result))
        for begun in on_their_way:
            begun.result()


def best(times: int, work: Callable[[], Any]) -> float:
    """Seconds of the quickest of several runs."""
    return min(timed(work) for _ in range(times))


@workload
def log_bytes(options: Options) -> Iterator[Measurement]:
    """Appends of 100-byte records in batches of 10,000, and scans of them, beside the raw disk and memory.

    Files are removed when they have been measured: on a virtual machine memory that nobody has touched yet takes 1.6 ms a
    MiB to be had, more than the disk takes for it.
    """
    batches = max(1, options.rows // BATCH_ROWS)
    rows = batches * BATCH_ROWS
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory:
        path = Path(directory)
        raw = _raw_append(path / "raw", batches)
        yield Measurement("log: the same bytes, write and fdatasync per batch", rate(rows, raw), "M rows/s")
        log = LocalLog.open(path / "log", LogSettings(maintenance_interval_s=3600))
        for keys in (False, True):
            records, kind = plain(BATCH_ROWS, keys), "with keys" if keys else "no keys"
            works: tuple[tuple[str, float | None, Callable[[str], Any]], ...] = (
                ("durable, each waited for", None, lambda t: [commit(log, t, records, True) for _ in range(batches)]),  # noqa: B023
                (f"durable, {IN_FLIGHT} in flight", 3.0, lambda t: commit_ahead(log, t, records, batches)),  # noqa: B023
                ("relaxed", 8.0, lambda t: [commit(log, t, records, False) for _ in range(batches)]),  # noqa: B023
            )
            for name, target, work in works:
                log.create_topic(name, TopicConfig())
                seconds = timed(lambda: work(name))  # noqa: B023
                yield Measurement(f"log: append, {name}, {kind}", rate(rows, seconds), "M rows/s", target)
                log.flush()
                if name != "relaxed":
                    log.delete_topic(name)
            scanned = best(3, lambda: sum(len(r) for r in log.scan("relaxed", 0, 0)))
            yield Measurement(f"log: scan, checksums verified, {kind}", rate(rows, scanned), "M rows/s", 30.0)
            if not keys:
                summed = best(3, lambda: _sum_files(path / "log", "relaxed"))
            log.delete_topic("relaxed")
        yield Measurement("log: the same files, mapped and crc32c", rate(rows, summed), "M rows/s")
        log.close()
        with penstock.connect(path / "db") as db:
            db.create_topic("t", partitions=1)
            records = plain(BATCH_ROWS, False)
            table = pa.table({"value": records.values, "timestamp": pa.array(records.timestamps)})
            with db.producer() as producer:
                seconds = timed(lambda: _sent(producer, table, batches))
            yield Measurement("log: db.producer().send_batch, durable, no keys", rate(rows, seconds), "M rows/s")


def _sent(producer: penstock.Producer, table: pa.Table, batches: int) -> None:
    for _ in range(batches):
        producer.send_batch("t", table, partition=0)
    producer.flush()


def _raw_append(path: Path, batches: int) -> float:
    data = np.random.default_rng(0).bytes(BATCH_ROWS * (VALUE_BYTES + 4))

    def work() -> None:
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
        for _ in range(batches):
            os.write(descriptor, data)
            os.fdatasync(descriptor)
        os.close(descriptor)

    seconds = timed(work)
    path.unlink()
    return seconds


def _sum_files(root: Path, topic: str) -> None:
    for file in root.glob(f"log/topics/{topic}.*/0/*.segment"):
        with (
            open(file, "rb") as opened,
            mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as data,
        ):
            for start in range(0, len(data), 1 << 20):
                crc32c(data[start : start + (1 << 20)])


def _from_callers(each: int, work: Callable[[], Any]) -> float:
    """Thousand calls a second of ``work`` from 64 threads."""
    threads = [threading.Thread(target=lambda: [work() for _ in range(each)]) for _ in range(CALLERS)]

    def together() -> None:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return CALLERS * each / timed(together) / 1e3


@workload
def log_callers(options: Options) -> Iterator[Measurement]:
    """Durable commits of one record from 64 callers at once: the log's own, and the same through the database."""
    each = max(1, options.rows // 40_000)
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory, penstock.connect(directory) as db:
        db.execute("CREATE STREAM rows (id BIGINT KEY, text STRING) WITH (KAFKA_TOPIC='rows', PARTITIONS=1);")
        log = LocalLog.open(Path(directory) / "beside", LogSettings(maintenance_interval_s=3600))
        log.create_topic("one", TopicConfig())
        record, row = plain(1, True), {"ID": 1, "TEXT": "x" * VALUE_BYTES}
        value = b"x" * VALUE_BYTES
        db.execute("CREATE STREAM raw (v BYTES) WITH (KAFKA_TOPIC='raw', PARTITIONS=1, VALUE_FORMAT='KAFKA');")
        works: tuple[tuple[str, Callable[[], Any]], ...] = (
            ("the log", lambda: commit(log, "one", record, True)),
            ("db.produce", lambda: db.produce("raw", value=value)),
            ("db.insert", lambda: db.insert("rows", [row])),
        )
        for name, work in works:
            work()
            found = statistics.median(_from_callers(each, work) for _ in range(3))
            yield Measurement(f"log: durable records of 64 callers, {name}", found, "k/s", 5.0, "fsync")
        log.close()


@workload
def log_reopen(options: Options) -> Iterator[Measurement]:
    """Opening a directory with 50 times as many records as ``--rows``: 100 M by default.

    Values are of 16 bytes and segments of 16 MiB: as many files as 100-byte records make in segments of 64 MiB and a bit
    more, in a quarter of the space.
    """
    frames = max(1, options.rows * 50 // 50_000)
    records = plain(50_000, False, 16)
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory:
        log = LocalLog.open(directory, LogSettings(segment_bytes_max=16 << 20, maintenance_interval_s=3600))
        log.create_topic("many", TopicConfig())
        for number in range(frames):
            times = np.arange(number * 50_000, (number + 1) * 50_000)
            commit(log, "many", Records(None, records.values, times), durable=False)
        log.close()
        os.sync()
        rows = frames * 50_000
        opened: list[float] = []
        found: list[float] = []
        for _ in range(5):
            databases: list[penstock.Database] = []
            opened.append(timed(lambda: databases.append(penstock.connect(directory))) * 1e3)  # noqa: B023
            found.append(timed(lambda: _first_reads(databases[0], rows)) * 1e3)  # noqa: B023
            databases[0].close()
        yield Measurement(f"log: open {rows / 1e6:.0f} M records", statistics.median(opened), "ms", 2000.0, "fsync")
        yield Measurement("log: then the first reads by offset and by time", statistics.median(found), "ms", None, "fsync")


def _first_reads(db: penstock.Database, rows: int) -> None:
    log = db._engine.log
    middle = rows // 2 + 17
    assert log.offset_for_time("many", 0, middle) == middle
    assert log.read("many", 0, middle - 5, rows_max=1).offsets.tolist() == [middle - 5]
