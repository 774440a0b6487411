"""The golden query scripts over Kafka: what they give is what was blessed on the log of a machine.

Kafka has no order of arrival, so records are taken in the order of timestamps, and each statement's rows are processed
before the next statement.  The way `crashes` of the runner, which copies a directory's files, is not to be had here: kills
over Kafka are those of `tests/kafka_shared`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import golden_runner
import pytest

import penstock
from penstock.runtime.clock import ManualClock

Connect = Callable[..., penstock.Database]
LOCAL_ONLY: dict[str, str] = {}
"""Cases that need what only the log of a machine has, and why."""


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize(
    ("path", "number"), golden_runner.CASES, ids=[f"{path.stem}-{number + 1}" for path, number in golden_runner.CASES]
)
def test_script(connect: Connect, path: Path, number: int, partitions: int) -> None:
    """With one partition, and with three: then the order is that of each key."""
    case = golden_runner.read(path)[number]
    name = f"{path.stem}-{number + 1}"
    if name in LOCAL_ONLY:
        pytest.skip(LOCAL_ONLY[name])
    settings = {
        "auto.offset.reset": "earliest",
        "cache.max.bytes.buffering": "0" if case.of_changes else "10000000",
        **case.settings,
    }
    database = connect(threads=0, clock=ManualClock(0), settings=settings)
    for statement in golden_runner.split(case.statements):
        database.execute(statement.replace("PARTITIONS=1", f"PARTITIONS={partitions}"))
        database.drain()
    lines, keys = golden_runner.result(case, database)
    expected = case.expected
    if partitions > 1 and case.of_changes:
        lines, expected = golden_runner.by_key(lines, keys), golden_runner.by_key(expected, keys)
    assert "\n".join(lines) == "\n".join(expected), case.sentence
