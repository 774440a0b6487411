"""``penstock serve --log``: every line on stderr is JSON, whoever writes it."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from penstock.server.json_log import FACTS, JsonLines
from tests.unit.server.test_killed_server import listening

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_requests_are_lines_of_json(tmp_path: Path) -> None:
    """With the route and not the path, the status, the trace; a refused one, too."""
    command = [sys.executable, "-m", "penstock", "serve", "-d", str(tmp_path / "data"), "--port", "0", "--log"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    url = listening(process)
    httpx.post(f"{url}/ksql", json={"ksql": "SHOW STREAMS;"}, headers={"traceparent": TRACE}, timeout=60)
    httpx.post(f"{url}/ksql", json={"ksql": "SHOW NOTHING;"}, timeout=60)
    httpx.get(f"{url}/nowhere", timeout=60)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert all(line["at"] > 0 and line["level"] and line["logger"].startswith("penstock") for line in lines)
    requests = [line for line in lines if line.get("event") == "request"]
    assert [(line["method"], line["route"], line["status"]) for line in requests][:2] == [
        ("POST", "/ksql", 200),
        ("POST", "/ksql", 400),
    ]
    assert requests[2]["status"] == 404
    assert requests[0]["trace"] == TRACE.split("-")[1] and "trace" not in requests[1]
    for line in requests:
        assert {"ms", "bytes", "account", "client"} <= line.keys()


def test_any_record_is_one_line() -> None:
    """Facts that JSON does not have are texts; a message with line ends and an exception stay one line."""
    try:
        raise ValueError("a\nb")
    except ValueError:
        record = logging.getLogger("penstock.x").makeRecord(
            "penstock.x", logging.ERROR, "", 0, "%s\n", ("c",), sys.exc_info()
        )
    text = JsonLines().format(record)
    assert "\n" not in text
    assert json.loads(text)["message"] == "c\n" and "ValueError: a\nb" in json.loads(text)["exception"]
    record = logging.makeLogRecord({"msg": "m", FACTS: {"path": Path("p")}})
    assert json.loads(JsonLines().format(record))["path"] == "p"
