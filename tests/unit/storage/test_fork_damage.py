"""Directories in which a forked child of an older build wrote: verify and repair agree, and repair saves what is whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from penstock import connect
from penstock.storage.repair import plan_repair
from penstock.storage.verify import verify_directory

OLD_BUILD = """
import json, os, random, signal, sys
from penstock.storage import forks
from penstock.storage.files import RealFiles
forks.Origin.check = lambda self, root: None
forks.Origin.foreign = property(lambda self: False)
RealFiles.forked = lambda self: None
import penstock
from penstock.storage.log.local.maintenance.housekeeper import Housekeeper
Housekeeper._start = lambda self: None

path, seed, closes = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True"
alone = seed == 0
chance = random.Random(seed)
db = penstock.connect(path, threads=0)
db.execute('''CREATE STREAM s (k STRING KEY, v STRING) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=2);
CREATE TABLE counts AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;''')
parent, child = [], []

def insert(name, into):
    db.insert("s", [{"k": name, "v": "x" * chance.choice([5, 50, 5000, 60000])}])
    into.append(name)

for i in range(5):
    insert(f"before-{i}", parent)
db.drain()
up, down = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    signal.alarm(20)  # a lock that another thread of the parent held is never released here
    os.close(up[0])
    chance = random.Random(seed + 1000)
    db._engine.log.committer._io._pool = None  # its threads are not here
    for i in range(6 if alone else chance.randrange(1, 8)):
        insert(f"child-{i}", child)
        if not alone and chance.random() < 0.5:
            os.write(up[1], b"x")
            os.read(down[0], 1)
    if chance.random() < 0.5:
        db.drain()
    os.write(up[1], b"e")
    os._exit(0)
os.close(up[1])
while os.read(up[0], 1) == b"x":
    insert(f"parent-{len(parent)}", parent)
    os.write(down[1], b"x")
os.waitpid(pid, 0)
for _ in range(0 if alone else chance.randrange(0, 4)):
    insert(f"parent-{len(parent)}", parent)
if closes:
    db.close()
print(json.dumps(parent), flush=True)
os._exit(0)
"""


def damaged(path: Path, seed: int, closes: bool) -> list[str]:
    """Make a directory; returns what the parent was told to be there."""
    done = subprocess.run(
        [sys.executable, "-c", OLD_BUILD, str(path), str(seed), str(closes)],
        capture_output=True,
        text=True,
        cwd=path.parent,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.parametrize("closes", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_repair_finds_what_verify_finds_and_the_database_opens(tmp_path: Path, seed: int, closes: bool) -> None:
    """All that the parent was told is there but for what the child overwrote, and of the child's rows those that the parent
    did not overwrite; each is counted once."""
    told = damaged(tmp_path / "db", seed, closes)
    damage = [finding for finding in verify_directory(tmp_path / "db") if not finding.harmless]
    with plan_repair(tmp_path / "db") as plan:
        assert plan.refused == []
        assert bool(plan.steps) == bool(damage)
        lost = any(
            "back to commit" in s.action or (": keep the whole" in s.action and s.loss != "nothing") for s in plan.steps
        )
        promised = sum(
            int(s.action.split(" records of s")[0].split()[-1]) for s in plan.steps if " records of s" in s.action
        )
        if plan.steps:
            plan.apply()
    assert [finding for finding in verify_directory(tmp_path / "db") if not finding.harmless] == []
    with connect(tmp_path / "db", threads=0) as db:
        db.drain()
        keys = [record.key.decode() for record in db.consume("s") if record.key is not None]
        assert len(set(keys)) == len(keys)
        assert lost or set(told) <= set(keys)
        assert sum(key.startswith("child") for key in keys) >= promised
        assert sorted(row[0] for row in db.sql("SELECT * FROM counts;").fetchall()) == sorted(keys)
        db.insert("s", [{"k": "after", "v": "x"}])
    with connect(tmp_path / "db") as db:
        assert any(record.key == b"after" for record in db.consume("s"))


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_rows_of_a_child_that_wrote_alone_are_saved(tmp_path: Path) -> None:
    """The parent wrote nothing behind the fork, and closed: it cut its segments (so large rows are gone), and overwrote the
    first record in the journal; all other small rows are there."""
    told = damaged(tmp_path / "db", 0, True)
    with plan_repair(tmp_path / "db") as plan:
        assert plan.steps
        plan.apply()
    with connect(tmp_path / "db", threads=0) as db:
        keys = sorted(record.key.decode() for record in db.consume("s") if record.key is not None)
    assert set(told) <= set(keys) <= {*told, *(f"child-{i}" for i in range(6))}
    assert len(keys) == len(set(keys)) >= len(told) + 3
