"""A server for clients that nobody here wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import penstock
from penstock.server.accounts import hash_password
from tests.support.certificates import certificate

SHOP = """
SET 'auto.offset.reset' = 'earliest';
CREATE STREAM orders (id INT KEY, item STRING, euros DOUBLE)
    WITH (kafka_topic = 'orders', partitions = 1, value_format = 'json');
CREATE TABLE spend AS SELECT item, COUNT(*) AS n, SUM(euros) AS total FROM orders GROUP BY item;
"""


@pytest.fixture
def database() -> Iterator[penstock.Database]:
    """A stream, a table, and two orders."""
    with penstock.connect(None) as opened:
        opened.execute(SHOP)
        opened.insert("orders", [{"id": 1, "item": "tea", "euros": 2.5}, {"id": 2, "item": "nut", "euros": 1.0}])
        assert opened.wait_idle(20)
        yield opened


@pytest.fixture
def server(database: penstock.Database) -> Iterator[penstock.Server]:
    with penstock.serve(database, port=0) as running:
        yield running


@pytest.fixture
def guarded(database: penstock.Database, tmp_path: Path) -> Iterator[tuple[penstock.Server, Path]]:
    """A server with TLS and the account ``ada`` (password ``pw``), and its certificate."""
    made, key = certificate(tmp_path, "localhost", "127.0.0.1")
    users = tmp_path / "users.toml"
    users.write_text(f'[users.ada]\npassword = "{hash_password("pw")}"\nrole = "admin"\n')
    with penstock.serve(database, port=0, users=users, certificate=made, private_key=key) as running:
        yield running, made
