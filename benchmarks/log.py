"""How fast the log is on its own: commits, appends, scans, opening.

Latencies are over all commits, rows a second over the whole run, which takes about ten seconds whatever the options say.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings

from .measure import Measurement, Options, Yardstick, percentile, rate, timed, workload

ORDER = pa.struct([("id", pa.int64()), ("customer", pa.string()), ("amount", pa.float64())])


def orders(n: int) -> Records:
    """Typed records with keys."""
    ids = np.arange(n)
    customers = pa.array([f"customer {i % 1000}" for i in range(n)])
    values = pa.StructArray.from_arrays([pa.array(ids), customers, pa.array(ids * 0.5)], fields=list(ORDER))
    return Records(customers.cast(pa.binary()), values, ids)


def commit(log: LocalLog, records: Records, partition: int | None = 0, durable: bool = True, topic: str = "orders") -> None:
    """One transaction."""
    transaction = log.transaction()
    transaction.append(topic, records, partition)
    transaction.commit(durable)


def latencies(name: str, work: Callable[[], Any], times: int, yardstick: Yardstick) -> Iterator[Measurement]:
    """p50 and p99 of a piece of work."""
    taken = [timed(work) * 1e3 for _ in range(times)]
    yield Measurement(f"log: {name}, p50", percentile(taken, 0.5), "ms", yardstick=yardstick)
    yield Measurement(f"log: {name}, p99", percentile(taken, 0.99), "ms", yardstick=yardstick)


def speed(name: str, rows: int, work: Callable[[], Any]) -> Measurement:
    """Rows a second of a piece of work."""
    return Measurement(f"log: {name}", rate(rows, timed(work)), "M rows/s")


def repeated(times: int, work: Callable[[], Any]) -> None:
    for _ in range(times):
        work()


def scan(log: LocalLog, topic: str, fields: list[str] | None = None, rows_max: int = 65_536) -> int:
    """Read a partition from its start to its end."""
    offset = rows = 0
    while len(read := log.read(topic, 0, offset, rows_max=rows_max, fields=fields)):
        offset = read.next_offset
        rows += len(read)
    return rows


def grouped(log: LocalLog, record: Records, threads: int, each: int) -> None:
    """Durable one-record commits from several threads."""

    def work() -> None:
        for _ in range(each):
            commit(log, record)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


@workload
def log(options: Options) -> Iterator[Measurement]:
    """Commits, appends and scans of a log in a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory:
        path = Path(directory) / "log"
        yield from _measure(path)
        start = time.perf_counter()
        opened = LocalLog.open(path)
        yield Measurement("log: open", (time.perf_counter() - start) * 1e3, "ms", yardstick="fsync")
        opened.close()


def _measure(path: Path) -> Iterator[Measurement]:
    log = LocalLog.open(path, LogSettings(maintenance_interval_s=3600))
    for topic in ("orders", "large", "split", "small"):
        log.create_topic(topic, TopicConfig(4 if topic == "split" else 1, ORDER))
    one, many = orders(1), orders(10_000)
    yield from latencies("durable commit of 1 record", lambda: commit(log, one), 1000, "fsync")
    yield speed("durable commits of 1 record, 8 threads", 8 * 200, lambda: grouped(log, one, 8, 200))
    yield from latencies("durable commit of 10,000 records", lambda: commit(log, many), 100, "fsync")
    yield from latencies(
        "relaxed commit of 1 record", lambda: commit(log, one, durable=False, topic="small"), 10_000, "duckdb"
    )
    log.flush()
    yield speed(
        "append, frames of 10,000, each durable",
        2_000_000,
        lambda: repeated(200, lambda: commit(log, many, topic="large")),
    )
    yield speed(
        "append, split by key over 4 partitions",
        500_000,
        lambda: repeated(50, lambda: commit(log, many, None, topic="split")),
    )
    yield speed("scan, frames of 10,000", 2_000_000, lambda: scan(log, "large"))
    yield speed("scan, one field of three", 2_000_000, lambda: scan(log, "large", ["id"]))
    yield speed("read 10,000 one-record frames at once", 10_000, lambda: log.read("small", 0, 0, rows_max=10_000))
    yield from latencies("read one record of a large frame", lambda: log.read("large", 0, 5000, rows_max=1), 1000, "duckdb")
    log.close()
