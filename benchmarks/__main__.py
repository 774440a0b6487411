"""``python -m benchmarks [name...]``: run workloads, print a table, compare with the last recorded run.

Every workload runs in a process of its own, several times; figures are medians.  ``--record`` writes them to
``results.json``; later runs print how figure / yardstick has changed since.

``python -m benchmarks nexmark --peers`` compares with DuckDB and a plain loop instead, and ``--vary`` two ways of
running each query (their own ``--help``).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import (
    clients,
    compaction,
    functions,
    latency,
    log,
    log_bytes,
    lookups,
    many,
    nexmark,
    recovery,
    startup,
    state_bytes,
    throughput,
)
from .measure import HIGHER_IS_BETTER, ROOT, YARDSTICKS, Measurement, Options, workload
from .peers import run as peers

__all__ = [
    "clients",
    "compaction",
    "functions",
    "latency",
    "log",
    "log_bytes",
    "lookups",
    "many",
    "nexmark",
    "recovery",
    "startup",
    "state_bytes",
    "throughput",
]

RESULTS = Path(__file__).with_name("results.json")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 if a workload fails or, with ``--strict``, a promise is not kept.

    ``http`` alone runs the server's figures, ``kafka`` the Kafka listener's, ``install`` a newcomer's first minute (their
    own ``--help``): these have processes and a report of their own.
    """
    if list(arguments if arguments is not None else sys.argv[1:]) == ["http"]:
        from . import http

        http.main()
        return 0
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["kafka"]:
        from . import kafka

        return kafka.main(given[1:])
    if given[:1] == ["install"]:
        from . import install

        return install.main(given[1:])
    if given[:1] == ["nexmark"] and {"--peers", "--vary"} & set(given):
        return peers.main(given[1:])
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"which (all): {', '.join(workload.workloads)}")
    parser.add_argument("--rows", type=int, default=2_000_000, help="rows a workload works on (2,000,000)")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each workload (5); figures are medians")
    parser.add_argument("--record", action="store_true", help="keep the figures in results.json")
    parser.add_argument("--strict", action="store_true", help="fail if a promise is not kept")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in workload.workloads]
    if unknown:
        parser.error(f"there is no workload {unknown[0]}; there are {', '.join(workload.workloads)}")
    if options.child:
        return _child(options.names[0], Options(options.rows))
    recorded = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    print(f"{options.rows:,} rows, medians of {options.repeat}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'':<54}{'median':>10} {'':<8}{'lowest':>9}{'highest':>9}  {'promised':>10}  {'since recorded':>14}")
    kept = True
    found: dict[str, Any] = {}
    for name in options.names or workload.workloads:
        for line in _median([_run(name, options.rows) for _ in range(options.repeat)]):
            found[line["name"]] = {**line, "rows": options.rows, "repeat": options.repeat}
            kept &= _show(line, recorded.get("figures", {}).get(line["name"]), options.rows)
    if options.record:
        figures = {**recorded.get("figures", {}), **found}
        about = {"python": platform.python_version(), "cores": os.cpu_count()}
        written = {"recorded": datetime.now(UTC).date().isoformat(), **about, "figures": figures}
        RESULTS.write_text(json.dumps(written, indent=1) + "\n")
    return 0 if kept or not options.strict else 1


def _child(name: str, options: Options) -> int:
    """Run one workload once; the last line printed is its figures as JSON."""
    lines: list[dict[str, Any]] = []
    yardsticks: dict[str, float] = {}
    for m in workload.workloads[name](options):
        if m.yardstick not in yardsticks:
            yardsticks[m.yardstick] = YARDSTICKS[m.yardstick]()
        lines.append(
            {"name": m.name, "value": m.value, "unit": m.unit, "target": m.target, "yardstick": yardsticks[m.yardstick]}
        )
    print(json.dumps(lines))
    return 0


def _run(name: str, rows: int) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "benchmarks", "--child", "--rows", str(rows), name]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the workload {name} failed")
    lines: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return lines


def _median(runs: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """One line per figure, from the lines of several runs."""
    lines = []
    for same in zip(*runs, strict=True):
        values = [line["value"] for line in same]
        line = {**same[0], "value": statistics.median(values), "lowest": min(values), "highest": max(values)}
        line["yardstick"] = statistics.median(other["yardstick"] for other in same)
        lines.append(line)
    return lines


def _show(line: dict[str, Any], before: dict[str, Any] | None, rows: int) -> bool:
    """Print a figure; whether its promise is kept.  Only runs of as many rows are compared."""
    measured = Measurement(line["name"], line["value"], line["unit"], line["target"])
    promise = ""
    if measured.target is not None:
        sign = ">=" if measured.unit in HIGHER_IS_BETTER else "<="
        promise = f"{sign} {measured.target:g} {'' if measured.met else '!'}"
    change = ""
    if before is not None and before["rows"] == rows:
        now, then = line["value"] / line["yardstick"], before["value"] / before["yardstick"]
        change = f"x {now / then:.2f}" if then else ""
    spread = f"{line['lowest']:>9.2f}{line['highest']:>9.2f}"
    print(f"{line['name']:<54}{line['value']:>10.2f} {line['unit']:<8}{spread}  {promise:>10}  {change:>14}", flush=True)
    return measured.met is not False


if __name__ == "__main__":
    sys.exit(main())
