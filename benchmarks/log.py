"""How fast the log is: commits, appends, scans, opening.

``python benchmarks/log.py [directory]`` prints one line per measurement; the default directory is a temporary one.
It takes about ten seconds.  Latencies are p50 and p99 over all commits, rows a second are over the whole run.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from penstock.storage.log.local import LocalLog
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings

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


def report(name: str, value: str) -> None:
    """One line."""
    print(f"{name:<52}{value:>32}")


def latencies(work: Callable[[], Any], times: int) -> str:
    """p50 and p99 of a piece of work."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    taken.sort()
    return f"p50 {taken[times // 2] * 1e3:.2f} ms, p99 {taken[times * 99 // 100] * 1e3:.2f} ms"


def rate(rows: int, work: Callable[[], Any]) -> str:
    """Rows a second."""
    start = time.perf_counter()
    work()
    return f"{rows / (time.perf_counter() - start):,.0f} rows/s"


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


def main(directory: Path) -> None:
    """All measurements, in a new database below ``directory``."""
    path = directory / "bench-log"
    log = LocalLog.open(path, LogSettings(maintenance_interval_s=3600))
    for topic in ("orders", "large", "split", "small"):
        log.create_topic(topic, TopicConfig(4 if topic == "split" else 1, ORDER))
    one, many = orders(1), orders(10_000)
    report("durable commit of 1 record", latencies(lambda: commit(log, one), 1000))
    report("durable commit of 1 record, 8 threads", rate(8 * 200, lambda: grouped(log, one, 8, 200)))
    report("durable commit of 10,000 records", latencies(lambda: commit(log, many), 100))
    report("relaxed commit of 1 record", latencies(lambda: commit(log, one, durable=False, topic="small"), 10_000))
    log.flush()
    report(
        "append, frames of 10,000, each durable",
        rate(2_000_000, lambda: [commit(log, many, topic="large") for _ in range(200)]),
    )
    report(
        "append, split by key over 4 partitions",
        rate(500_000, lambda: [commit(log, many, None, topic="split") for _ in range(50)]),
    )
    report("scan, frames of 10,000", rate(2_000_000, lambda: scan(log, "large")))
    report("scan, one field of three", rate(2_000_000, lambda: scan(log, "large", ["id"])))
    report("read 10,000 one-record frames at once", rate(10_000, lambda: log.read("small", 0, 0, rows_max=10_000)))
    report("read one record of a large frame", latencies(lambda: log.read("large", 0, 5000, rows_max=1), 1000))
    log.close()
    start = time.perf_counter()
    log = LocalLog.open(path)
    report("open", f"{(time.perf_counter() - start) * 1e3:.1f} ms")
    log.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
