"""The whole engine on disks that fail: after any crash it finishes the work as if nothing had happened.

``PENSTOCK_SIMULATIONS=2000 pytest tests/simulation`` (``make sim``) tries that many seeds.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from engine_workload import Event, open_on, outcome, script

from penstock.engine.database import Database
from penstock.storage.faulty_files import Crash, FaultyFiles

SIMULATIONS = int(os.environ.get("PENSTOCK_SIMULATIONS", "60"))
LENGTH = 24


@pytest.fixture(autouse=True)
def early_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores are checkpointed after a few changes, so that crashes meet checkpoints, too."""
    monkeypatch.setattr("penstock.runtime.commit.CHECKPOINT_CHANGES_MIN", 20)


def run_whole(seed: int, events: list[Event], rows_max: int) -> tuple[dict[str, Any], int]:
    """What comes out without a crash, and how many operations on files that takes."""
    files = FaultyFiles(seed)
    db = open_on(files, rows_max)
    for event in events:
        event.do(db)
    found = outcome(db)
    db.close()
    return found, files.operations


def run_crashing(seed: int, events: list[Event], rows_max: int, crash_at: int, further: int) -> dict[str, Any]:
    """The same with a crash at an operation, and further ones while it recovers and goes on."""
    chance = random.Random(seed)
    files = FaultyFiles(seed, crash_at)
    db: Database | None = None
    done = 0
    in_doubt = False
    while True:
        try:
            if db is None:
                db = open_on(files, rows_max)
            if in_doubt and events[done].happened(db):
                done += 1
            in_doubt = False
            while done < len(events):
                in_doubt = True
                events[done].do(db)
                in_doubt = False
                done += 1
            found = outcome(db)
            db.close()
            db = open_on(files, rows_max)
            assert outcome(db) == found, "closing and opening changed something"
            db.close()
            return found
        except Crash:
            further -= 1
            files = files.after_crash(chance.randrange(300) if further >= 0 else None)
            db = None


def check(seed: int, crashes: int) -> None:
    """Crash a seed's script at random operations; the outcome must be that of the whole run."""
    chance = random.Random(seed)
    events = script(seed, LENGTH)
    rows_max = chance.choice((5, 17, 65_536))
    expected, operations = run_whole(seed, events, rows_max)
    for _ in range(crashes):
        crash_at, further = chance.randrange(operations), chance.choice((0, 0, 1, 3))
        place = f"seed {seed}, steps of {rows_max}, crash at operation {crash_at} of {operations}, then {further}"
        try:
            found = run_crashing(seed, events, rows_max, crash_at, further)
        except Exception as error:
            raise AssertionError(f"{place}: {type(error).__name__}: {error}") from error
        for key in expected.keys() | found.keys():
            assert found.get(key) == expected.get(key), f"{place}: {key}"


def test_a_crash_anywhere_loses_and_doubles_nothing() -> None:
    """Sinks, tables, accounts and the processing log are those of a run without crashes, record for record."""
    for seed in range(max(1, SIMULATIONS // 10)):
        check(seed, 2)
