"""Clients from npm, as they are: `make server-clients` installs them into build/npm."""

from __future__ import annotations

import base64
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


def run(script: str, *arguments: str, needs: str = "ksqldb-client") -> Any:
    """What a script prints, as JSON."""
    if not (MODULES / needs).is_dir():
        pytest.skip(f"{needs} is not installed in build/npm")
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


def test_cubes_driver(server: penstock.Server) -> None:
    """Connects, finds tables and columns, makes and drops a rollup."""
    found = run("ksql_driver.js", server.url, needs="@cubejs-backend/ksql-driver")
    assert {t["fullTableName"] for t in found["tables"]} == {"ORDERS", "SPEND"}
    assert found["schema"][""]["SPEND"] == [
        {"name": "ITEM", "type": "STRING"},
        {"name": "N", "type": "BIGINT"},
        {"name": "TOTAL", "type": "DOUBLE"},
    ]
    assert [c["name"] for c in found["columns"]] == ["ITEM", "N"]
    assert found["download"]["partitions"] == 1
    assert found["dropped"]["@type"] == "currentStatus"


def check_ksqldb_js(found: Any) -> None:
    """What its calls have found that need no look at the server itself."""
    assert found["created"][0]["commandStatus"]["message"] == "Stream created"
    assert found["streamAs"].startswith("CSAS_LARGE_")
    assert found["tableAs"][0]["commandStatus"]["queryId"].startswith("CTAS_COUNTED_")
    assert found["header"]["columnNames"] == ["ID", "V"]
    assert found["rows"] == [[1, 1], [1, 2], [2, 3]]
    assert found["inserted"] == [{"status": "ok", "seq": seq} for seq in range(3)]
    assert (found["terminated"]["@type"], found["terminated"]["wasTerminated"]) == ("terminate_query", True)
    assert found["pulled"][1] == [1, 2, 3]
    assert [row[:2] for row in found["fromTo"]] == found["rows"]
    assert {s["name"] for s in found["listed"]["streams"]} == {"ORDERS", "MADE", "LARGE"}
    wrong = {"name": "ksqlDBError", "type": "statement_error", "code": 40001}
    assert found["failed"] == found["notPulled"] == wrong


def test_ksqldb_js(server: penstock.Server) -> None:
    """All its calls: it takes a DATA frame for a row, and for an acknowledgement."""
    found = run("ksqldb_js.js", server.url, needs="ksqldb-js")
    check_ksqldb_js(found)
    assert found["info"]["KsqlServerInfo"]["serverStatus"] == "RUNNING"
    assert found["health"]["isHealthy"] is True
    (host,) = found["cluster"]["clusterStatus"].values()
    assert host["hostAlive"] is True
    assert found["valid"] is True
    assert found["invalid"]["code"] == 40000
    assert found["status"]["status"] == "SUCCESS"
    assert found["noStatus"]["code"] == 40400
    assert found["ended"][0]["@type"] == "currentStatus"


def test_ksqldb_js_with_a_password_over_tls(guarded: tuple[penstock.Server, Path]) -> None:
    """HTTP/1.1 by axios and HTTP/2 by ALPN."""
    server, certificate = guarded
    check_ksqldb_js(run("ksqldb_js.js", server.url, "ada", "pw", str(certificate), needs="ksqldb-js"))


def test_npms_ksqldb(server: penstock.Server, database: penstock.Database) -> None:
    """Its sinks wait for the head of the answer before they send a row; a row is acknowledged while the next ones wait."""
    found = run("ksqldb_sinks.mjs", server.url, needs="ksqldb")
    assert found["created"][0]["commandStatus"]["status"] == "SUCCESS"
    assert (found["failed"]["code"], found["failed"]["status"]) == (40001, 400)
    assert "MADE_ID" in found["bad"]["message"]
    assert (found["noTarget"]["code"], found["noTarget"]["status"]) == (40000, 400)
    assert database.sql("SELECT made_id, v FROM made").fetchall() == [(n, n * 10) for n in range(1, 6)]


def test_kafkajs_schema_registry(server: penstock.Server, database: penstock.Database) -> None:
    """All its calls; SQL reads what it encodes."""
    found = run("confluent_schema_registry.js", server.url, needs="@kafkajs/confluent-schema-registry")
    assert found["again"] and found["latest"] and found["first"] and found["bySchema"]
    assert found["incompatible"]["status"] == 409
    assert found["otherLevel"]["name"] == "ConfluentSchemaRegistryCompatibilityError"
    assert found["noSubject"]["status"] == found["noSchema"]["status"] == 404
    assert found["read"] == [{"ID": 7, "ITEM": "tea"}] * 3
    database.create_topic("orders-avro")
    database.produce("orders-avro", value=base64.b64decode(found["data"]["avro"]))
    database.execute("CREATE STREAM read WITH (kafka_topic='orders-avro', value_format='avro');")
    assert database.sql("SELECT id, item FROM read").fetchall() == [(7, "tea")]
