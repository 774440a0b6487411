"""`examples/ksqldb-migration`: the script runs unchanged over topics that somebody else has filled."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
import time
from pathlib import Path

from confluent_kafka.admin import AdminClient

from penstock.repl.cli import main
from penstock.testing.kafka import KafkaBroker

EXAMPLE = Path(__file__).parent.parent.parent.parent / "examples" / "ksqldb-migration"


def test_a_script_of_ksqldb_runs_over_its_topics(kafka_broker: KafkaBroker, tmp_path: Path, capsys: object) -> None:
    """`penstock run shop.sql --kafka ..`, and then a SELECT in the same directory."""
    runpy.run_path(str(EXAMPLE / "fill.py"))["fill"](kafka_broker.address)
    where = ["--kafka", kafka_broker.address, "--service-id", "shop", "-d", str(tmp_path / "d")]
    assert main(["run", str(EXAMPLE / "shop.sql"), *where, "--until-idle"]) == 0
    found = {}
    for record in kafka_broker.database.consume("spend_per_customer"):
        found[record.key] = record.value
    assert found == {
        b"c1": b'{"ORDERS":10,"TOTAL":202.5}',
        b"c2": b'{"ORDERS":10,"TOTAL":217.5}',
        b"c3": b'{"ORDERS":10,"TOTAL":232.5}',
    }
    assert main([*where, "--format", "csv", "-e", "SELECT * FROM spend_per_customer WHERE customer_id = 'c2';"]) == 0


def test_two_processes_run_it(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    """The same command twice, with directories of their own: both have tasks of the query that re-keys, and what comes out
    is as with one."""
    runpy.run_path(str(EXAMPLE / "fill.py"))["fill"](kafka_broker.address)
    command = [sys.executable, "-m", "penstock", "run", str(EXAMPLE / "shop.sql"), "--kafka", kafka_broker.address]
    running = [
        subprocess.Popen(
            [*command, "--service-id", "shop", "-d", str(tmp_path / name)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        for name in ("a", "b")
    ]
    admin = AdminClient({"bootstrap.servers": kafka_broker.address})

    def shares() -> list[int]:
        """How many partitions each process has of the query's topics."""
        groups = [g.group_id for g in admin.list_consumer_groups().result(20).valid if "ORDERS_PER_HOUR" in g.group_id]
        described = [admin.describe_consumer_groups([group])[group].result(20) for group in groups]
        return sorted(len(m.assignment.topic_partitions) for found in described for m in found.members)

    def counted() -> dict[str, int]:
        """Orders of each country, over all windows."""
        last = {}
        topics = kafka_broker.database.topic_names()
        for record in kafka_broker.database.consume("orders_per_hour") if "orders_per_hour" in topics else ():
            last[record.key] = json.loads(record.value)["ORDERS"]
        found: dict[str, int] = {}
        for key, orders in last.items():
            country = key[:-8].decode()
            found[country] = found.get(country, 0) + orders
        return found

    try:
        end = time.monotonic() + 180
        while not (len(shares()) == 2 and min(shares()) > 0 and sum(counted().values()) == 30):
            assert time.monotonic() < end and all(process.poll() is None for process in running), (shares(), counted())
            time.sleep(0.2)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)
    assert set(counted().values()) == {10}
