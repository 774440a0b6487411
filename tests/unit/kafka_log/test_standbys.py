"""Copies of state that other processes keep, and who keeps them."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

import penstock
from penstock.errors import UnsupportedError
from penstock.storage.log.kafka.ranges import assigned, spares
from tests.support.waiting import until

Connect = Callable[..., penstock.Database]

SCRIPT = """
SET 'num.standby.replicas' = '1';
CREATE STREAM orders (id STRING KEY, town STRING, euros INTEGER)
    WITH (KAFKA_TOPIC = 'orders', PARTITIONS = 2, VALUE_FORMAT = 'JSON');
CREATE TABLE sums AS SELECT town, COUNT(*) AS n, SUM(euros) AS total FROM orders GROUP BY town;
"""


def test_ranges() -> None:
    """As Kafka's assignor: the first members get one more; topics with as many partitions go the same way."""
    found = assigned(["a", "b", "c"], {"x": 4, "y": 4, "z": 1})
    assert found["a"] == {("x", 0), ("x", 1), ("y", 0), ("y", 1), ("z", 0)}
    assert found["b"] == {("x", 2), ("y", 2)} and found["c"] == {("x", 3), ("y", 3)}
    assert assigned([], {"x": 4}) == {}


@pytest.mark.parametrize("deaths", [1, 2])
def test_whoever_ends_others_have_copies_of_what_they_get(deaths: int) -> None:
    members, counts = [f"m{i}" for i in range(4)], {"x": 9, "y": 2}
    have = assigned(members, counts)
    for gone in range(4):
        left = [m for n, m in enumerate(members) if n != gone]
        for member, places in assigned(left, counts).items():
            assert places <= have[member] | spares(members, member, counts, deaths)
    assert spares(["a"], "a", counts, deaths) == set()


def test_who_takes_over_goes_on_from_its_copy(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """What was not in the copy yet comes from the changelog."""
    caplog.set_level(logging.INFO, "penstock.commit")
    one, two = (connect(name, settings={"session.timeout.ms": "3000"}) for name in ("one", "two"))
    one.execute(SCRIPT)
    until(lambda: "SUMS" in two.catalog.sources)
    query = next(iter(one.queries))
    runs = [database._engine.host.run(query) for database in (one, two)]
    standbys = [run.parts.standbys for run in runs]

    def held() -> list[int]:
        return [sum(len(d.store) for d in s._stores.values()) for s in standbys if s is not None]

    until(lambda: all(len({p for _, p in run.shares.mine}) == 1 for run in runs if run.shares is not None))
    one.insert("orders", [{"ID": f"k{i}", "TOWN": f"t{i % 50}", "EUROS": i} for i in range(200)])
    until(lambda: sum(held()) >= 50)
    two.insert("orders", [{"ID": f"k{i}", "TOWN": f"t{i % 60}", "EUROS": 1} for i in range(60)])
    assert one.wait_idle(60) and two.wait_idle(60)
    two.close()
    shares = runs[0].shares
    assert shares is not None
    until(lambda: len(shares.held) == 2)
    found = dict(one.sql("SELECT town, n FROM sums").fetchall())
    assert found == {f"t{i}": 5 if i < 50 else 1 for i in range(60)}
    assert "from a standby" in caplog.text
    one.insert("orders", [{"ID": "k", "TOWN": f"t{i}", "EUROS": 1} for i in range(60)])
    assert one.wait_idle(60)
    one.close()
    again = connect("one")  # what was written after the takeover can be read again
    until(lambda: again._engine.host.run(query).status.is_in_place)
    assert dict(again.sql("SELECT town, n FROM sums").fetchall()) == {town: n + 1 for town, n in found.items()}


def test_one_process_keeps_no_copies() -> None:
    with penstock.connect() as alone, pytest.raises(UnsupportedError, match="several processes"):
        alone.execute(SCRIPT)
