"""Harlequin, a SQL IDE in the terminal, over a directory and over a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

import penstock

pytest.importorskip("harlequin", reason="Harlequin is not installed: pip install 'penstock[harlequin]'")
HERE = Path(__file__).parent
SHOP = """
    CREATE STREAM orders (id INT KEY, customer STRING, total DECIMAL(9, 2), tags MAP<STRING, INT>, `mIx` ARRAY<DOUBLE>)
        WITH (KAFKA_TOPIC = 'orders', PARTITIONS = 1);
    CREATE TABLE spend AS SELECT customer, SUM(total) AS total FROM orders GROUP BY customer;
    CREATE TABLE hourly AS SELECT customer, COUNT(*) AS n FROM orders WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY customer;
"""
ROWS = [{"id": 1, "customer": "ann", "total": 5}, {"id": 2, "customer": "bob", "total": "1.50"}]


def adapter(*place: str) -> Any:
    """The adapter as Harlequin finds it."""
    (found,) = entry_points(group="harlequin.adapter", name="penstock")
    return found.load()(list(place))


@pytest.fixture
def directory(tmp_path: Path) -> str:
    with penstock.connect(tmp_path / "shop") as db:
        db.execute(SHOP)
        db.wait(db.insert("orders", ROWS))
    return str(tmp_path / "shop")


@pytest.fixture
def connection(directory: str) -> Iterator[Any]:
    opened = adapter(directory).connect()
    yield opened
    opened.close()


def run(home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a program that may write into its user's home."""
    names = {"HOME": home, "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home, "XDG_DATA_HOME": home}
    environment = {**os.environ, **{name: str(path) for name, path in names.items()}, "NO_COLOR": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def test_its_screen(directory: str, tmp_path: Path) -> None:
    """The catalog lists what there is; a statement's rows are shown with their types."""
    done = run(
        tmp_path, sys.executable, str(HERE / "harlequin_screen.py"), directory, "SELECT * FROM spend ORDER BY customer;"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "catalog": ["HOURLY t", "KSQL_PROCESSING_LOG s", "ORDERS s", "SPEND t"],
        "columns": ["CUSTOMER s", "TOTAL #.#"],
        "rows": [["ann", "5.00"], ["bob", "1.50"]],
    }


def test_its_command_over_a_server(tmp_path: Path) -> None:
    """`hsql` is Harlequin without a screen; an address leads to a server."""
    with penstock.connect() as db:
        db.execute(SHOP)
        db.wait(db.insert("orders", ROWS))
        with penstock.serve(db, port=0) as server:
            hsql = str(Path(sys.executable).with_name("hsql"))
            if not Path(hsql).exists():
                pytest.skip("this Harlequin has no hsql")
            done = run(
                tmp_path, hsql, "-a", "penstock", server.url, "-c", "SELECT id, customer FROM orders ORDER BY id", "--json"
            )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"ID": 1, "CUSTOMER": "ann"}, {"ID": 2, "CUSTOMER": "bob"}]


def test_catalog_and_completions(connection: Any) -> None:
    """Columns with short types and names as one writes them, window bounds behind the key; functions and words."""
    items = {item.label: item for item in connection.get_catalog().items}
    orders = [(column.query_name, column.type_label) for column in items["ORDERS"].children]
    assert orders == [("ID", "#"), ("CUSTOMER", "s"), ("TOTAL", "#.#"), ("TAGS", "{m}"), ("`mIx`", "[]")]
    hourly = [column.label for column in items["HOURLY"].children]
    assert hourly == ["CUSTOMER", "WINDOWSTART", "WINDOWEND", "N"]
    assert {"SELECT", "EARLIEST_BY_OFFSET"} <= {completion.label for completion in connection.get_completions()}


def test_statements(connection: Any) -> None:
    """Own writes are read; SHOW and DESCRIBE have rows; what has none gives None; errors are Harlequin's."""
    from harlequin.exception import HarlequinQueryError

    assert connection.execute("INSERT INTO orders (id, customer, total) VALUES (3, 'cyd', 2);") is None
    cursor = connection.execute("SELECT customer FROM spend ORDER BY customer;")
    assert cursor.columns() == [("CUSTOMER", "s")]
    assert cursor.set_limit(2).fetchall().to_pylist() == [{"CUSTOMER": "ann"}, {"CUSTOMER": "bob"}]
    assert connection.execute("SELECT * FROM spend WHERE customer = 'nobody';").fetchall() is None
    assert connection.execute("SHOW TABLES").fetchall().num_rows == 2
    assert connection.execute("DESCRIBE spend").fetchall().num_rows > 0
    for wrong in ("SELECT nothing FROM spend", "SELEC", "PRINT orders"):
        with pytest.raises(HarlequinQueryError):
            connection.execute(wrong)
    assert connection.validate_sql("SELECT 1") == "SELECT 1" and connection.validate_sql("SELEC 1") == ""


def test_push_queries_end(connection: Any) -> None:
    """By their LIMIT, by Harlequin's, or when they are cancelled; the rows that came are shown."""
    connection.execute("SET 'auto.offset.reset' = 'earliest';")
    every = "SELECT id, total FROM orders EMIT CHANGES"
    assert connection.execute(f"{every} LIMIT 1").fetchall().to_pydict()["ID"] == [1]
    assert connection.execute(every).set_limit(2).fetchall().to_pydict()["ID"] == [1, 2]
    cursor = connection.execute(every)
    assert cursor.columns() == [("ID", "#"), ("TOTAL", "#.#")]
    found: list[Any] = []
    reading = threading.Thread(target=lambda: found.append(cursor.fetchall()))
    reading.start()
    connection.cancel()
    reading.join(60)
    assert not reading.is_alive() and (found[0] is None or found[0].num_rows <= 2)


def test_refusals(tmp_path: Path) -> None:
    """Several databases at once, and what is none."""
    from harlequin.exception import HarlequinConfigError, HarlequinConnectionError

    with pytest.raises(HarlequinConfigError):
        adapter("a", "b")
    (tmp_path / "file").write_text("no database")
    with pytest.raises(HarlequinConnectionError):
        adapter(str(tmp_path / "file")).connect()
    assert adapter("http://ada:secret@host:8088").connection_id == "host:8088"
