"""``penstock serve --kafka``: one process for HTTP and for Kafka clients, with the same users."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

aiokafka = pytest.importorskip("aiokafka")
pytest.importorskip("kio")
accounts = pytest.importorskip("penstock.server.accounts")
pytest.importorskip("hypercorn")


async def send(address: str, password: str) -> None:
    sender = aiokafka.AIOKafkaProducer(
        bootstrap_servers=address,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_plain_username="ada",
        sasl_plain_password=password,
        request_timeout_ms=5000,
    )
    try:
        await sender.start()
        await sender.send_and_wait("t", b"v")
    finally:
        await sender.stop()


def test_serve_with_kafka(tmp_path: Path) -> None:
    """The users of the file log in; SIGTERM ends both."""
    users = tmp_path / "users.toml"
    users.write_text(f'[users.ada]\npassword = "{accounts.hash_password("right")}"\nrole = "write"\n')
    command = [sys.executable, "-m", "penstock.repl.cli", "serve", "-d", str(tmp_path / "db"), "--port", "0"]
    command += ["--kafka", "127.0.0.1:0", "--users", str(users)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        printed = ""
        while "Kafka clients" not in printed:
            line = process.stdout.readline()
            assert line, printed
            printed += line
        found = re.search(r"Kafka clients: (\S+)", printed)
        assert found is not None
        asyncio.run(send(found[1], "right"))
        with pytest.raises(aiokafka.errors.KafkaError):
            asyncio.run(send(found[1], "wrong"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
