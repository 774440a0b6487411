"""A process that is killed while it commits to real files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.settings import LogSettings

WRITER = """
import sys
import numpy as np, pyarrow as pa
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings

log = LocalLog.open(sys.argv[1], LogSettings(segment_bytes_max=20_000, journal_bytes_max=40_000))
for topic in ("left", "right"):
    if topic not in log.topics():
        log.create_topic(topic, TopicConfig())
for i in range(log.end_offset("left", 0), 1_000_000):
    transaction = log.transaction()
    for topic in ("left", "right"):
        transaction.append(topic, Records(None, pa.array([b"%d" % i]), np.array([i])))
    transaction.set_positions("g", {("left", 0): i + 1})
    transaction.commit()
    print(i + 1, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_process_leaves_all_it_reported_and_nothing_half(tmp_path: Path) -> None:
    """Three processes in a row are killed; each goes on where the last durable commit was."""
    typing = Path(__file__).parents[2] / ".typing"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(typing), os.environ.get("PYTHONPATH", "")])}
    reported = 0
    for stop_after in (50, 170, 90):
        command = [sys.executable, "-c", WRITER, str(tmp_path)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert writer.stdout is not None
        for _ in range(stop_after):
            line = writer.stdout.readline()
            assert line, "the writer ended by itself"
            reported = int(line)
        writer.kill()
        for line in writer.stdout:
            reported = int(line)
        writer.wait()
        log = LocalLog.open(tmp_path, LogSettings(background=False))
        end = log.end_offset("left", 0)
        assert reported <= end <= reported + 1
        assert log.end_offset("right", 0) == end == log.positions("g")[("left", 0)]
        for topic in ("left", "right"):
            assert log.read(topic, 0, 0, rows_max=10_000).values.to_pylist() == [b"%d" % i for i in range(end)]
        log.close()
