"""`kill -9` of a server under load: what was acknowledged is there, clients see an end, it starts again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx

SCRIPT = """
SET 'auto.offset.reset' = 'earliest';
CREATE STREAM s (id STRING KEY, v BIGINT) WITH (kafka_topic = 's', partitions = 1, value_format = 'json');
CREATE TABLE t AS SELECT id, COUNT(*) AS n FROM s GROUP BY id;
"""


def start(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """A server of its own, and its address."""
    command = [
        sys.executable,
        "-m",
        "penstock.repl.cli",
        "serve",
        str(folder / "s.sql"),
        "-d",
        str(folder / "data"),
        "--port",
        "0",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, listening(process)


def listening(process: subprocess.Popen[str]) -> str:
    """The address that a server tells on its standard output."""
    assert process.stdout is not None
    for line in process.stdout:
        if (found := re.search(r"listening on (http://\S+)", line)) is not None:
            return found[1]
    raise AssertionError("the server did not start")


def test_a_server_is_killed_and_started_again(tmp_path: Path) -> None:
    """Acknowledged rows are there, once or (the one in flight) not at all; a start resumes; SIGTERM ends it well."""
    (tmp_path / "s.sql").write_text(SCRIPT)
    process, url = start(tmp_path)
    acknowledged: dict[int, int] = {}
    ended: list[str] = []

    def insert(client: int) -> None:
        count = 0
        with httpx.Client(base_url=url, timeout=120) as http:
            try:
                while True:
                    lines = json.dumps({"target": "s"}) + "\n" + json.dumps({"id": f"c{client}", "v": count})
                    answer = http.post("/inserts-stream", content=lines)
                    if '"ok"' in answer.text:
                        count += 1
                        acknowledged[client] = count
            except httpx.TransportError:
                ended.append(f"client {client}")

    def read() -> None:
        try:
            with httpx.stream(
                "POST", f"{url}/query-stream", json={"sql": "SELECT * FROM s EMIT CHANGES;"}, timeout=120
            ) as rows:
                for _ in rows.iter_lines():
                    pass
        except httpx.TransportError:
            ended.append("reader")

    threads = [threading.Thread(target=insert, args=(n,)) for n in range(3)] + [threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 120
    while sum(acknowledged.values()) < 30 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(60)
    for thread in threads:
        thread.join(60)
    assert sorted(ended) == ["client 0", "client 1", "client 2", "reader"]
    process, url = start(tmp_path)
    try:
        for client, count in acknowledged.items():
            sql = f"SELECT v FROM s WHERE id = 'c{client}';"
            found = httpx.post(f"{url}/query-stream", json={"sql": sql}, timeout=120).text.splitlines()[1:]
            values = [json.loads(line)[0] for line in found]
            assert values[:count] == list(range(count)) and len(values) <= count + 1
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_a_server_that_is_told_to_end(tmp_path: Path) -> None:
    """SIGTERM: push queries get their final message, over HTTP and WebSocket, within 10 s."""
    import websockets.sync.client
    from websockets.exceptions import ConnectionClosed

    (tmp_path / "s.sql").write_text(SCRIPT)
    process, url = start(tmp_path)
    last: dict[str, str] = {}
    asked = httpx.QueryParams({"request": json.dumps({"ksql": "SELECT * FROM s EMIT CHANGES;"})})

    def over_http() -> None:
        with httpx.stream("POST", f"{url}/query", json={"ksql": "SELECT * FROM s EMIT CHANGES;"}, timeout=120) as answer:
            for line in answer.iter_lines():
                last["http"] = line

    def over_websocket() -> None:
        with websockets.sync.client.connect(f"{url.replace('http', 'ws')}/ws/query?{asked}") as socket:
            try:
                while True:
                    last["websocket"] = str(socket.recv(timeout=60))
            except ConnectionClosed as closed:
                assert closed.rcvd is not None
                last["code"] = str(closed.rcvd.code)

    threads = [threading.Thread(target=target) for target in (over_http, over_websocket)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 120
    while not {"http", "websocket"} <= set(last) and time.monotonic() < deadline:
        time.sleep(0.05)
    lines = json.dumps({"target": "s"}) + "\n" + json.dumps({"id": "a", "v": 1})
    assert '"ok"' in httpx.post(f"{url}/inserts-stream", content=lines, timeout=120).text
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert json.loads(last["http"].strip("],")) == {"finalMessage": "Query Completed"}
    assert (json.loads(last["websocket"]), last["code"]) == ({"error": "done"}, "1000")
