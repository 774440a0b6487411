"""What a workload is, what it reports, and what its figures are compared with.

Absolute figures move by a factor of two between machines and with whatever else a machine does.  So every run also
times a *yardstick*, work that does not touch Penstock, in the same process and minute, and figures are recorded with
it: two runs are compared by figure / yardstick.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

import penstock

Unit = Literal["M rows/s", "k/s", "ms", "MB", "x", "ns/row"]
Yardstick = Literal["duckdb", "fsync", "python", "none"]
HIGHER_IS_BETTER: frozenset[Unit] = frozenset({"M rows/s", "k/s"})


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure.

    Attributes:
        target: what the project promises: at least it where higher is better, else at most; None promises nothing.
        yardstick: what the figure is recorded with.
    """

    name: str
    value: float
    unit: Unit
    target: float | None = None
    yardstick: Yardstick = "duckdb"

    @property
    def met(self) -> bool | None:
        """Whether the promise is kept; None if there is none."""
        if self.target is None:
            return None
        return self.value >= self.target if self.unit in HIGHER_IS_BETTER else self.value <= self.target


@dataclass(frozen=True, slots=True)
class Options:
    """How large a run is."""

    rows: int = 2_000_000


Workload = Callable[[Options], Iterator[Measurement]]


@dataclass(slots=True)
class Registry:
    """The workloads by name, in the order in which they are run."""

    workloads: dict[str, Workload] = field(default_factory=dict)

    def __call__(self, function: Workload) -> Workload:
        self.workloads[function.__name__.rstrip("_")] = function
        return function


workload = Registry()


@contextmanager
def database(settings: Mapping[str, object] | None = None, threads: int | None = None) -> Iterator[penstock.Database]:
    """A durable database in a temporary directory; new queries read from the beginning."""
    with (
        tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory,
        penstock.connect(directory, settings={"auto.offset.reset": "earliest", **(settings or {})}, threads=threads) as db,
    ):
        yield db


def timed(work: Callable[[], Any]) -> float:
    """Seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def rate(rows: int, seconds: float) -> float:
    """Million rows a second."""
    return rows / seconds / 1e6


def until_taken_in(db: penstock.Database, token: penstock.Token, *statements: str) -> float:
    """Seconds from handing in statements until their queries have taken in what ``token`` stands for."""
    start = time.perf_counter()
    for statement in statements:
        db.execute(statement)
    db.wait(token, timeout_s=1800)
    return time.perf_counter() - start


def end_query(db: penstock.Database, name: str) -> None:
    """Stop the query that fills a source, so that it does not run beside the next one."""
    query_id = db.catalog.source(name).query_id
    db.execute(f"TERMINATE `{query_id}`;")


class MemoryPeak:
    """Watches how much memory of its own this process holds (files that are mapped, such as the log's, are the kernel's to
    take back at any time and do not count)."""

    def __init__(self) -> None:
        self._peak_kb = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self._peak_kb = max(self._peak_kb, _held_kb())
            time.sleep(0.02)

    def take_mb(self) -> float:
        """The peak since the last call."""
        peak, self._peak_kb = max(self._peak_kb, _held_kb()), 0
        return peak / 1024


def _held_kb() -> int:
    with open("/proc/self/status") as status:
        return next((int(line.split()[1]) for line in status if line.startswith("RssAnon:")), 0)


def percentile(values: list[float], share: float) -> float:
    return float(np.percentile(np.array(values), share * 100))


# --- yardsticks ----------------------------------------------------------------------------


def _duckdb() -> float:
    """Million rows a second of a grouping by 100,000 keys in DuckDB, on one thread."""
    import duckdb

    rng = np.random.default_rng(0)
    keys, amounts = rng.integers(0, 100_000, 1_000_000), rng.integers(0, 1000, 1_000_000)
    connection = duckdb.connect(config={"threads": 1})
    query = "SELECT k, count(*), sum(v) FROM (SELECT * FROM rows) GROUP BY k"
    connection.register("rows", _table(k=keys, v=amounts))
    return rate(len(keys), statistics.median(timed(lambda: connection.execute(query).fetchnumpy()) for _ in range(3)))


def _table(**columns: Any) -> Any:
    import pyarrow as pa

    return pa.table(columns)


def _fsync() -> float:
    """Milliseconds of a small append made durable."""
    with tempfile.NamedTemporaryFile(prefix="penstock-bench-") as file:

        def append() -> None:
            os.write(file.fileno(), b"x" * 400)
            os.fdatasync(file.fileno())

        return statistics.median(timed(append) for _ in range(50)) * 1e3


def _python() -> float:
    """Milliseconds until a new interpreter has imported NumPy and pyarrow."""
    command = [sys.executable, "-c", "import numpy, pyarrow"]
    return statistics.median(timed(lambda: subprocess.run(command, check=True)) for _ in range(3)) * 1e3


YARDSTICKS: dict[Yardstick, Callable[[], float]] = {
    "duckdb": _duckdb,
    "fsync": _fsync,
    "python": _python,
    "none": lambda: 1.0,
}

ROOT = Path(__file__).resolve().parent.parent
