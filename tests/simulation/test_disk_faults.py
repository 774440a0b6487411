"""The disk is full, or fails, at every call that a database makes: each time a clear error, and nothing lost or doubled.

The ordinary run takes some of the points; ``PENSTOCK_FAULTS=all pytest tests/simulation/test_disk_faults.py``
(``make faults``) takes all of them and prints how many there were.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fault_workload import SCENARIOS, base, faults_of, run, trace

from penstock.storage.faulty_files import FaultyFiles

ALL = os.environ.get("PENSTOCK_FAULTS") == "all"
SOME = 3


@pytest.fixture(scope="module")
def prepared() -> FaultyFiles:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("penstock.runtime.commit.CHECKPOINT_CHANGES_MIN", 20)
        return base()


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_fault_at_every_call(name: str, prepared: FaultyFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names file and action, what was committed stays readable, and work goes on when the fault is gone."""
    monkeypatch.setattr("penstock.runtime.commit.CHECKPOINT_CHANGES_MIN", 20)
    expected, calls = trace(prepared, name)
    faults = faults_of(calls)
    chosen = faults if ALL else random.Random(name).sample(faults, min(SOME, len(faults)))
    failed = []
    for fault in chosen:
        try:
            run(prepared, name, fault, expected)
        except Exception as error:
            failed.append(f"{fault} ({' '.join(calls[fault.call])}): {type(error).__name__}: {str(error)[:400]}")
            if len(failed) > (20 if ALL else 0):
                break
    kinds = Counter(f"{f.kind} on {calls[f.call][0]}" for f in chosen)
    print(f"{name}: {len(calls)} calls, {len(chosen)} faults: {dict(sorted(kinds.items()))}")
    assert not failed, f"{len(failed)} of {len(chosen)} faults:\n" + "\n".join(failed)
