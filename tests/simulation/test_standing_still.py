"""A process that is stopped (SIGSTOP) and goes on: it keeps its lock, its group members and its queries, and loses nothing.

How long it stands still is ``PENSTOCK_STOPPED`` in seconds; twelve were tried by hand.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penstock import connect
from penstock.errors import PenstockError

WORK = """
import sys, time
import penstock

db = penstock.connect(sys.argv[1], settings={"auto.offset.reset": "earliest"})
db.execute('''
    CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 2, VALUE_FORMAT = 'JSON');
    CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;
''')
consumer = db.consumer(["s"], group="g", auto_offset_reset="earliest", max_poll_interval_ms=1_000)
rows = db.subscribe("SELECT * FROM s EMIT CHANGES;")
consumer.poll(100)
written = consumed = pushed = 0
print("go", flush=True)
while not sys.stdin.closed and written < int(sys.argv[2]):
    token = db.insert("s", [{"k": str(written % 5), "v": written}])
    written += 1
    db.wait(token, timeout_s=60)
    consumed += len(consumer.poll(20))
    while rows.poll() is not None:
        pushed += 1
    time.sleep(0.01)
while consumed < written:
    found = len(consumer.poll(5_000))
    consumed += found
    if not found:
        break
while pushed < written and rows.poll(5) is not None:
    pushed += 1
counted = db.sql("SELECT SUM(n) FROM t", after=token).fetchone()[0]
print(written, consumed, pushed, counted, *[q.state for q in db.queries.values()])
consumer.close()
db.close()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no process can be stopped here")
def test_a_process_that_stands_still_goes_on(tmp_path: Path) -> None:
    """Also past its group's time to poll; meanwhile nobody else gets its directory."""
    command = [sys.executable, "-c", WORK, str(tmp_path / "db"), "120"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(PenstockError, match=str(process.pid)):
            connect(tmp_path / "db")
        time.sleep(float(os.environ.get("PENSTOCK_STOPPED", "2")))
        process.send_signal(signal.SIGCONT)
        out, error = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert out.split() == ["120", "120", "120", "120", "RUNNING"], error
    with connect(tmp_path / "db") as db:
        assert db.sql("SELECT COUNT(*) FROM s").fetchall() == [(120,)]
