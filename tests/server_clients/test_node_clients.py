"""npm's ksqldb-client and Cube's driver, as they are: `make server-clients` installs them into build/npm."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import penstock

HERE = Path(__file__).parent
MODULES = HERE.parent.parent / "build" / "npm" / "node_modules"

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (MODULES / "ksqldb-client").is_dir(),
    reason="node or build/npm is missing: `make server-clients` installs the clients where npm is to be had",
)


def run(script: str, *arguments: str) -> Any:
    """What a script prints, as JSON."""
    done = subprocess.run(
        ["node", str(HERE / script), *arguments],
        env={"NODE_PATH": str(MODULES), "PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": "/tmp"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_ksqldb_client(server: penstock.Server) -> None:
    """All its calls."""
    place = urlsplit(server.url)
    found = run("ksqldb_client.js", str(place.hostname), str(place.port))
    assert found["created"]["status"] == 200
    assert found["failed"]["status"] == 400
    assert {s["name"] for s in found["streams"]} == {"ORDERS", "MADE"}
    assert [t["name"] for t in found["tables"]] == ["SPEND"]
    assert {"name": "orders", "replicaInfo": [1]} in found["topics"]
    assert len(found["queries"]) == 1
    assert found["described"]["topic"] == "orders"
    assert found["pulled"]["data"]["rows"] == [{"ITEM": "tea", "N": 1, "TOTAL": 2.5}]
    assert found["pulled"]["data"]["metadata"]["columnNames"] == ["ITEM", "N", "TOTAL"]
    assert found["inserted"]["data"]["rows"][0] == {"status": "ok", "seq": 0}
    assert [(row["ID"], row["ITEM"], row["EUROS"]) for row in found["pushed"]] == [
        (1, "tea", 2.5),
        (2, "nut", 1.0),
        (5, "fig", 1.5),
    ]
    assert found["closed"]["status"] == 200


@pytest.mark.skipif(not (MODULES / "@cubejs-backend").is_dir(), reason="Cube's driver is not installed in build/npm")
def test_cubes_driver(server: penstock.Server) -> None:
    """Connects, finds tables and columns, makes and drops a rollup."""
    found = run("ksql_driver.js", server.url)
    assert {t["fullTableName"] for t in found["tables"]} == {"ORDERS", "SPEND"}
    assert found["schema"][""]["SPEND"] == [
        {"name": "ITEM", "type": "STRING"},
        {"name": "N", "type": "BIGINT"},
        {"name": "TOTAL", "type": "DOUBLE"},
    ]
    assert [c["name"] for c in found["columns"]] == ["ITEM", "N"]
    assert found["download"]["partitions"] == 1
    assert found["dropped"]["@type"] == "currentStatus"
