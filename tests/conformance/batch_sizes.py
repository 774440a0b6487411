"""Batch invariance over the conformance kit: how the input is cut into steps is never seen in the log.

Every case of the kit's ``qtt`` suite that runs is played with 1, 2, 7 and any number of records per step, all updates being
emitted.  Every topic, the processing log included, must hold the same records each time: bytes, timestamps, headers, order.
(The processing log is compared as a bag: a step writes its reports operator by operator.)

Like `gate`, it passes where the kit is not on the machine.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from penstock.tests.conformance.gate import kit

SIZES = (None, 1, 2, 7)
"""Records per step; None leaves it at the default, which is more than any case has."""
PROCESSING_LOG = "ksql_processing_log"
_VOLATILE = re.compile(r"\b(RANDOM|UUID)\s*\(", re.IGNORECASE)
"""Functions that give another value each time, so that two runs cannot be compared."""

Logs = dict[str, Any]


def _recorder(make: Callable[[], Any], size: int | None, kept: Logs) -> Any:
    """An adapter that works in steps of that size, and at the end leaves in ``kept`` what all topics hold."""
    adapter = make()
    start, stop = adapter.start, adapter.stop

    def start_in_steps(config: Mapping[str, Any], properties: Mapping[str, Any]) -> None:
        start(config, properties if size is None else {**properties, "penstock.rows.per.step": size})

    def stop_and_keep() -> None:
        database = adapter._database
        for topic in database.topic_names():
            records = [repr(r) for r in database.consume(topic)]
            kept[topic] = Counter(re.sub(r", offset=\d+", "", r) for r in records) if topic == PROCESSING_LOG else records
        stop()

    adapter.start, adapter.stop = start_in_steps, stop_and_keep
    return adapter


def differences(case: Any) -> list[str]:
    """What a case's topics hold that depends on the number of records per step."""
    from execute import run_case

    from penstock.tests.conformance.adapter import PenstockAdapter

    reference: Logs = {}
    found: list[str] = []
    for size in SIZES:
        logs: Logs = {}
        outcome = run_case(case, partial(_recorder, PenstockAdapter, size, logs))
        logs["the outcome"] = [f"{outcome.status} {outcome.message}"]
        if size is None:
            reference = logs
            continue
        for topic in sorted(set(reference) | set(logs)):
            if reference.get(topic) != logs.get(topic):
                found.append(f"{size} per step: {topic}\n" + _first_difference(reference.get(topic), logs.get(topic)))
    return found


def _first_difference(whole: Any, cut: Any) -> str:
    if isinstance(whole, Counter) and isinstance(cut, Counter):
        return f"      only at once: {list((whole - cut).elements())}\n      only in steps: {list((cut - whole).elements())}"
    left, right = whole or [], cut or []
    place = next((i for i, (a, b) in enumerate(zip(left, right)) if a != b), min(len(left), len(right)))
    shown = [records[place] if place < len(records) else "nothing" for records in (left, right)]
    return f"      record {place} of {len(left)} at once: {shown[0]}\n      of {len(right)} in steps: {shown[1]}"


def _prepare(folder: str) -> None:
    sys.path.insert(0, folder)


def main() -> int:
    """Exit code 1 if a case's log depends on the size of steps."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--only", default="", help="a regular expression over the names of cases")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    folder = kit()
    if folder is None:
        print("batch sizes: the kit is not on this machine, nothing to check")
        return 0
    _prepare(str(folder))
    from cases import load

    chosen = [
        case
        for case in load(folder / "cases", ("qtt",))
        if "expects:run" in case.tags and not case.skip and re.search(options.only, case.id)
    ]
    chosen = [case for case in chosen if not any(map(_VOLATILE.search, case.statements))]
    with multiprocessing.get_context("spawn").Pool(options.jobs, _prepare, (str(folder),)) as pool:
        results = pool.map(differences, chosen, chunksize=16)
    failed = 0
    for case, found in zip(chosen, results, strict=True):
        if found:
            failed += 1
            print(f"{case.id}\n    " + "\n    ".join(found))
    print(
        f"batch sizes: {len(chosen) - failed} of {len(chosen)} cases give the same log for every number of records per step"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
