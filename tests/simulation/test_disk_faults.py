"""The disk is full, or fails, at every call that a database makes: each time a clear error, and nothing lost or doubled.

The ordinary run takes some of the points; ``PENSTOCK_FAULTS=all pytest tests/simulation/test_disk_faults.py``
(``make faults``) takes all of them and shows how many there were.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fault_workload import SCENARIOS, base, faults_of, run, trace

from penstock.tests.support.faulty_files import FaultyFiles

ALL = os.environ.get("PENSTOCK_FAULTS") == "all"
PARTS = 8 if ALL else 1
"""Of each scenario's faults, so that several processes can share the work."""
SOME = 3


@pytest.fixture(scope="module")
def prepared() -> FaultyFiles:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("penstock.runtime.query.recovery.CHECKPOINT_CHANGES_MIN", 20)
        return base()


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_fault_at_every_call(
    name: str, part: int, prepared: FaultyFiles, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    """The error names file and action, what was committed stays readable, and work goes on when the fault is gone.

    Args:
        part: which of the faults: neighbours, because they often leave the same.
    """
    monkeypatch.setattr("penstock.runtime.query.recovery.CHECKPOINT_CHANGES_MIN", 20)
    expected, calls = trace(prepared, name)
    faults = faults_of(calls)
    some = faults[len(faults) * part // PARTS : len(faults) * (part + 1) // PARTS]
    chosen = some if ALL else random.Random(name).sample(faults, min(SOME, len(faults)))
    failed: list[str] = []
    passed: set[bytes] = set()
    for fault in chosen:
        try:
            run(prepared, name, fault, expected, passed)
        except Exception as error:
            failed.append(f"{fault} ({' '.join(calls[fault.call])}): {type(error).__name__}: {str(error)[:400]}")
            if len(failed) > (20 if ALL else 0):
                break
    record_property(f"{name} faults", len(chosen))
    for kind, count in Counter(f"{f.kind} on {calls[f.call][0]}" for f in chosen).items():
        record_property(kind, count)
    assert not failed, f"{len(failed)} of {len(chosen)} faults:\n" + "\n".join(failed)
