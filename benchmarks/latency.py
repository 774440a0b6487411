"""Milliseconds from ``insert()`` of one record until its row reaches the reader of a push query."""

from __future__ import annotations

import time
from collections.abc import Iterator

from .measure import Measurement, Options, database, percentile, workload
from .throughput import PAYMENTS, TOTALS

RECORDS = 1_000
PAUSE_S = 0.003
"""Between two records, so that the engine is idle when one comes."""


@workload
def latency(options: Options) -> Iterator[Measurement]:
    """Through a push query over the stream, and through a persistent aggregation and a push query over its table."""
    with database({"auto.offset.reset": "latest"}) as db:
        db.execute(PAYMENTS + TOTALS)
        for name, source in (("stream", "payments"), ("table", "totals")):
            whole, inserted = [], []
            with db.subscribe(f"SELECT * FROM {source} EMIT CHANGES;") as subscription:
                for number in range(RECORDS):
                    start = time.perf_counter()
                    db.insert("payments", [{"account": number % 10, "amount": number}])
                    inserted.append((time.perf_counter() - start) * 1e3)
                    row = subscription.poll(10)
                    assert row is not None and row.values[0] == number % 10
                    whole.append((time.perf_counter() - start) * 1e3)
                    time.sleep(PAUSE_S)
            yield Measurement(f"record to row of a {name}, p50", percentile(whole, 0.5), "ms", yardstick="fsync")
            yield Measurement(f"record to row of a {name}, p99", percentile(whole, 0.99), "ms", 10.0, "fsync")
            yield Measurement(f"insert() beside it, p50 ({name})", percentile(inserted, 0.5), "ms", yardstick="fsync")
