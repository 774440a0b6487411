"""Runs the conformance kit and holds the results against floors that only rise.

The kit is no part of this project: it is looked for in ``PENSTOCK_SHARED`` or in ``../shared`` beside the checkout, and
where there is none the gate says so and passes.  ``floors.json`` holds, per group of cases, how many must pass.
``--raise`` writes today's numbers there (it never lowers one).  Last come the logs at all sizes of steps (`batch_sizes`),
for which there is no floor: they must be equal.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FLOORS = HERE / "floors.json"
ADAPTER = "tests.conformance.adapter:PenstockAdapter"
HTTP_ADAPTER = "tests.conformance.http_adapter:HttpAdapter"

Case = dict[str, Any]


def kit() -> Path | None:
    """The folder of the kit, if this machine has it."""
    shared = Path(os.environ.get("PENSTOCK_SHARED", ROOT.parent / "shared"))
    return shared / "conformance" if (shared / "conformance" / "run.py").exists() else None


def _needs(case: Case) -> bool:
    return any(tag.startswith("needs:") for tag in case["tags"])


def _runs(case: Case) -> bool:
    return "expects:run" in case["tags"]


GROUPS: dict[str, tuple[str, Callable[[Case], bool]]] = {
    "run, batch": ("batch", lambda c: _runs(c) and not _needs(c)),
    "run, record": ("record", lambda c: _runs(c) and not _needs(c) and "multi-query" not in c["tags"]),
    "run, registry": (
        "batch",
        lambda c: _runs(c) and bool({"needs:registry", "needs:schema-inference"} & set(c["tags"])),
    ),
    "rejected": ("batch", lambda c: "expects:error" in c["tags"]),
    "rqtt and sql, run": ("batch", lambda c: _runs(c) and c["suite"] in ("rqtt", "sql")),
    "all": ("batch", lambda c: True),
}
"""Group -> the mode it is run in, and which cases belong to it."""


def _environment() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT / ".typing"), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path}


def run(folder: Path, mode: str, jobs: int, arguments: Sequence[str] = (), adapter: str = ADAPTER) -> list[Case]:
    """Play all cases in one mode."""
    with tempfile.TemporaryDirectory() as place:
        report = Path(place) / "report.json"
        command = [sys.executable, str(folder / "run.py"), "--adapter", adapter, "--mode", mode]
        command += ["--jobs", str(jobs), "--report", str(report), *arguments]
        done = subprocess.run(command, cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, text=True, check=False)
        if not report.exists():
            raise SystemExit(done.stdout)
        cases: list[Case] = json.loads(report.read_text(encoding="utf-8"))["results"]
        return cases


def _over_http(folder: Path, jobs: int, in_process: list[Case]) -> bool:
    """Play the cases of ksqlDB's REST suite once more over the wire; whether one fails there that passes in process."""
    passed = {c["id"] for c in in_process if c["suite"] == "rqtt" and c["status"] == "passed"}
    there = {c["id"] for c in run(folder, "batch", jobs, ["--suite", "rqtt"], HTTP_ADAPTER) if c["status"] == "passed"}
    print(f"{'rqtt over HTTP':<22}{len(there):>8}; in process {len(passed)}")
    for case in sorted(passed - there):
        print(f"  passes in process only: {case}")
    return bool(passed - there)


def main() -> int:
    """Exit code 1 if a group passes fewer cases than its floor."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--raise", dest="lift", action="store_true", help="raise the floors to today's numbers")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    folder = kit()
    if folder is None:
        print("conformance: the kit is not on this machine, nothing to check")
        return 0
    floors: dict[str, int] = json.loads(FLOORS.read_text(encoding="utf-8"))
    results = {mode: run(folder, mode, options.jobs) for mode in ("batch", "record")}
    failed = False
    print(f"{'group':<22}{'passed':>8}{'of':>7}{'percent':>9}{'floor':>8}")
    for name, (mode, belongs) in GROUPS.items():
        cases = [c for c in results[mode] if c["status"] != "skipped" and belongs(c)]
        passed = sum(c["status"] == "passed" for c in cases)
        floor = floors.get(name, 0)
        mark = "" if passed >= floor else "  BELOW THE FLOOR"
        failed |= passed < floor
        print(f"{name:<22}{passed:>8}{len(cases):>7}{100 * passed / max(1, len(cases)):>9.2f}{floor:>8}{mark}")
        floors[name] = max(floor, passed)
    failed |= _over_http(folder, options.jobs, results["batch"])
    if options.lift:
        FLOORS.write_text(json.dumps(floors, indent=2) + "\n", encoding="utf-8")
    sizes = [sys.executable, "-m", "tests.conformance.batch_sizes", "--jobs", str(options.jobs)]
    failed |= subprocess.run(sizes, cwd=ROOT, env=_environment(), check=False).returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
