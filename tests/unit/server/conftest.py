"""A database in memory behind a server on a free port, and clients for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

import penstock
from penstock.server.app import Application
from penstock.server.config import ServerConfig
from penstock.server.service import Service

SHOP = """
SET 'auto.offset.reset' = 'earliest';
CREATE STREAM orders (id STRING KEY, customer STRING, euros DECIMAL(6, 2))
    WITH (kafka_topic = 'orders', partitions = 1, value_format = 'json');
CREATE TABLE spend AS SELECT customer, COUNT(*) AS n, SUM(euros) AS total FROM orders GROUP BY customer;
"""


class Api:
    """A client of one server: each method is one request, and gives what was answered."""

    def __init__(self, server: penstock.Server, database: penstock.Database, **options: Any) -> None:
        self.server = server
        self.database = database
        self.url = server.url
        self.http = httpx.Client(base_url=server.url, timeout=20, **options)

    def ksql(self, text: str, **members: Any) -> Any:
        """Entities, or the error."""
        return self.http.post("/ksql", json={"ksql": text, **members}).json()

    def rows(self, sql: str, **members: Any) -> list[Any]:
        """The lines of /query-stream."""
        answer = self.http.post("/query-stream", json={"sql": sql, **members})
        return [json.loads(line) for line in answer.text.splitlines() if line]

    def insert(self, target: str, *rows: dict[str, Any]) -> list[Any]:
        """The acknowledgements of /inserts-stream."""
        lines = [json.dumps({"target": target}), *(json.dumps(row) for row in rows)]
        answer = self.http.post("/inserts-stream", content="\n".join(lines))
        return [json.loads(line) for line in answer.text.splitlines() if line]

    def settle(self) -> None:
        """Wait until the queries have taken in all there is."""
        assert self.database.wait_idle(20)


@pytest.fixture
def routes(database: penstock.Database) -> frozenset[tuple[str, str]]:
    """Method and path of every route of the application."""
    service = Service(database, ServerConfig(), "127.0.0.1:0")
    try:
        return frozenset((method, path.replace(":path", "")) for method, path in Application(service, ()).routes)
    finally:
        service.close()


@pytest.fixture
def database() -> Iterator[penstock.Database]:
    with penstock.connect(None) as opened:
        yield opened


@pytest.fixture
def api(database: penstock.Database) -> Iterator[Api]:
    """A server over an empty database."""
    with penstock.serve(database, port=0) as server:
        client = Api(server, database)
        yield client
        client.http.close()


@pytest.fixture
def shop(api: Api) -> Api:
    """The server, with a stream, a table, and three orders."""
    api.database.execute(SHOP)
    api.insert(
        "orders",
        {"id": "1", "customer": "ada", "euros": 12.5},
        {"id": "2", "customer": "bob", "euros": 3},
        {"id": "3", "customer": "ada", "euros": 0.25},
    )
    api.settle()
    return api
