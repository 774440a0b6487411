"""The apps of examples/, used as somebody would use them: over HTTP, with late data, again after a restart."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

import penstock

pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def loaded(path: str) -> Any:
    """A module of the examples, made anew."""
    name = "example_" + path.replace("/", "_").removesuffix(".py")
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def client(module: Any) -> Any:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=module.app), base_url="http://app")


def test_the_service_reads_its_own_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """50 orders at once, each answered with itself included; all of it is there after a restart."""
    monkeypatch.setenv("SPEND_DATA", str(tmp_path / "spend.db"))

    async def scenario() -> None:
        service = loaded("spend_service/service.py")
        async with service.app.router.lifespan_context(service.app), client(service) as http:
            for number in range(1, 6):
                answer = await http.post("/orders", json={"customer": "it's ann", "item": "pen", "cents": 10})
                assert answer.json() == {"ORDERS": number, "CENTS": number * 10}
            orders = [{"customer": f"c{n}", "item": "pen", "cents": n} for n in range(50)]
            answers = await asyncio.gather(*[http.post("/orders", json=order) for order in orders])
            assert [answer.json() for answer in answers] == [{"ORDERS": 1, "CENTS": n} for n in range(50)]
            assert (await http.get("/customers/nobody")).status_code == 404
            assert (await http.post("/orders", json={"customer": "c"})).status_code == 422
        async with service.app.router.lifespan_context(service.app), client(service) as http:
            assert (await http.get("/customers/it's ann")).json() == {"ORDERS": 5, "CENTS": 50}

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_fraud_is_seen_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A payment far from where the card was used just now comes as an event; others do not; alarms are counted per hour."""
    monkeypatch.setenv("FRAUD_DATA", str(tmp_path / "fraud.db"))

    async def scenario() -> None:
        fraud = loaded("fraud/app.py")
        async with fraud.app.router.lifespan_context(fraud.app), client(fraud) as http:
            assert "EventSource" in (await http.get("/")).text
            lines = (await fraud.events()).body_iterator
            assert await anext(lines) == ": connected\n\n"
            at = 1_704_067_200_000
            await http.post("/terminals", json={"card": "4711", "terminal": "T1", "country": "AT", "rowtime": at})
            for number, (country, minutes) in enumerate([("AT", 1), ("US", 2), ("US", 30)]):
                payment = {"card": "4711", "id": number, "country": country, "cents": 500, "rowtime": at + minutes * 60_000}
                assert (await http.post("/payments", json=payment)).status_code == 202
            event = json.loads((await asyncio.wait_for(anext(lines), 20)).removeprefix("data: "))
            assert event == {"CARD": "4711", "PAYMENT": 1, "PAID_IN": "US", "USED_IN": "AT", "TERMINAL": "T1", "CENTS": 500}
            await app_is_idle(fraud)
            (alarm,) = (await http.get("/alarms/4711")).json()
            assert (alarm["ALARMS"], alarm["CENTS"]) == (1, 500)
            await lines.aclose()

    asyncio.run(asyncio.wait_for(scenario(), 60))


async def app_is_idle(module: Any) -> None:
    assert await module.app.state.db.wait_idle(20)


def test_readings_are_downsampled() -> None:
    """Minutes hold all readings that came in time; late ones are counted; a sensor with gaps has sessions."""
    iot = loaded("iot/downsample.py")
    with penstock.connect() as db:
        late = iot.downsample(db, minutes=45)
        found = db.sql("SELECT sensor, WINDOWSTART, readings, celsius FROM minutely;").fetchall()
        sessions = db.sql("SELECT WINDOWSTART, WINDOWEND FROM busy WHERE sensor = 'porch';").fetchall()
    clock = dict.fromkeys((0, 1), 0)
    sums: dict[tuple[str, int], list[float]] = {}
    missed = 0
    partitions = {record["sensor"]: partition_of(record["sensor"]) for record in iot.readings(1)}
    for reading in iot.readings(45):
        partition = partitions.setdefault(reading["sensor"], partition_of(reading["sensor"]))
        clock[partition] = max(clock[partition], reading["rowtime"])
        start = reading["rowtime"] // 60_000 * 60_000
        if start + 60_000 + 120_000 <= clock[partition]:
            missed += 1
        else:
            sums.setdefault((reading["sensor"], start), []).append(reading["celsius"])
    assert late == missed > 0
    closed = {place for place in sums if place[1] + 60_000 + 120_000 <= clock[partitions[place[0]]]}
    assert 0 < len(closed) < len(sums)  # the last minutes are not final yet
    sums = {place: values for place, values in sums.items() if place in closed}
    assert {(sensor, start): n for sensor, start, n, _ in found} == {place: len(values) for place, values in sums.items()}
    for sensor, start, _, celsius in found:
        assert celsius == pytest.approx(sum(sums[sensor, start]) / len(sums[sensor, start]))
    assert len(sessions) == 3


def partition_of(sensor: str) -> int:
    """Where the records of a sensor go."""
    with penstock.connect(threads=0) as db:
        db.execute("CREATE STREAM p (sensor STRING KEY) WITH (KAFKA_TOPIC = 'p', PARTITIONS = 2);")
        db.insert("p", (sensor,))
        return next(iter(db.consume("p"))).partition
