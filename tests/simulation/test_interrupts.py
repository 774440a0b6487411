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
