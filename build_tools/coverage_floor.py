"""Compares the coverage that a run of the tests has measured with a floor for each part of the tree.

The floors are in ``tests/coverage_floors.json``, in percent of lines, rounded down to a tenth.  ``--raise`` lifts those that
the measurement is above; nothing here lowers one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLOORS = ROOT / "tests" / "coverage_floors.json"


def shares(files: Mapping[str, Mapping[str, int]], parts: Mapping[str, float]) -> dict[str, float]:
    """The percentage of lines that ran, by part, rounded down to a tenth.

    Args:
        files: path from the root: its ``num_statements`` and ``covered_lines``.
        parts: folders; a part that has no lines at all is 0.

    >>> shares({"a/x.py": {"num_statements": 3, "covered_lines": 2}}, {"a": 0})
    {'a': 66.6}
    """
    found = {}
    for part in parts:
        inside = [f for path, f in files.items() if path.startswith(part + "/")]
        lines = sum(f["num_statements"] for f in inside)
        found[part] = sum(f["covered_lines"] for f in inside) * 1000 // lines / 10 if lines else 0.0
    return found


def below(measured: Mapping[str, float], floors: Mapping[str, float]) -> list[str]:
    """One sentence for each part that is below its floor.

    >>> below({"a": 66.6, "b": 90.0}, {"a": 66.7, "b": 90.0})
    ['a: 66.6 % of its lines ran, and the floor is 66.7 %']
    """
    return [
        f"{part}: {measured[part]} % of its lines ran, and the floor is {floor} %"
        for part, floor in floors.items()
        if measured[part] < floor
    ]


def raised(measured: Mapping[str, float], floors: Mapping[str, float]) -> dict[str, float]:
    """The floors, lifted to what was measured where that is more.

    >>> raised({"a": 66.6, "b": 90.0}, {"a": 66.7, "b": 89.0})
    {'a': 66.7, 'b': 90.0}
    """
    return {part: max(floor, measured[part]) for part, floor in floors.items()}


def main(arguments: list[str]) -> int:
    """Print the coverage of each part.  Returns 1 if one is below its floor."""
    floors: dict[str, float] = json.loads(FLOORS.read_text(encoding="utf-8"))
    report = subprocess.run(
        [sys.executable, "-m", "coverage", "json", "-q", "-o", "-"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    files = {path.replace("\\", "/"): file["summary"] for path, file in json.loads(report.stdout)["files"].items()}
    measured = shares(files, floors)
    for part, share in measured.items():
        print(f"{part:24}{share:6.1f} %   floor {floors[part]:.1f} %")
    if "--raise" in arguments:
        floors = raised(measured, floors)
        FLOORS.write_text(json.dumps(floors, indent=1) + "\n", encoding="utf-8")
    failures = below(measured, floors)
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
