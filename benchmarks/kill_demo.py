"""Kill the flights demo with SIGKILL again and again, resume it each time, and check its tables at the end of each round.

    python benchmarks/kill_demo.py                 # 30 kills, the demo resumed to its end and checked after each
    python benchmarks/kill_demo.py --rounds 5 --days 30

A round starts the demo with an empty directory, kills it at a random instant and resumes it to its end, where it compares
every table with DuckDB's batch answer over the same files (``--again`` is the chance that a resumed demo is killed once
more).  The exit code is 1 if any comparison failed, or if a resumed demo failed in any other way.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "examples" / "flights" / "demo.py"
EQUAL = "equal"


def run(data: Path, days: int, resume: bool, kill_after_s: float | None) -> tuple[int | None, str]:
    """Run the demo, killed after a time (None lets it end); returns its exit code (None: killed) and its output."""
    command = [sys.executable, str(DEMO), "--days", str(days), "--data", str(data), *(["--resume"] if resume else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            output, _ = process.communicate(timeout=kill_after_s)
            return process.returncode, output
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            return None, ""


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=30, help="how many kills")
    arguments.add_argument("--days", type=int, default=60, help="days of the year that a demo replays")
    arguments.add_argument("--again", type=float, default=0.0, help="chance that a resumed demo is killed again")
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()
    chance = random.Random(options.seed)
    kills = checks = 0
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory) / "data"
        began = time.perf_counter()
        code, output = run(data, options.days, False, None)
        whole_s = time.perf_counter() - began
        print(f"a whole run takes {whole_s:.1f} s", flush=True)
        if code != 0:
            print(output)
            return 1
        while kills < options.rounds:
            kill_after_s = chance.uniform(0.3, max(1.0, whole_s * 0.9))
            code, output = run(data, options.days, False, kill_after_s)
            while code is None and kills + 1 < options.rounds and chance.random() < options.again:
                kills += 1  # now and then the resumed demo is killed, too
                code, output = run(data, options.days, True, chance.uniform(0.3, kill_after_s + 0.5))
            if code is None:
                kills += 1
                code, output = run(data, options.days, True, None)
            equal = output.count(EQUAL)
            checks += 1
            print(f"{kills} kills, the last after {kill_after_s:.2f} s: exit code {code}, {equal} tables equal", flush=True)
            if code != 0 or not equal:
                print(output)
                return 1
    print(f"{kills} kills, {checks} comparisons with DuckDB's batch answers, all equal")
    return 0


if __name__ == "__main__":
    sys.exit(main())
