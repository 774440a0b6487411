"""A server's figures: pull queries, push readers, inserts, and its start.

The server is a process of its own; so is whoever loads it, so both cores are shared by the two.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

SCRIPT = """
SET 'auto.offset.reset' = 'earliest';
CREATE STREAM events (id STRING KEY, v BIGINT) WITH (kafka_topic = 'events', partitions = 1, value_format = 'json');
CREATE STREAM typed (id STRING KEY, v BIGINT) WITH (kafka_topic = 'typed', partitions = 1);
CREATE TABLE totals AS SELECT id, COUNT(*) AS n, SUM(v) AS total FROM events GROUP BY id;
"""


@contextlib.contextmanager
def server(*options: str) -> Iterator[tuple[str, int, float]]:
    """A server over an empty directory: its host and port, its process, and the seconds until its first answer."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "bench.sql"
        script.write_text(SCRIPT)
        command = [sys.executable, "-m", "penstock.repl.cli", "serve", str(script), "-d", f"{folder}/data", "--port", "0"]
        began_s = time.perf_counter()
        process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            port = 0
            for line in process.stdout:
                if (found := re.search(r"listening on http://[\d.]+:(\d+)", line)) is not None:
                    port = int(found[1])
                    break
            asyncio.run(request(port, "GET", "/info", b""))
            yield str(port), process.pid, time.perf_counter() - began_s
        finally:
            process.terminate()
            process.wait(20)


async def request(port: int, method: str, path: str, body: bytes) -> bytes:
    """One request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head(method, path, len(body)) + body)
    status, content = await answer(reader)
    writer.close()
    assert status == 200, content
    return content


def head(method: str, path: str, length: int) -> bytes:
    return f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {length}\r\n\r\n".encode()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """A whole answer, with a length or in chunks."""
    lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    status = int(lines[0].split()[1])
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
    if b"content-length" in headers:
        return status, await reader.readexactly(int(headers[b"content-length"]))
    content = b""
    while (size := int(await reader.readline(), 16)) > 0:
        content += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return status, content


# --- pull ----------------------------------------------------------------------------------


async def _pull(port: int, clients: int, seconds: float) -> tuple[int, list[float]]:
    delays: list[float] = []
    end_s = time.perf_counter() + seconds

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        count = 0
        while time.perf_counter() < end_s:
            sql = f"SELECT * FROM totals WHERE id = 'k{(number * 7919 + count) % 10_000}';"
            body = json.dumps({"sql": sql}).encode()
            began_s = time.perf_counter()
            writer.write(head("POST", "/query-stream", len(body)) + body)
            status, content = await answer(reader)
            delays.append(time.perf_counter() - began_s)
            assert status == 200 and content.count(b"\n") == 2, content
            count += 1
        writer.close()

    await asyncio.gather(*(client(n) for n in range(clients)))
    return len(delays), delays


def pull(seconds: float = 8.0) -> dict[str, Any]:
    """Lookups by key from 32 clients with keep-alive."""
    with server() as (port, _, started_s):
        rows = "\n".join(json.dumps({"id": f"k{n}", "v": n}) for n in range(10_000))
        asyncio.run(request(int(port), "POST", "/inserts-stream", b'{"target":"events"}\n' + rows.encode()))
        time.sleep(1)
        asyncio.run(_pull(int(port), 32, 1.0))
        count, delays = asyncio.run(_pull(int(port), 32, seconds))
        return {
            "start_to_first_answer_s": round(started_s, 2),
            "pulls_per_s": round(count / seconds),
            "p50_ms": round(float(np.percentile(delays, 50)) * 1000, 1),
            "p99_ms": round(float(np.percentile(delays, 99)) * 1000, 1),
        }


# --- push ----------------------------------------------------------------------------------


async def _push(port: int, pid: int, readers: int, rows: int) -> dict[str, Any]:
    delays: list[float] = []
    body = json.dumps({"sql": "SELECT * FROM totals EMIT CHANGES;"}).encode()
    before = _memory_kib(pid)
    opened = []
    for _ in range(readers):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("POST", "/query-stream", len(body)) + body)
        opened.append((reader, writer))
    for reader, _ in opened:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readuntil(b"}\n\r\n")
    await asyncio.sleep(2)
    memory = (_memory_kib(pid) - before) / readers
    sent: dict[str, float] = {}

    async def read(reader: asyncio.StreamReader) -> None:
        for _ in range(rows):
            line = await reader.readuntil(b"]\n\r\n")
            key = line[line.index(b'"') + 1 :].split(b'"')[0].decode()
            delays.append(time.perf_counter() - sent[key])

    reading = [asyncio.ensure_future(read(reader)) for reader, _ in opened]
    for number in range(rows):
        sent[f"p{number}"] = time.perf_counter()
        line = json.dumps({"id": f"p{number}", "v": 1}).encode()
        await request(port, "POST", "/inserts-stream", b'{"target":"events"}\n' + line)
        await asyncio.sleep(max(0.0, sent[f"p{number}"] + 0.1 - time.perf_counter()))
    await asyncio.wait_for(asyncio.gather(*reading), 60)
    for _, writer in opened:
        writer.close()
    return {
        "push_readers": readers,
        "kib_per_idle_reader": round(memory, 1),
        "push_p50_ms": round(float(np.percentile(delays, 50)) * 1000),
        "push_p99_ms": round(float(np.percentile(delays, 99)) * 1000),
    }


def _memory_kib(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def push(readers: int = 1_000, rows: int = 60) -> dict[str, Any]:
    """Readers of one table, each of which gets each of ten rows a second."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    with server() as (port, pid, _):
        return asyncio.run(_push(int(port), pid, readers, rows))


# --- insert --------------------------------------------------------------------------------


def insert_json(rows: int = 200_000) -> dict[str, Any]:
    """One client, one /inserts-stream, every row acknowledged when it is durable."""
    with server() as (port, _, _):
        lines = "\n".join(json.dumps({"ID": f"k{n % 1000}", "V": n}) for n in range(rows)).encode()
        began_s = time.perf_counter()
        content = asyncio.run(_insert(int(port), b'{"target":"typed"}\n' + lines))
        elapsed_s = time.perf_counter() - began_s
        assert content.count(b'"ok"') == rows
        return {"json_rows_per_s": round(rows / elapsed_s)}


async def _insert(port: int, body: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 26)
    writer.write(head("POST", "/inserts-stream", len(body)) + body)
    _, content = await answer(reader)
    writer.close()
    return content


def insert_arrow(rows: int = 4_000_000, at_once: int = 1_000_000) -> dict[str, Any]:
    """One client, Arrow streams of a million rows."""
    with server() as (port, _, _):
        numbers = np.arange(at_once)
        ids = pa.array([f"k{n % 1000}" for n in range(at_once)])
        sink = pa.BufferOutputStream()
        table = pa.table({"ID": ids, "V": pa.array(numbers)})
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        body = sink.getvalue().to_pybytes()
        began_s = time.perf_counter()
        for _ in range(rows // at_once):
            asyncio.run(request(int(port), "POST", "/v1/arrow/typed", body))
        return {"arrow_rows_per_s": round(rows / (time.perf_counter() - began_s))}


def main() -> None:
    """All of it."""
    for part in (pull, push, insert_json, insert_arrow):
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:  # a fresh process for each, so that none pays for what another left
            print(part.__name__, json.dumps(pool.apply(part)), flush=True)


if __name__ == "__main__":
    main()
