"""How long a database whose process was killed takes until it answers: everything from the start of a new process on.

A process builds a table of ``--rows`` accounts (COUNT and SUM by account), goes on with payments for them, and is killed
with SIGKILL in the middle of that.  Then a new process is started; the time is from its start to its first answer of a
pull query by key: the interpreter, opening, the newest checkpoint, the changelog after it, the lookup.  The directory is
opened and killed several times.

    python -m benchmarks recovery --rows 10000000 --repeat 1
    python -m benchmarks.recovery build DIR --rows 10000000 --keys text       # one part alone
    python -m benchmarks.recovery open DIR
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import penstock

from .bids import START_MS
from .measure import ROOT, Measurement, Options, workload

OPENINGS = 3
"""How often a directory is opened; the figure is the median."""
_BLOCK = 65_536
_TYPES = {"int": "BIGINT", "text": "VARCHAR"}
_QUERY = "CREATE TABLE totals AS SELECT account, COUNT(*) AS n, SUM(amount) AS total FROM payments GROUP BY account;"


def _accounts(numbers: Any, keys: str) -> pa.Array:
    array = pa.array(numbers)
    return array if keys == "int" else pc.binary_join_element_wise("account-", array.cast(pa.string()), "")


def _insert(db: penstock.Database, numbers: Any, keys: str) -> penstock.Token:
    count = len(numbers)
    columns = {"account": _accounts(numbers, keys), "amount": np.ones(count, np.int64)}
    return db.insert("payments", pa.table({**columns, "rowtime": np.full(count, START_MS)}), durable=False)


def build(directory: str, rows: int, keys: str, more: int) -> None:
    """Fill the table, then make ``more`` payments, say so, and go on with payments until killed."""
    db = penstock.connect(directory, settings={"auto.offset.reset": "earliest"})
    db.execute(
        f"CREATE STREAM payments (account {_TYPES[keys]}, amount BIGINT) "
        "WITH (KAFKA_TOPIC='payments', VALUE_FORMAT='ARROW', PARTITIONS=1);"
    )
    db.execute(_QUERY)
    rng = np.random.default_rng(0)
    numbers = rng.permutation(rows)
    token = penstock.Token()
    for start in range(0, rows, _BLOCK):
        token = _insert(db, numbers[start : start + _BLOCK], keys)
    db.wait(token, timeout_s=1800)
    for _ in range(0, more, _BLOCK):
        token = _insert(db, rng.integers(0, rows, _BLOCK), keys)
    db.wait(token, timeout_s=1800)
    print("built", flush=True)
    while True:
        token = _insert(db, rng.integers(0, rows, _BLOCK), keys)
        db.wait(token)


def open_(directory: str) -> None:
    """Open, look one account up, say what was found and how long its parts took; then wait to be killed."""
    start = time.perf_counter()
    db = penstock.connect(directory)
    opened = time.perf_counter()
    (column,) = db.catalog.source("TOTALS").schema.keys
    key = "'account-7'" if "VARCHAR" in str(column.type) or "STRING" in str(column.type) else "7"
    ((n, total),) = db.sql(f"SELECT n, total FROM totals WHERE account = {key};").fetchall()
    assert n == total >= 1, (n, total)
    print(f"answered {opened - start:.3f}", flush=True)
    time.sleep(600)


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.recovery", *arguments]


def _killed_after(command: Sequence[str], word: str, more_s: float) -> tuple[float, str]:
    """Start a process, kill it ``more_s`` after it printed a line that begins with ``word``; seconds to that, the line."""
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - start
        time.sleep(more_s)
        process.send_signal(signal.SIGKILL)
    assert line.startswith(word), f"{command}: {line!r}"
    return seconds, line


@workload
def recovery(options: Options) -> Iterator[Measurement]:
    """From the start of a new process to the first answer, after ``kill -9``; integers and texts as keys."""
    for keys in _TYPES:
        with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory:
            more = int(options.rows * 0.9)  # the changelog is about as long as it gets before a checkpoint is due
            _killed_after(
                _command("build", directory, "--rows", str(options.rows), "--keys", keys, "--more", str(more)), "built", 1.0
            )
            whole, connected = [], []
            for _ in range(OPENINGS):
                seconds, line = _killed_after(_command("open", directory), "answered", 0.0)
                whole.append(seconds)
                connected.append(float(line.split()[1]))
            size = sum(f.stat().st_size for f in Path(directory).rglob("*") if f.is_file())
        name = f"{options.rows:,} {keys} keys"
        yield Measurement(f"kill -9 to first answer, {name}", statistics.median(whole) * 1e3, "ms", 10_000.0, "python")
        yield Measurement(f"  of that, connect(), {name}", statistics.median(connected) * 1e3, "ms", None, "python")
        yield Measurement(f"  directory, {name}", size / 1e6, "MB", None, "none")


def main() -> None:
    """The parts, for the workload and for whoever wants to look at one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__)
    parser.add_argument("part", choices=("build", "open"))
    parser.add_argument("directory")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--keys", choices=tuple(_TYPES), default="int")
    parser.add_argument("--more", type=int, default=0)
    given = parser.parse_args()
    if given.part == "build":
        build(given.directory, given.rows, given.keys, given.more)
    else:
        open_(given.directory)


if __name__ == "__main__":
    main()
