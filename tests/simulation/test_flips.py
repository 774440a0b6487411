"""Every bit of every file of a small database, flipped: named by an error, or without any effect on any answer.

``PENSTOCK_FLIPS=all`` (``make flips``) flips them all and prints what became of them; a number takes a sample of so many
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

from engine_workload import QUERIES, open_on, outcome

from penstock.engine.database import Database
from penstock.errors import PenstockError
from penstock.storage.faulty_files import FaultyFiles
from penstock.storage.layout import prepare
from penstock.storage.log.local import LocalLog
from penstock.storage.log.settings import LogSettings
from penstock.storage.verify import verify_files

WANTED = os.environ.get("PENSTOCK_FLIPS", "")
ALL = WANTED == "all"
PARTS = 16 if ALL else 1
SAMPLES = {"journal": 12, "checkpoint": 2}
"""Bytes of each file in the ordinary run, by kind; 1 of the others."""


SOURCES = (
    "CREATE STREAM ORDERS (ID BIGINT KEY, CUSTOMER STRING, AMOUNT BIGINT, ITEMS ARRAY<STRING>) "
    "WITH (KAFKA_TOPIC='orders', PARTITIONS=2, VALUE_FORMAT='ARROW');",
    "CREATE TABLE CUSTOMERS (NAME STRING PRIMARY KEY, CITY STRING) "
    "WITH (KAFKA_TOPIC='customers', PARTITIONS=1, VALUE_FORMAT='ARROW');",
    "CREATE STREAM AVRO (ID BIGINT KEY, V STRING) WITH (KAFKA_TOPIC='avro', PARTITIONS=1, VALUE_FORMAT='AVRO');",
)


def opened(files: FaultyFiles) -> Database:
    """Small segments, so that there are closed ones; the rows that make up a step do not matter here."""
    return open_on(files, 65_536, 2_500, **{"penstock.internal.topics": "false"})


def build(crashed: bool) -> tuple[FaultyFiles, dict[str, Any]]:
    """Topics with keys, headers, tombstones, typed or packed values, compacted offsets, state, checkpoints, schemas."""
    files = FaultyFiles(0)
    db = opened(files)
    for name in ("packed", "quick"):
        db.create_topic(name, config={"compression.type": {"packed": "zstd", "quick": "lz4"}[name]})
    for text in (*SOURCES, QUERIES["BIG"], QUERIES["SPEND"], QUERIES["HOPS"]):
        db.execute(text)
    for base in range(0, 40, 10):
        rows = [{"ID": i, "CUSTOMER": "abc"[i % 3], "AMOUNT": i, "ITEMS": [], "ROWTIME": base + i} for i in range(10)]
        db.insert("ORDERS", rows)
        db.insert("CUSTOMERS", [{"NAME": "a", "CITY": str(base) * 100, "ROWTIME": base}])
        db.drain()
    db.insert("AVRO", [{"ID": 1, "V": "x", "ROWTIME": 5}])
    db.produce("customers", key=b"a", value=None, timestamp=200)
    for name in ("packed", "quick"):
        db.produce(name, key=b"h", value=b"{}" * 100, timestamp=3, headers=[("h", b"1"), ("i", None)])
    db.drain()
    db._engine.log.maintain(1_000)
    if not crashed:
        db.close()
        db = opened(files)
        db.insert("ORDERS", [{"ID": 1, "CUSTOMER": "a", "AMOUNT": 7, "ITEMS": ["z"], "ROWTIME": 300}])
        db.drain()
    whole = answers(db)
    if not crashed:
        db.close()
    return files, whole


def answers(db: Database) -> dict[str, Any]:
    """All that a user can see, and all that the log holds for itself."""
    read_all(db._engine.log)
    return outcome(db)


def read_all(log: LocalLog) -> None:
    """Every record of every topic."""
    for topic, config in log.topics().items():
        for partition in range(config.partitions):
            log.read(topic, partition, log.start_offset(topic, partition), rows_max=100_000)


def look(files: FaultyFiles, path: str, position: int, bit: int, whole: dict[str, Any]) -> str:
    """What became of a flip: ``named`` or ``harmless``; anything else is an `AssertionError`."""
    place = f"{path}, byte {position}, bit {bit}"

    def damaged() -> FaultyFiles:
        copy = files.copy(1)
        copy.damage(path, position, 1 << bit)
        return copy

    only_read = damaged()
    found = [f for f in verify_files(only_read) if not f.harmless]
    try:
        if found:  # most damage is met by the log already, which is quick to ask
            log = LocalLog(prepare(only_read), LogSettings(background=False))
            read_all(log)
        db = opened(damaged())
        seen = answers(db)
        db.close()
    except PenstockError as error:
        assert path.rpartition("/")[2] in str(error) or "journal" in path, f"{place}: {error}"
        assert found, f"{place}: verify finds nothing, opening {error}"
        assert any(path in f.path or "journal" in path for f in found), f"{place}: {found}"
        return "named"
    assert seen == whole, f"{place}: other answers"
    return "harmless"


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("crashed", [False, True])
def test_every_flipped_bit(crashed: bool, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a clean close and after a kill: detected and named, or provably harmless.

    Args:
        part: which of the bytes: each `PARTS`-th, so that several processes can share the work.
    """
    monkeypatch.setattr("penstock.runtime.commit.CHECKPOINT_CHANGES_MIN", 1)
    files, whole = build(crashed)
    contents = files.contents()
    assert not [f for f in verify_files(files) if not f.harmless]
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
                tally[kind, look(files, path, position, bit, whole)] += 1
    assert tally["checkpoint", "named"] and tally["segment", "named"] and tally["journal", "named"]
    assert not tally["checkpoint", "harmless"]  # of a segment it is harmless where the journal carries the bytes
    if WANTED:
        for (kind, outcome_), count in sorted(tally.items()):
            print(f"{'crashed' if crashed else 'closed'}: {kind}: {outcome_} {count:,}")
