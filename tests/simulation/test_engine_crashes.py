"""The whole engine on disks that fail: after any crash it finishes the work as if nothing had happened.

``PENSTOCK_SIMULATIONS=2000 pytest tests/simulation`` (``make sim``) tries that many seeds; ``PENSTOCK_CRASHES=all`` (``make
crash-points``) crashes a short script at every one of its operations, in every way that a disk may be left, ``each`` in one
of these ways.
"""

from __future__ import annotations

import os
import random
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from engine_workload import Event, open_on, outcome, script, short_script

from penstock.tests.support.faulty_files import TEARINGS, Crash, FaultyFiles

SIMULATIONS = int(os.environ.get("PENSTOCK_SIMULATIONS", "60"))
LENGTH = 24
WANTED = os.environ.get("PENSTOCK_CRASHES", "")
PARTS = 32 if WANTED else 1
"""Of the operations, so that several processes can share the work."""
POINTS = 8
"""Operations at which the ordinary run crashes the short script."""


@pytest.fixture(autouse=True)
def early_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores are checkpointed after a few changes, so that crashes meet checkpoints, too."""
    monkeypatch.setattr("penstock.runtime.query.recovery.CHECKPOINT_CHANGES_MIN", 20)


def run_whole(seed: int, events: list[Event], rows_max: int) -> tuple[dict[str, Any], int]:
    """What comes out without a crash, and how many operations on files that takes."""
    files = FaultyFiles(seed)
    db = open_on(files, rows_max)
    for event in events:
        event.do(db)
    found = outcome(db)
    db.close()
    return found, files.operations


@dataclass
class Client:
    """Goes through a script on one database after the other, each opened on what a crash has left of the one before.

    Attributes:
        done: how many of the events have happened for certain.
        in_doubt: whether a crash came in the middle of the next one.
    """

    events: list[Event]
    rows_max: int
    done: int = 0
    in_doubt: bool = False

    def go_on(self, files: FaultyFiles) -> dict[str, Any]:
        """Open, see what has happened, do the rest; what comes out.

        Raises:
            Crash: the client knows how far it came, and can go on.
        """
        db = open_on(files, self.rows_max)
        if self.in_doubt and self.events[self.done].happened(db):
            self.done += 1
        self.in_doubt = False
        while self.done < len(self.events):
            self.in_doubt = True
            self.events[self.done].do(db)
            self.in_doubt = False
            self.done += 1
        found = outcome(db)
        db.close()
        db = open_on(files, self.rows_max)
        assert outcome(db) == found, "closing and opening changed something"
        db.close()
        return found


def run_crashing(seed: int, events: list[Event], rows_max: int, crash_at: int, further: int) -> dict[str, Any]:
    """The same with a crash at an operation, and further ones while it recovers and goes on."""
    chance = random.Random(seed)
    files = FaultyFiles(seed, crash_at)
    client = Client(events, rows_max)
    while True:
        try:
            return client.go_on(files)
        except Crash:
            further -= 1
            files = files.after_crash(chance.randrange(300) if further >= 0 else None)


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


@pytest.mark.parametrize("part", range(PARTS))
def test_a_crash_at_every_operation_of_joins_windows_and_a_chain(part: int, record_property: Any) -> None:
    """Before every write, sync, creation, rename, removal and truncation, or in the middle of a write.

    Args:
        part: which of the operations: neighbours, because they often leave the same.
    """
    events = short_script()
    expected, operations = run_whole(1, events, 65_536)
    first, end = operations * part // PARTS, operations * (part + 1) // PARTS
    points = range(first, end) if WANTED else sorted(random.Random(1).sample(range(operations), POINTS))
    passed: set[tuple[int, bool, bytes]] = set()
    for crash_at in points:
        crashed = FaultyFiles(1, crash_at)
        client = Client(events, 65_536)
        with pytest.raises(Crash):
            client.go_on(crashed)
        for tearing in TEARINGS if WANTED == "all" else (TEARINGS[crash_at % len(TEARINGS)],):
            left = crashed.copy().after_crash(tearing=tearing)
            # all that follows is a function of the disk and of what the client knows: the same again would end the same
            known = client.done, client.in_doubt, left.digest()
            if known in passed:
                continue
            place = f"crash at operation {crash_at} of {operations}, left on the disk: {tearing}"
            try:
                found = replace(client).go_on(left)
            except Exception as error:
                raise AssertionError(f"{place}: {type(error).__name__}: {error}") from error
            for key in expected.keys() | found.keys():
                assert found.get(key) == expected.get(key), f"{place}: {key}"
            passed.add(known)
    record_property("operations", len(points))
    record_property("crashes", len(points) * (len(TEARINGS) if WANTED == "all" else 1))
    record_property("different disks", len(passed))
