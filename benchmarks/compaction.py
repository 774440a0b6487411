"""How fast compaction is while somebody reads, and what the reader notices of it."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings

from .measure import Measurement, Options, rate, workload

_BATCH_ROWS = 50_000
_VALUE_BYTES = 100


@workload
def compaction(options: Options) -> Iterator[Measurement]:
    """Records of 100 bytes, ten to a key, in random order: one pass over all of them, a reader scanning all the time."""
    rows = options.rows
    keys = max(1, rows // 10)
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory:
        log = LocalLog.open(Path(directory) / "log", LogSettings(background=False))
        log.create_topic("t", TopicConfig(cleanup_policy="compact"))
        _fill(log, rows, keys)
        alone = _Reader(log)
        time.sleep(2)
        alone.stop()
        reader = _Reader(log)
        start = time.perf_counter()
        log.maintain(0)
        taken_s = time.perf_counter() - start
        reader.stop()
        left = sum(len(p) for p in _pieces(log))
        latest = len({k for p in _pieces(log) for k in p.keys.to_pylist()})
        log.close()
    assert left < rows // 2 and latest <= keys, (left, latest)
    yield Measurement("compaction, a reader beside it", rate(rows, taken_s), "M rows/s", 1.0)
    yield Measurement("compaction: the reader", rate(reader.rows, reader.taken_s), "M rows/s")
    yield Measurement("compaction: the reader alone", rate(alone.rows, alone.taken_s), "M rows/s")


def _fill(log: LocalLog, rows: int, keys: int) -> None:
    chance = np.random.default_rng(7)
    for start in range(0, rows, _BATCH_ROWS):
        n = min(_BATCH_ROWS, rows - start)
        numbers = pa.array(chance.integers(0, keys, n))
        values = pa.array([bytes(_VALUE_BYTES)] * n, pa.binary())
        transaction = log.transaction()
        transaction.append("t", Records(numbers.cast(pa.string()).cast(pa.binary()), values, np.arange(start, start + n)))
        transaction.commit(durable=start + n == rows)
    log.flush()


def _pieces(log: LocalLog) -> Iterator[Records]:
    offset = log.start_offset("t", 0)
    while offset < log.end_offset("t", 0):
        records = log.read("t", 0, offset, rows_max=65_536)
        offset = records.next_offset
        if len(records):
            yield records


class _Reader(threading.Thread):
    """Scans the partition again and again."""

    def __init__(self, log: LocalLog) -> None:
        super().__init__(daemon=True)
        self.rows = 0
        self.taken_s = 0.0
        self._log = log
        self._stopped = threading.Event()
        self.start()

    def run(self) -> None:
        start = time.perf_counter()
        while not self._stopped.is_set():
            for records in _pieces(self._log):
                self.rows += len(records)
                if self._stopped.is_set():
                    break
        self.taken_s = time.perf_counter() - start

    def stop(self) -> None:
        self._stopped.set()
        self.join()
