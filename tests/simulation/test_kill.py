"""A process that runs a script is killed (SIGKILL) at random instants; every one after it goes on from there."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from penstock.engine.database import connect

ROUNDS = 4
ROWS = 20_000
BATCH = 500

SCRIPT = """
SET 'auto.offset.reset' = 'earliest';
CREATE STREAM ORDERS (ID BIGINT KEY, CUSTOMER BIGINT, AMOUNT BIGINT)
  WITH (KAFKA_TOPIC='orders', PARTITIONS=3, VALUE_FORMAT='ARROW');
CREATE STREAM BIG AS SELECT ID, CUSTOMER, AMOUNT FROM ORDERS WHERE AMOUNT > 50;
CREATE TABLE SPEND AS SELECT CUSTOMER, COUNT(*) AS N, SUM(AMOUNT) AS TOTAL FROM ORDERS GROUP BY CUSTOMER;
CREATE TABLE BIG_SPEND AS SELECT CUSTOMER, COUNT(*) AS N, SUM(AMOUNT) AS TOTAL FROM BIG GROUP BY CUSTOMER;
CREATE TABLE HOURLY AS SELECT CUSTOMER, COUNT(*) AS N FROM ORDERS
  WINDOW TUMBLING (SIZE 1 HOUR, GRACE PERIOD 1 HOUR) GROUP BY CUSTOMER;
"""

WRITER = """
import sys
import penstock
from test_kill import BATCH, ROWS, SCRIPT, rows_of
import penstock.runtime.commit as commit
commit.CHECKPOINT_CHANGES_MIN = 2_000
with penstock.connect(sys.argv[1]) as db:
    db.submit(SCRIPT, "script")
    done = db.last_sequence("writer") or 0
    print("open", flush=True)
    for sequence in range(done + 1, ROWS // BATCH + 1):
        db.insert_many({"ORDERS": rows_of(sequence)}, producer="writer", sequence=sequence)
    db.wait_idle()
    print("done", flush=True)
"""


def rows_of(sequence: int) -> list[dict[str, int]]:
    """The rows of a commit; every one of them is different."""
    ids = range((sequence - 1) * BATCH, sequence * BATCH)
    return [{"ID": i, "CUSTOMER": i * 7919 % 97, "AMOUNT": i * 31 % 100, "rowtime": 1_000 * i} for i in ids]


def spend(rows: list[dict[str, int]]) -> list[tuple[int, int, int]]:
    counts: Counter[int] = Counter()
    totals: Counter[int] = Counter()
    for row in rows:
        counts[row["CUSTOMER"]] += 1
        totals[row["CUSTOMER"]] += row["AMOUNT"]
    return sorted((c, counts[c], totals[c]) for c in counts)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_processes_lose_and_double_nothing(tmp_path: Path) -> None:
    """After several kills the tables are what one pass over all rows gives, and every record is there once."""
    here = Path(__file__).parent
    typing = here.parents[1] / ".typing"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(typing), str(here), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", WRITER, str(tmp_path / "shop")]
    chance = random.Random(7)
    kills = 0
    for attempt in range(50):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as writer:
            assert writer.stdout is not None and writer.stderr is not None
            if kills < ROUNDS:
                if attempt % 2:  # also while it opens and recovers
                    time.sleep(chance.uniform(0.2, 1.2))
                else:
                    writer.stdout.readline()
                    time.sleep(chance.uniform(0.0, 0.3))
                writer.kill()
                kills += 1
                writer.communicate()
                continue
            output, errors = writer.communicate()
            assert writer.returncode == 0, errors
            assert output.split() == ["open", "done"]
            break
    rows = [row for s in range(1, ROWS // BATCH + 1) for row in rows_of(s)]
    with connect(tmp_path / "shop", threads=0) as db:
        assert sorted(r.value["CUSTOMER"] for r in db.consume("orders")) == sorted(r["CUSTOMER"] for r in rows)
        assert sorted(db.sql("SELECT CUSTOMER, N, TOTAL FROM SPEND;").fetchall()) == spend(rows)
        assert sorted(db.sql("SELECT CUSTOMER, N, TOTAL FROM BIG_SPEND;").fetchall()) == spend(
            [r for r in rows if r["AMOUNT"] > 50]
        )
        assert sum(1 for _ in db.consume("BIG")) == sum(r["AMOUNT"] > 50 for r in rows)
        hours = Counter((r["CUSTOMER"], r["rowtime"] // 3_600_000 * 3_600_000) for r in rows)
        kept = db.sql("SELECT CUSTOMER, WINDOWSTART, N FROM HOURLY;").fetchall()
        assert kept
        assert all(hours[c, start] == n for c, start, n in kept)
        for query in db.queries.values():
            account = query.progress().account
            assert account.read == account.used + account.filtered + account.late + account.bad
            assert account.read == (len(rows) if "BIG_SPEND" not in query.id else sum(r["AMOUNT"] > 50 for r in rows))
