"""Run the shop: replay a day of orders, post an order and read one's own write, compare everything with DuckDB.

python examples/orders/shop.py
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from generate import MINUTE_MS, START_MS, Rows, events, tables

import penstock

HERE = Path(__file__).resolve().parent

EXPECTED = {
    "order_status": """
        WITH checks AS (
            SELECT o.id, coalesce(quantity <= units, false) AS passed FROM orders o LEFT JOIN stock s USING (product)
            UNION ALL SELECT id, quantity * price_cents < 200000 FROM orders
            UNION ALL SELECT order_id, approved FROM payments)
        SELECT id, customer, product, quantity, quantity * price_cents AS total_cents,
               CASE WHEN NOT bool_and(passed) THEN 'REJECTED' WHEN count(*) = 3 THEN 'CONFIRMED' ELSE 'PENDING' END AS status
        FROM orders JOIN checks USING (id) GROUP BY ALL""",
    "emails": f"""
        SELECT o.customer, o.id AS order_id, c.email,
               'Dear ' || c.name || ', your payment for ' || o.product ||
                   CASE WHEN approved THEN ' has arrived.' ELSE ' was declined.' END AS message
        FROM orders o JOIN payments p ON o.id = p.order_id JOIN customers c ON o.customer = c.id
        WHERE abs(p.rowtime - o.rowtime) <= {60 * MINUTE_MS}""",
}


def main() -> int:
    arguments = argparse.ArgumentParser(description="Order validation as streams.")
    arguments.add_argument("--orders", type=int, default=2_000, help="how many orders the day has")
    arguments.add_argument("--seed", type=int, default=7)
    options = arguments.parse_args()
    known, happened = tables(options.seed), events(options.seed, options.orders)
    with penstock.connect() as database:
        database.execute((HERE / "orders.sql").read_text(encoding="utf-8"))
        database.insert_many(known)
        database.wait_idle()  # customers and stock are there before the first order
        replay(database, happened)
        post_one(database, happened)
        database.wait_idle()
        database.sql("SELECT status, count(*) AS orders FROM order_status GROUP BY status ORDER BY status").show()
        return check(database, {**known, **happened})


def replay(database: penstock.Database, happened: dict[str, Rows]) -> None:
    """Insert hour by hour; what happened in the same hour is one commit, so that orders and payments keep their order."""
    hour_ms = 60 * MINUTE_MS
    last = max(rows[-1]["rowtime"] for rows in happened.values())
    for start in range(START_MS, last + 1, hour_ms):
        database.insert_many(
            {name: [r for r in rows if start <= r["rowtime"] < start + hour_ms] for name, rows in happened.items()}
        )


def post_one(database: penstock.Database, happened: dict[str, Rows]) -> None:
    """What a web page does: post an order, and show it with the verdict that it has by now.

    ``after=token`` makes the read wait until every query behind the table has taken in what was written.
    """
    now = max(rows[-1]["rowtime"] for rows in happened.values()) + 5 * MINUTE_MS
    order = {"id": "mine", "customer": "c1", "product": "pen", "quantity": 1, "price_cents": 150, "rowtime": now}
    payment = {"id": "my payment", "order_id": "mine", "amount_cents": 150, "approved": True, "rowtime": now + MINUTE_MS}
    mine = "SELECT id, status, total_cents FROM order_status WHERE id = 'mine'"
    token = database.insert("orders", [order])
    print("ordered:", database.sql(mine, after=token).to_dicts())
    token = database.insert("payments", [payment])
    print("paid:   ", database.sql(mine, after=token).to_dicts())
    happened["orders"].append(order)
    happened["payments"].append(payment)


def check(database: penstock.Database, inputs: dict[str, Rows]) -> int:
    """Compare the results with DuckDB's batch SQL over the same rows; 0 if they are equal."""
    oracle: Any = duckdb.connect()
    for name, rows in inputs.items():
        oracle.register(name, pa.Table.from_pylist(rows))
    different = 0
    for name, query in EXPECTED.items():
        expected = sorted(oracle.execute(query).fetchall())
        columns = ", ".join(d[0] for d in oracle.execute(query).description)
        actual = sorted(database.sql(f"SELECT {columns} FROM {name}").fetchall())
        different += actual != expected
        print(f"{name}: {len(actual)} rows, {'equal to' if actual == expected else 'DIFFERENT from'} DuckDB's")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
