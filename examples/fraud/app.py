"""Fraud on card payments: a windowed join, and a page that shows suspicious payments as they come (server-sent events).

pip install fastapi uvicorn
uvicorn app:app              # in this folder; then open http://127.0.0.1:8000, and pay twice:
curl localhost:8000/payments -H 'content-type: application/json' -d '{"card": "c1", "country": "DE", "cents": 1200}'
curl localhost:8000/terminals -H 'content-type: application/json' -d '{"card": "c1", "terminal": "t1", "country": "FR"}'
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, StreamingResponse

import penstock

PAGE = """<!doctype html><title>Suspicious payments</title><h1>Suspicious payments</h1><ul id="list" aria-live="polite"></ul>
<script>
new EventSource("/events").onmessage = (event) => {
  const payment = JSON.parse(event.data), item = document.createElement("li");
  item.textContent = `${payment.CARD}: ${payment.CENTS / 100} in ${payment.PAID_IN}, but ` +
    `${payment.TERMINAL} is in ${payment.USED_IN}`;
  document.getElementById("list").prepend(item);
};
</script>"""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    path = os.environ.get("FRAUD_DATA", "fraud.db")
    async with penstock.connect_async(path) as app.state.db:
        await app.state.db.execute((Path(__file__).parent / "fraud.sql").read_text())
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/", response_class=HTMLResponse)
async def page() -> str:
    return PAGE


@app.post("/payments", status_code=202)
async def pay(payment: dict[str, Any]) -> None:
    await app.state.db.insert("payments", payment)


@app.post("/terminals", status_code=202)
async def use(terminal: dict[str, Any]) -> None:
    await app.state.db.insert("terminals", terminal)


@app.get("/alarms/{card}")
async def alarms(card: str) -> list[dict[str, Any]]:
    found = await app.state.db.sql("SELECT * FROM alarms WHERE card = ?;", parameters=[card])
    return list(found.to_dicts())


@app.get("/events")
async def events() -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        async with app.state.db.subscribe("SELECT * FROM suspicious EMIT CHANGES;") as rows:
            yield ": connected\n\n"
            async for row in rows:
                yield f"data: {json.dumps(row.as_dict())}\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream")
