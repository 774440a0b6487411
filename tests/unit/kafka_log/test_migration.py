"""`examples/ksqldb-migration`: the script runs unchanged over topics that somebody else has filled."""

from __future__ import annotations

import runpy
from pathlib import Path

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
