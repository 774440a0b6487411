"""A service that reads its own writes: an order is answered with what its customer has spent, this order included.

pip install fastapi uvicorn
uvicorn service:app          # in this folder
curl localhost:8000/orders -H 'content-type: application/json' -d '{"customer": "ada", "item": "pen", "cents": 120}'
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

import penstock

SCHEMA = """
    CREATE STREAM IF NOT EXISTS orders (customer STRING KEY, item STRING, cents BIGINT)
        WITH (KAFKA_TOPIC = 'orders', PARTITIONS = 4, VALUE_FORMAT = 'JSON');
    CREATE TABLE IF NOT EXISTS spend AS
        SELECT customer, COUNT(*) AS orders, SUM(cents) AS cents FROM orders GROUP BY customer;
"""
SPENT = "SELECT orders, cents FROM spend WHERE customer = ?;"


class Order(BaseModel):
    customer: str
    item: str
    cents: int


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with penstock.connect_async(os.environ.get("SPEND_DATA", "spend.db")) as app.state.db:
        await app.state.db.execute(SCHEMA)
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/orders")
async def order(order: Order) -> dict[str, Any]:
    written = await app.state.db.insert("orders", order)
    spent = await app.state.db.sql(SPENT, parameters=[order.customer], after=written)
    return dict(spent.to_dicts()[0])


@app.get("/customers/{customer}")
async def customer(customer: str) -> dict[str, Any]:
    spent = await app.state.db.sql(SPENT, parameters=[customer])
    if not len(spent):
        raise HTTPException(404, f"{customer} has ordered nothing")
    return dict(spent.to_dicts()[0])
