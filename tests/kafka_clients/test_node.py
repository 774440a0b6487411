"""Clients of npm, as they are: kafkajs and @platformatic/kafka.  `make foreign-kafka` installs them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import penstock

MODULES = Path(__file__).parents[2] / "build" / "kafka" / "npm" / "node_modules"

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (MODULES / "kafkajs").is_dir(),
    reason="node or build/kafka/npm is missing: `make foreign-kafka` installs kafkajs where npm is to be had",
)


def test_kafkajs(address: str, database: penstock.Database) -> None:
    """Transactions that end either way, a group of two members that rebalances, offsets, topics created and deleted."""
    script = Path(__file__).parent / "node" / "clients.js"
    done = subprocess.run(
        ["node", str(script), address, str(MODULES)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    words = [(f"{which} {number}", str(number)) for which in ("first", "second") for number in range(50)]
    assert {tuple(found) for found in printed["found"]} == {(word, word, number) for word, number in words}
    assert printed["committed"] == 100
    assert "t" not in database.log.topics()


@pytest.mark.skipif(not (MODULES / "@platformatic").is_dir(), reason="`make foreign-kafka` installs @platformatic/kafka")
def test_platformatic(address: str, database: penstock.Database) -> None:
    """A client that knows versions with tagged fields alone, and fetches topics by their ids."""
    script = Path(__file__).parent / "node" / "platformatic.mjs"
    done = subprocess.run(
        ["node", str(script), address, str(MODULES)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert {tuple(found) for found in printed["found"]} == {(f"k{n}", f"v{n}", str(n)) for n in range(50)}
    assert (printed["state"], printed["id"].count("0") < 32) == ("STABLE", True)
    assert "t" in printed["listed"] and "t" not in database.log.topics()
