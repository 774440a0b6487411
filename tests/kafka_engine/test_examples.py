"""The examples over Kafka: their scripts as they are, and the programs that take a database.

The others (`orders/shop.py`, `loglines/tail.py`, `flights/demo.py`, and the web apps) open a directory of their own.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from apache_kafka import empty, wanted_address

import penstock
from penstock.repl.cli import main

Connect = Callable[..., penstock.Database]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SCRIPTS = sorted(
    str(path.relative_to(EXAMPLES)) for path in EXAMPLES.glob("*/*.sql") if path.parent.name != "ksqldb-migration"
)


def loaded(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("example", EXAMPLES / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_run(connect: Connect, script: str) -> None:
    """Every statement is accepted, and every query takes steps."""
    database = connect(threads=0)
    assert SCRIPTS
    database.execute((EXAMPLES / script).read_text())
    database.drain()
    assert database.queries
    assert {query.progress().state for query in database.queries.values()} == {"RUNNING"}


def test_readings_are_downsampled(connect: Connect) -> None:
    """As on the log of a machine, late readings included."""
    iot = loaded("iot/downsample.py")

    def outcome(database: penstock.Database) -> list[Any]:
        late = iot.downsample(database, minutes=12)
        texts = (
            "SELECT sensor, WINDOWSTART, readings, celsius FROM minutely;",
            "SELECT sensor, WINDOWSTART, WINDOWEND FROM busy;",
        )
        return [late, *(sorted(database.sql(text).fetchall()) for text in texts)]

    with penstock.connect(threads=0) as alone:
        expected = outcome(alone)
    assert expected[0] > 0 and all(expected[1:])
    # with `latest`, the default, a query over Kafka begins at the end as of when it gets its partitions: after the insert
    assert outcome(connect(threads=0, auto_offset_reset="earliest")) == expected


@pytest.mark.skipif(wanted_address() is None, reason="PENSTOCK_KAFKA does not name a broker: see `make test-kafka`")
@pytest.mark.xdist_group("apache-kafka")
def test_a_script_of_ksqldb_runs_over_its_topics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`penstock run shop.sql --kafka ..`, and then a SELECT in the same directory."""
    address = wanted_address()
    assert address is not None
    empty(address)
    runpy.run_path(str(EXAMPLES / "ksqldb-migration" / "fill.py"))["fill"](address)
    where = ["--kafka", address, "--service-id", "shop", "-d", str(tmp_path / "d")]
    assert main(["run", str(EXAMPLES / "ksqldb-migration" / "shop.sql"), *where, "--until-idle"]) == 0
    capsys.readouterr()
    assert main([*where, "--format", "csv", "-e", "SELECT * FROM spend_per_customer;"]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert sorted(rows[1:]) == [["c1", "10", "202.5"], ["c2", "10", "217.5"], ["c3", "10", "232.5"]]
