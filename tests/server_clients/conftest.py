"""A server for clients that nobody here wrote."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import penstock

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
