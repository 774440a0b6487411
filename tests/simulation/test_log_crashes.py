"""The log on disks that fail: whatever happens, it shows exactly what was committed.

``PENSTOCK_SIMULATIONS=2000 pytest tests/simulation`` (``make sim``) tries that many seeds.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from log_workload import Run

from penstock.errors import StorageError
from penstock.tests.support.faulty_files import FAULTS, TEARINGS, Crash, Fault, FaultyFiles, Tearing

SIMULATIONS = int(os.environ.get("PENSTOCK_SIMULATIONS", "60"))
LONG = "PENSTOCK_SIMULATIONS" in os.environ
SEEDS = range(8) if LONG else (1, 2)


def crash_once(seed: int, crash_at: int | None, events: int, tearing: Tearing | None = None) -> int:
    """Run until the crash (or the end), then recover, through more crashes if chance wants; returns the operations.

    Args:
        tearing: what the crash leaves of what was not synced.
    """
    chance = random.Random(seed)
    files = FaultyFiles(seed, crash_at)
    run = Run(seed, files)
    try:
        run.run(events)
        return files.operations
    except Crash:
        pass
    while True:
        run.files = run.files.after_crash(chance.randrange(30) if chance.random() < 0.5 else None, tearing=tearing)
        tearing = None
        try:
            run.recover()
            break
        except Crash:
            continue
    run.files.crash_at = None
    run.run(5)
    return files.operations


@pytest.mark.parametrize("seed", SEEDS)
def test_a_crash_at_every_operation_leaves_a_committed_prefix(seed: int) -> None:
    """Whenever the process dies, the next one finds whole transactions, and all that were durable."""
    operations = crash_once(seed, None, 25)
    points = 0
    for crash_at in range(operations):
        for tearing in TEARINGS if LONG else (TEARINGS[crash_at % len(TEARINGS)],):
            points += 1
            try:
                crash_once(seed, crash_at, 25, tearing)
            except AssertionError as error:
                raise AssertionError(f"seed {seed}, crash at operation {crash_at}, {tearing}: {error}") from error
    print(f"seed {seed}: {operations} operations, {points} crashes")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fault_at_every_call_changes_nothing_or_stops_the_log(seed: int) -> None:
    """Whichever call fails, once or from then on: an error that names the file, and never another state than one of those
    that a client may expect."""
    calls = trace_of(seed, None)
    faults = [
        Fault(number, kind, lasting)  # type: ignore[arg-type]
        for number, (operation, _) in enumerate(calls)
        for kind in FAULTS[operation]
        for lasting in (False, True)
    ]
    for fault in faults if LONG else random.Random(seed).sample(faults, min(len(faults), 40)):
        try:
            trace_of(seed, fault)
        except AssertionError as error:
            place = f"seed {seed}, {fault} ({' '.join(calls[fault.call])})"
            raise AssertionError(f"{place}: {error}") from error
    print(f"seed {seed}: {len(calls)} calls, {len(faults)} faults")


def trace_of(seed: int, fault: Fault | None) -> list[tuple[str, str]]:
    """Run with a fault until it is met, heal, and go on; returns the calls."""
    files = FaultyFiles(seed)
    files.trace = []
    files.fault = fault
    run = Run(seed, files)
    while run.log is None:
        try:
            run.open()
        except StorageError as error:
            assert error.path
            assert error.action
            files.heal()
            run.log = None
    run.run(25)
    return files.trace


def test_random_crashes_leave_a_committed_prefix() -> None:
    """The same with many workloads and one crash each."""
    for seed in range(100, 100 + SIMULATIONS):
        try:
            crash_once(seed, random.Random(seed).randrange(200), 40)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def test_failing_writes_and_syncs_change_nothing_or_stop_the_log() -> None:
    """A full disk fails a commit and leaves the log usable; a failed sync stops it until it is opened again."""
    for seed in range(100_000, 100_000 + SIMULATIONS):
        chance = random.Random(seed)
        files = FaultyFiles(seed)
        run = Run(seed, files)
        try:
            run.run(5)
            files = run.files
            files.full_chance = chance.choice((0.0, 0.05, 0.3))
            files.sync_fails_chance = chance.choice((0.0, 0.05))
            files.crash_at = files.operations + chance.randrange(300)
            run.run(40)
        except Crash:
            run.files = run.files.after_crash(None)
            run.recover()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
