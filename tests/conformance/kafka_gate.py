"""Runs the conformance kit over Apache Kafka, in record mode, beside the log on this machine.

``PENSTOCK_KAFKA`` names the broker (`make conformance-kafka` starts one).  What passes on the log of a machine must pass
here, but for the cases that `known_differences_kafka.md` names: their expectation rests on what a log in Kafka does not
have, the order of arrival between topics.  ``--sample N`` plays N cases, spread over all.

Like `gate`, it passes where the kit is not on the machine.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from gate import GROUPS, Case, kit, run

ADAPTER = "tests.conformance.kafka_adapter:KafkaAdapter"
DIFFERENCES = Path(__file__).resolve().parent / "known_differences_kafka.md"
GROUP = "run, record"
TIMEOUT_S = 180
JOBS = 8
"""Most of a case's time is waiting for the broker."""


def known_differences() -> set[str]:
    """The cases that may fail here: the names in the headings of the page."""
    headings = [line for line in DIFFERENCES.read_text(encoding="utf-8").splitlines() if line.startswith("## ")]
    return {name for heading in headings for name in re.findall(r"`([^`]+)`", heading)}


def _spread(ids: Sequence[str], count: int) -> list[str]:
    return [ids[number * len(ids) // count] for number in range(count)]


def _passed(cases: Sequence[Case]) -> set[str]:
    return {case["id"] for case in cases if case["status"] == "passed"}


def main() -> int:
    """Exit code 1 if a case fails that must not."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sample", type=int, help="so many cases; by default all of them")
    parser.add_argument("--jobs", type=int, default=JOBS)
    options = parser.parse_args()
    folder = kit()
    if folder is None:
        print("conformance over Kafka: the kit is not on this machine, nothing to check")
        return 0
    if not os.environ.get("PENSTOCK_KAFKA"):
        raise SystemExit("PENSTOCK_KAFKA names no broker: see `make conformance-kafka`")
    mode, belongs = GROUPS[GROUP]
    chosen = ["--tag", "expects:run", "--not-tag", "needs:*", "--not-tag", "multi-query"]
    local = [case for case in run(folder, mode, os.cpu_count() or 1, chosen) if case["status"] != "skipped"]
    assert all(map(belongs, local))
    if options.sample is not None:
        ids = set(_spread([case["id"] for case in local], options.sample))
        chosen += ["--only", f"^({'|'.join(map(re.escape, sorted(ids)))})$"]
        local = [case for case in local if case["id"] in ids]
    found = run(folder, mode, options.jobs, [*chosen, "--timeout", str(TIMEOUT_S)], ADAPTER)
    there = [case for case in found if case["status"] != "skipped"]
    here = f"on this machine: {len(_passed(local))} of {len(local)}"
    print(f"{GROUP} over Kafka: {len(_passed(there))} of {len(there)}; {here}")
    known = known_differences()
    wrong = sorted(_passed(local) - _passed(there) - known)
    for case in there:
        if case["id"] in wrong:
            print(f"  passes on this machine only: {case['id']} ({case['suite']}): {case['message']}")
    if options.sample is None:
        for name in sorted(known & _passed(there)):
            print(f"  is named as a difference, and passes: {name}")
    return 1 if wrong or len(there) != len(local) else 0


if __name__ == "__main__":
    sys.exit(main())
