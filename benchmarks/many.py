"""A thousand persistent queries over ten topics: how long they take to create, and how soon each insert has reached them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from .measure import Measurement, MemoryPeak, Options, database, percentile, workload

QUERIES = 1_000
TOPICS = 10
INSERTS = 100
INSERTS_PER_S = 10
_TYPED = "WITH (KAFKA_TOPIC='s{0}', VALUE_FORMAT='ARROW', PARTITIONS=1);"


@workload
def many(options: Options) -> Iterator[Measurement]:
    """Half of them project a stream, half of them keep a table of it."""
    memory = MemoryPeak()
    with database({"auto.offset.reset": "latest"}) as db:
        for i in range(TOPICS):
            db.execute(f"CREATE STREAM s{i} (k BIGINT, v BIGINT, name STRING) " + _TYPED.format(i))
        began = time.perf_counter()
        each: list[float] = []
        for i in range(QUERIES):
            start = time.perf_counter()
            source = f"s{i % TOPICS}"
            if i % 2:
                db.execute(f"CREATE TABLE q{i} AS SELECT k, COUNT(*) AS n, SUM(v) AS total FROM {source} GROUP BY k;")
            else:
                db.execute(f"CREATE STREAM q{i} AS SELECT k, v * 2 AS v2, name FROM {source} WHERE v % 7 <> 3;")
            each.append((time.perf_counter() - start) * 1e3)
        yield Measurement("1,000 queries created", (time.perf_counter() - began) * 1e3, "ms", 5_000.0, "fsync")
        yield Measurement("of them one of the first 100", sum(each[:100]) / 100, "ms", None, "fsync")
        yield Measurement("of them one of the last 100", sum(each[-100:]) / 100, "ms", None, "fsync")
        reached: list[float] = []
        busy, wall = time.process_time(), time.perf_counter()
        for number in range(INSERTS):
            start = time.perf_counter()
            token = db.insert(f"s{number % TOPICS}", [{"k": number, "v": 7 * number, "name": "x"}])
            db.wait(token, timeout_s=60)
            reached.append((time.perf_counter() - start) * 1e3)
            time.sleep(max(0.0, 1 / INSERTS_PER_S - (time.perf_counter() - start)))
        used = (time.process_time() - busy) / (time.perf_counter() - wall)
        yield Measurement("insert until all 100 readers have it, p50", percentile(reached, 0.5), "ms", None, "fsync")
        yield Measurement("insert until all 100 readers have it, p99", percentile(reached, 0.99), "ms", 250.0, "fsync")
        yield Measurement("processors in use at 10 inserts/s", used, "x", None, "none")
    yield Measurement("memory beside it", memory.take_mb(), "MB", 1_024.0, "none")
