"""A day of a small shop: customers, stock, orders and payments, the same for the same seed."""

from __future__ import annotations

import random
from typing import Any

START_MS = 1_735_718_400_000
"""2025-01-01 08:00 UTC, in milliseconds since the epoch."""
MINUTE_MS = 60_000
PRODUCTS = ("pen", "ink", "paper", "desk", "lamp", "globe")

Rows = list[dict[str, Any]]


def tables(seed: int) -> dict[str, Rows]:
    """Customers, and what is in stock: of one product nothing is known."""
    chance = random.Random(seed)
    customers = [
        {"id": f"c{n}", "name": f"Customer {n}", "email": f"c{n}@example.com", "level": chance.choice(["gold", "plain"])}
        for n in range(40)
    ]
    stock = [{"product": product, "units": chance.randint(2, 9)} for product in PRODUCTS[:-1]]
    return {"customers": customers, "stock": stock}


def events(seed: int, count: int) -> dict[str, Rows]:
    """Orders, and their payments some time later: most soon, some after hours, some declined, some never."""
    chance = random.Random(seed + 1)
    orders: Rows = []
    payments: Rows = []
    now = START_MS
    for number in range(count):
        now += chance.randint(1_000, 2 * MINUTE_MS)
        order = {
            "id": f"o{number}",
            "customer": f"c{chance.randrange(42)}",
            "product": chance.choice(PRODUCTS),
            "quantity": chance.randint(1, 8),
            "price_cents": chance.choice([150, 2_000, 30_000]),
            "rowtime": now,
        }
        orders.append(order)
        if chance.random() < 0.9:
            delay = chance.randint(1, 50) if chance.random() < 0.9 else chance.randint(120, 300)
            payments.append(
                {
                    "id": f"p{number}",
                    "order_id": order["id"],
                    "amount_cents": order["quantity"] * order["price_cents"],
                    "approved": chance.random() < 0.92,
                    "rowtime": now + delay * MINUTE_MS,
                }
            )
    payments.sort(key=lambda payment: payment["rowtime"])
    return {"orders": orders, "payments": payments}
