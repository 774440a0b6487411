"""A producer that is faster than a query waits for it: memory stays bounded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROWS = 1_500_000
UNREAD_ROWS = 100_000
GROWTH_BYTES_MAX = 600 * 1024 * 1024

PRODUCER = f"""
import resource, sys
import numpy as np, pyarrow as pa
import penstock
import penstock.runtime.host as host
host.UNREAD_ROWS_MAX = {UNREAD_ROWS}

def used():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

with penstock.connect(sys.argv[1], settings={{"auto.offset.reset": "earliest"}}) as db:
    db.execute("CREATE STREAM S (ID BIGINT, V STRING) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='JSON');")
    db.execute("CREATE TABLE T AS SELECT ID, COUNT(*) AS N, MAX(LEN(REPLACE(V, 'x', 'yy'))) AS L FROM S GROUP BY ID;")
    piece = 20_000
    before, furthest = 0, 0
    for start in range(0, {ROWS}, piece):
        ids = np.arange(start, start + piece) % 1000
        db.insert("S", pa.table({{"ID": ids, "V": pa.array(["x" * 20] * piece)}}))
        furthest = max(furthest, *(q.lag for q in db.queries.values()))
        before = before or used()
    db.wait_idle()
    (count,) = db.sql("SELECT sum(N) AS n FROM T").fetchone()
    print(int(count), furthest, used() - before)
"""


def test_a_fast_producer_waits(tmp_path: Path) -> None:
    """1.5 million rows: the query is never much further behind than the limit, and memory does not grow with the rows."""
    typing = Path(__file__).parents[2] / ".typing"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(typing), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", PRODUCER, str(tmp_path / "x")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    count, furthest, growth = map(int, done.stdout.split())
    assert count == ROWS
    assert furthest <= UNREAD_ROWS + 20_000
    assert growth < GROWTH_BYTES_MAX
