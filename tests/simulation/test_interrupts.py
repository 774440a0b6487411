"""Ctrl-C at random instants: no log ends, no thread hangs, no acknowledged row is lost.

``PENSTOCK_INTERRUPTS`` says how many (`make interrupts`: 1,000).
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

WORKLOAD = Path(__file__).with_name("interrupt_workload.py")
INTERRUPTS = int(os.environ.get("PENSTOCK_INTERRUPTS", "60"))
PER_PROCESS = 250


@pytest.mark.skipif(sys.platform == "win32", reason="processes cannot be sent SIGINT there")
@pytest.mark.parametrize("seed", range(max(1, INTERRUPTS // PER_PROCESS)))
def test_interruptions_at_random_instants(tmp_path: Path, seed: int) -> None:
    """A process does everything that a program does while it gets SIGINT after SIGINT; then all that was acknowledged is
    there, once, and counted."""
    wanted = min(INTERRUPTS, PER_PROCESS)
    chance = random.Random(seed)
    process = subprocess.Popen(
        [sys.executable, str(WORKLOAD), str(tmp_path / "db"), str(seed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for _ in range(wanted):
        time.sleep(chance.choice([0.01, 0.05, 0.2]) * chance.random())
        process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    told = json.loads(out)
    print(told)
    assert told["failures"] == []
    assert told["lost"] == []
    assert told["twice"] == 0
    assert told["counted"] == 0
    assert told["interruptions"] >= wanted // 10


ENDLESS = """
import signal, sys, threading, time, os, penstock

@penstock.udf
def forever(v: int) -> int:
    while v:
        pass
    return v

db = penstock.connect(sys.argv[1], threads=0)
db.execute("CREATE STREAM s (v INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=1);"
           "CREATE STREAM o AS SELECT forever(v) AS f FROM s;")
db.insert("s", [{"v": 1}])
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    db.drain()
except KeyboardInterrupt:
    print("interrupted")
db.insert("s", [{"v": 0}])
print(len(list(db.consume("s"))))
db.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="processes cannot be sent SIGINT there")
def test_a_function_that_never_ends_can_be_interrupted(tmp_path: Path) -> None:
    """Code of the user's runs in the main thread: Ctrl-C does not wait for it."""
    done = subprocess.run(
        [sys.executable, "-c", ENDLESS, str(tmp_path / "db")], capture_output=True, text=True, cwd=tmp_path, timeout=300
    )
    assert done.stdout.split() == ["interrupted", "2"], done.stderr
