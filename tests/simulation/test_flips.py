"""Every bit of every file of a small database, flipped: named by an error, or without any effect on any answer.

``PENSTOCK_FLIPS=all`` (``make flips``) flips them all and shows what became of them; a number takes a sample of so many
bytes of each file; the ordinary run takes a few.
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

from flip_workload import Flips, Kept, build

WANTED = os.environ.get("PENSTOCK_FLIPS", "")
ALL = WANTED == "all"
PARTS = 16 if ALL else 1
SAMPLES = {"journal": 12, "checkpoint": 2}
"""Bytes of each file in the ordinary run, by kind; 1 of the others."""


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("crashed", [False, True])
def test_every_flipped_bit(crashed: bool, part: int, monkeypatch: pytest.MonkeyPatch, record_property: Any) -> None:
    """After a clean close and after a kill: detected and named, or provably harmless.

    Args:
        part: which of the bytes: each `PARTS`-th, so that several processes can share the work.
    """
    monkeypatch.setattr("penstock.runtime.query.recovery.CHECKPOINT_CHANGES_MIN", 1)
    flips = Flips(*build(crashed), Kept().within(monkeypatch))
    contents = flips.contents
    kinds = {name.rpartition(".")[2].rpartition("/")[2] for name in contents}
    assert kinds >= {"format", "journal", "segment", "checkpoint"} | ({"index"} if not crashed else set())
    chance = random.Random(7)
    tally: Counter[tuple[str, str]] = Counter()
    for path, data in sorted(contents.items()):
        used = len(data.rstrip(b"\0"))
        kind = path.rpartition(".")[2].rpartition("/")[2]
        count = min(used, int(WANTED) if WANTED.isdigit() else SAMPLES.get(kind, 1))
        places = range(part, len(data), PARTS) if ALL else sorted(chance.sample(range(used), count))
        for position in places:
            for bit in range(8) if ALL else [chance.randrange(8)]:
                if ALL and kind == "journal" and position > used + 64 and position % 4096:
                    tally["journal, zeros behind its end", "as one of 4096"] += 1
                    continue
                tally[kind, flips.look(path, position, bit)] += 1
    assert tally["checkpoint", "named"] and tally["segment", "named"] and tally["journal", "named"]
    assert not tally["checkpoint", "harmless"]  # of a segment it is harmless where the journal carries the bytes
    for (kind, outcome), count in tally.items():
        record_property(f"{'crashed' if crashed else 'closed'} {kind} {outcome}", count)
