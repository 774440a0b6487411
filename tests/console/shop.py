"""A small shop behind a server, for the console to look at: orders come all the time, late and broken ones, too."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import penstock

SCRIPT = """
SET 'auto.offset.reset' = 'earliest';
CREATE STREAM orders (id BIGINT KEY, customer STRING, item STRING, euros DECIMAL(8, 2), placed TIMESTAMP)
    WITH (kafka_topic = 'orders', partitions = 3, value_format = 'json', timestamp = 'placed');
CREATE TABLE customers (name STRING PRIMARY KEY, city STRING)
    WITH (kafka_topic = 'customers', partitions = 3, value_format = 'json');
CREATE STREAM orders_with_city AS
    SELECT orders.customer, orders.id AS id, item, euros, city
    FROM orders LEFT JOIN customers ON orders.customer = customers.name;
CREATE TABLE revenue_by_city AS
    SELECT city, COUNT(*) AS orders, SUM(euros) AS revenue, MAX(euros) AS dearest FROM orders_with_city GROUP BY city;
CREATE TABLE sales_per_second AS
    SELECT item, COUNT(*) AS sold, SUM(euros) AS revenue
    FROM orders WINDOW TUMBLING (SIZE 1 SECOND, GRACE PERIOD 2 SECONDS) GROUP BY item;
CREATE STREAM large_orders AS SELECT * FROM orders_with_city WHERE euros > 90;
"""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""Of Chromium: tests may run as root, and it shall look for nobody but the server."""
CUSTOMERS = {"ada": "London", "bob": "Berlin", "chloé": "Paris", "dora": "Porto", "emil": "Berlin", "fay": "London"}
ITEMS = ("tea", "coffee", "bread", "cheese", "honey")


class Shop:
    """Makes orders; the same ones for the same seed."""

    def __init__(self, database: penstock.Database, seed: int = 1) -> None:
        self.database = database
        self.orders = 0
        self._random = random.Random(seed)

    def open(self) -> None:
        """Define it all, and let the customers in."""
        self.database.execute(SCRIPT)
        self.database.insert("customers", [{"name": n, "city": c} for n, c in CUSTOMERS.items()])

    def order(self, count: int, at_ms: int | None = None) -> None:
        """So many orders at once, spread over the second before a time."""
        now = time.time_ns() // 1_000_000 if at_ms is None else at_ms
        rows: list[dict[str, Any]] = []
        for _ in range(count):
            self.orders += 1
            when = now - self._random.randrange(1_000)
            rows.append(
                {
                    "id": self.orders,
                    "customer": self._random.choice(list(CUSTOMERS)),
                    "item": self._random.choice(ITEMS),
                    "euros": f"{self._random.uniform(1, 100):.2f}",
                    "placed": when,
                }
            )
        self.database.insert("orders", rows)

    def late_order(self) -> None:
        """One that comes an hour late."""
        self.order(1, time.time_ns() // 1_000_000 - 3_600_000)

    def broken_order(self) -> None:
        """One that is no JSON."""
        self.database.produce("orders", key=b"\0" * 8, value=b'{"customer": "mallory", ')

    def odd_order(self) -> None:
        """Written by somebody else, who knows more than the stream does."""
        value = {
            "customer": "ada",
            "item": "tea",
            "euros": 12.5,
            "placed": time.time_ns() // 1_000_000,
            "gift": {"wrap": "red"},
        }
        self.database.produce("orders", key=(2**53 + 1).to_bytes(8, "big"), value=json.dumps(value).encode())


@contextmanager
def open_shop(**options: Any) -> Iterator[tuple[penstock.Server, Shop]]:
    """A server over a shop with some history; options are the server's."""
    with penstock.connect(None) as database:
        shop = Shop(database)
        shop.open()
        now = time.time_ns() // 1_000_000
        for second in range(30, 0, -1):
            shop.order(20, now - 1_000 * second)
        for _ in range(3):
            shop.late_order()
            shop.broken_order()
        shop.odd_order()
        assert database.wait_idle(30)
        with penstock.serve(database, port=0, **options) as server:
            yield server, shop


@contextmanager
def traffic(shop: Shop, per_second: int = 200) -> Iterator[None]:
    """Orders come all the time while this is open."""
    end = threading.Event()

    def work() -> None:
        while not end.wait(0.1):
            shop.order(max(1, per_second // 10))

    thread = threading.Thread(target=work, name="shop-traffic")
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
