"""A process with producers and queries is killed (SIGKILL) at random instants; every one after it goes on from there.

``PENSTOCK_KILLS=500 pytest tests/simulation/test_kill.py`` (``make crashes``) kills that many processes.  What the process
does, and how what it leaves is checked, is in `kill_workload`.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from kill_workload import check

KILLS = int(os.environ.get("PENSTOCK_KILLS", "4"))
KILLS_PER_DIRECTORY = 10
PARTS = -(-KILLS // KILLS_PER_DIRECTORY)
"""One directory each, so that several processes can share the work."""
FIRST_SEED = int(os.environ.get("PENSTOCK_SEED", "0"))


def start(path: Path, seed: int) -> subprocess.Popen[str]:
    here = Path(__file__).parent
    typing = here.parents[1] / ".typing"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(typing), str(here), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, str(here / "kill_workload.py"), str(path), str(seed)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def note(output: str, acknowledged: dict[str, int]) -> None:
    """Take in what a process said: what it found, which must be all that was acknowledged, and what it inserted."""
    for line in output.splitlines():
        if line.startswith("open "):
            for name, last in re.findall(r"(\w+) (\d+)", line.removeprefix("open ")):
                assert int(last) >= acknowledged.get(name, 0), f"{name}: {acknowledged} was acknowledged, {last} is there"
        elif re.fullmatch(r"\w+ \d+", line):
            name, sequence = line.split()
            acknowledged[name] = max(acknowledged.get(name, 0), int(sequence))


def kill_again_and_again(path: Path, seed: int, kills: int, counts: Counter[str]) -> None:
    """Kill processes that go on with one directory, look at most of what they leave, and at last let one run to its end."""
    chance = random.Random(seed)
    acknowledged: dict[str, int] = {}
    for number in range(kills):
        process = start(path, seed)
        assert process.stdout is not None
        said = ""
        if number % 3:
            said = process.stdout.readline()  # it is open: the producers go on
            time.sleep(chance.uniform(0.0, 1.5))
        else:  # also before: while it opens, recovers and submits the script
            time.sleep(chance.uniform(0.2, 1.5))
        process.kill()
        output, errors = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), errors
        note(said + output, acknowledged)
        counts["kills" if process.returncode else "had ended"] += 1
        if number % 2 and path.exists():  # the other half is recovered by the next process, which is killed, too
            counts["records compared"] += check(path, seed, acknowledged)
            counts["checks"] += 1
    process = start(path, seed)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert output.endswith("done\n")
    note(output, acknowledged)
    counts["records compared"] += check(path, seed, acknowledged)
    counts["checks"] += 1
    counts["acknowledged inserts"] += sum(acknowledged.values())


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_processes_lose_and_double_nothing(part: int, tmp_path: Path, record_property: Any) -> None:
    """After any kill every sink is, record for record, what an uncrashed run over the same log writes, every acknowledged
    insert is there, and every row is there once.

    Args:
        part: which of the directories; a further one if in the first a process had ended before it could be killed.
    """
    wanted = min(KILLS_PER_DIRECTORY, KILLS - part * KILLS_PER_DIRECTORY)
    counts: Counter[str] = Counter()
    seed = FIRST_SEED + part
    while counts["kills"] < wanted:
        try:
            kill_again_and_again(tmp_path / str(seed), seed, wanted - counts["kills"], counts)
        except Exception as error:
            raise AssertionError(f"seed {seed}, after {dict(counts)}: {type(error).__name__}: {error}") from error
        counts["directories"] += 1
        seed += PARTS
    for name, count in counts.items():
        record_property(name, count)
