"""curl, as the documents use it: HTTP/1.1, and HTTP/2 by prior knowledge."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

import penstock

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")


def curl(*arguments: str, data: str | None = None) -> str:
    """What curl prints."""
    command = ["curl", "--silent", "--show-error", "--max-time", "20", *arguments]
    if data is not None:
        command += ["--data-binary", "@-"]
    return subprocess.run(command, input=data, capture_output=True, text=True, check=True, timeout=30).stdout


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_every_kind_of_request(server: penstock.Server, version: str) -> None:
    """A statement, a pull query, a push query, an insert."""
    (entity,) = json.loads(curl(version, f"{server.url}/ksql", data='{"ksql": "LIST STREAMS;"}'))
    assert entity["@type"] == "streams"
    pulled = curl(version, f"{server.url}/query-stream", data='{"sql": "SELECT item FROM spend WHERE item = \'tea\';"}')
    assert pulled.splitlines()[1] == '["tea"]'
    lines = '{"target":"orders"}\n{"id":9,"item":"x","euros":1}'
    assert curl(version, f"{server.url}/inserts-stream", data=lines) == '{"status":"ok","seq":0}\n'
    push = {"sql": "SELECT id FROM orders EMIT CHANGES LIMIT 3;", "properties": {"auto.offset.reset": "earliest"}}
    pushed = curl("--no-buffer", version, f"{server.url}/query-stream", data=json.dumps(push))
    assert pushed.splitlines()[1:] == ["[1]", "[2]", "[9]"]


def test_redirect(server: penstock.Server) -> None:
    """GET / leads to /info."""
    assert "KsqlServerInfo" in json.loads(curl("--location", server.url))
