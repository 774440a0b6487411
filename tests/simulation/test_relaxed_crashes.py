"""Relaxed durability: a crash loses the newest commits, whole and in order, and what is left agrees with itself."""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from engine_workload import open_on

import penstock
from penstock.engine.database import Database
from penstock.errors import InternalError
from penstock.tests.support.faulty_files import Crash, FaultyFiles

SIMULATIONS = int(os.environ.get("PENSTOCK_SIMULATIONS", "60"))
RELAXED = "SET 'penstock.durability' = 'relaxed';"
STATEMENTS = (
    "CREATE STREAM ORDERS (CUSTOMER STRING, AMOUNT BIGINT) WITH (KAFKA_TOPIC='orders', PARTITIONS=1, VALUE_FORMAT='ARROW');"
    "CREATE STREAM BIG AS SELECT * FROM ORDERS WHERE AMOUNT > 3;"
    "CREATE TABLE SPEND AS SELECT CUSTOMER, COUNT(*) AS N, SUM(AMOUNT) AS TOTAL FROM BIG GROUP BY CUSTOMER;"
)


@pytest.fixture(autouse=True)
def early_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints must never be ahead of a log that lost commits."""
    monkeypatch.setattr("penstock.runtime.query.recovery.CHECKPOINT_CHANGES_MIN", 10)


def run(db: Database, chance: random.Random, rows: list[tuple[str, int]], kept: list[int]) -> None:
    """Insert and process, now and then flush; ``rows`` is what was inserted, ``kept[0]`` how many of them are on disk."""
    db.execute(RELAXED)
    db.execute(STATEMENTS)
    for _ in range(20):
        made = [(chance.choice("abcdefgh"), chance.randrange(10)) for _ in range(chance.randrange(1, 12))]
        rows += made
        db.insert("orders", [{"CUSTOMER": c, "AMOUNT": a} for c, a in made])
        if chance.random() < 0.7:
            db.drain()
        if chance.random() < 0.15:
            db._engine.log.flush()
            kept[0] = len(rows)
        if chance.random() < 0.1:
            rows.append(("z", 9))
            db.insert("orders", [{"CUSTOMER": "z", "AMOUNT": 9}], durable=True)
            kept[0] = len(rows)


def records(db: Database, topic: str) -> list[tuple[str, int]]:
    return [(r.value["CUSTOMER"], r.value["AMOUNT"]) for r in db.consume(topic)]


def spend(big: list[tuple[str, int]]) -> list[tuple[Any, ...]]:
    sums: dict[str, list[int]] = {}
    for customer, amount in big:
        sums.setdefault(customer, []).append(amount)
    return sorted((c, len(a), sum(a)) for c, a in sums.items())


def agree(db: Database, rows: list[tuple[str, int]], kept: int, *, drained: bool) -> int:
    """The topic is a first part of what was inserted; each query's output and state are those of the input it has read.
    Returns how many rows are left."""
    if "ORDERS" not in db.catalog.sources:
        assert kept == 0
        return 0
    orders = records(db, "orders")
    assert orders == rows[: len(orders)]
    assert len(orders) >= kept
    read = {q.statement.split()[2]: q.progress().account.read for q in db.queries.values()}
    if "BIG" in read:
        big = records(db, "BIG")
        assert big == [row for row in orders[: read["BIG"]] if row[1] > 3]
    if "SPEND" in read:
        table = sorted(db.sql("SELECT CUSTOMER, N, TOTAL FROM SPEND;").fetchall())
        assert table == spend(big[: read["SPEND"]])
        if drained:
            assert table == spend([row for row in orders if row[1] > 3])
    return len(orders)


@contextlib.contextmanager
def unwrapped() -> Iterator[None]:
    """A query that meets the crash stops with an error of its own: it is the crash all the same."""
    try:
        yield
    except InternalError as error:
        if isinstance(error.__cause__, Crash):
            raise error.__cause__ from None
        raise


def check(seed: int) -> int:
    """Crash anywhere, more than once; returns how many rows the crashes lost."""
    chance = random.Random(seed)
    files = FaultyFiles(seed, chance.randrange(20, 260))
    rows: list[tuple[str, int]] = []
    kept = [0]
    with contextlib.suppress(Crash), unwrapped():
        run(open_on(files, chance.choice((3, 65_536))), chance, rows, kept)
    while True:
        files = files.after_crash(chance.choice((None, chance.randrange(150))))
        try:
            with unwrapped():
                db = open_on(files, 65_536)
                agree(db, rows, kept[0], drained=False)
                db.drain()
                left = agree(db, rows, kept[0], drained=True)
                db.close()
                return len(rows) - left
        except Crash:
            continue


def test_what_a_crash_leaves_is_a_first_part_of_the_commits() -> None:
    """And some crashes lose something, or this would test nothing."""
    lost = 0
    for seed in range(max(10, SIMULATIONS // 4)):
        try:
            lost += check(seed)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
    assert lost > 0


def test_relaxed_inserts_and_steps_wait_for_no_sync() -> None:
    """And durable ones do; a query keeps what it was created with."""
    files = FaultyFiles(1)
    db = open_on(files, 65_536)
    db.execute(RELAXED + STATEMENTS)
    db.insert("orders", [{"CUSTOMER": "a", "AMOUNT": 5}], durable=True)
    db.drain()  # makes the changelog, durably
    before = files.syncs
    db.insert("orders", [{"CUSTOMER": "a", "AMOUNT": 7}])
    db.execute("INSERT INTO ORDERS VALUES ('a', 8);")
    db.drain()
    assert db.sql("SELECT N FROM SPEND;").fetchall() == [(3,)]
    assert files.syncs == before
    db.execute("UNSET 'penstock.durability';")
    db.insert("orders", [{"CUSTOMER": "a", "AMOUNT": 7}])
    assert files.syncs > before
    before = files.syncs
    db.drain()
    assert files.syncs == before
    db.close()


def test_relaxed_commits_reach_the_disk_by_themselves(tmp_path: Path) -> None:
    """After the time that is set, without any durable commit."""
    with penstock.connect(tmp_path, settings={"penstock.durability.relaxed.ms": 1, "penstock.durability": "relaxed"}) as db:
        db.execute(STATEMENTS)
        db.insert("orders", [{"CUSTOMER": "a", "AMOUNT": 5}])
        db.wait_idle()
        log: Any = db._engine.log
        assert log.settings.relaxed_delay_s == 0.001
        while log.committer._unflushed:
            log.wait(log.epoch, 0.001)
