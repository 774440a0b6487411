"""IoT: readings every second become one row per minute; late readings count for two minutes, then they are counted as late.

python downsample.py         # an hour of readings of three sensors, some of them late
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import penstock

START_MS = 1_704_067_200_000


def readings(minutes: int, seed: int = 7) -> Iterator[dict[str, Any]]:
    """A reading per sensor and second; one in fifty comes up to four minutes late, in a gap a sensor says nothing."""
    chance = random.Random(seed)
    late: list[dict[str, Any]] = []
    for second in range(minutes * 60):
        now = START_MS + second * 1000
        for number, sensor in enumerate(("attic", "cellar", "porch")):
            if sensor == "porch" and (second // 600) % 2:
                continue
            reading = {"rowtime": now, "sensor": sensor, "celsius": round(10.0 * number + chance.gauss(0, 1), 2)}
            if chance.random() < 0.02:
                late.append({**reading, "due": now + chance.randrange(1_000, 240_000)})
            else:
                yield reading
        for reading in [reading for reading in late if reading["due"] <= now]:
            late.remove(reading)
            yield {name: value for name, value in reading.items() if name != "due"}


def downsample(db: penstock.Database, minutes: int = 60) -> int:
    """Load the readings and process them; returns how many came too late for their minute."""
    db.execute((Path(__file__).parent / "iot.sql").read_text())
    db.insert("readings", list(readings(minutes)))
    db.wait_idle(60)
    (minutely,) = (query for query in db.queries.values() if "MINUTELY" in query.id)
    return minutely.progress().account.late


if __name__ == "__main__":
    with penstock.connect("iot.db") as db:
        print(f"{downsample(db)} readings came too late")
        db.sql("SELECT * FROM minutely WHERE sensor = 'attic' ORDER BY WINDOWSTART DESC LIMIT 5;").show()
        db.sql("SELECT * FROM busy WHERE sensor = 'porch';").show()
