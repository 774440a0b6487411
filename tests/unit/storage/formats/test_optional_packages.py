"""fastavro and protobuf are extras: without them everything else works, and with them nothing imports them early."""

from __future__ import annotations

import subprocess
import sys

import pytest

import penstock

BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "fastavro" or name.startswith("google.protobuf"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
import penstock

with penstock.connect(None, threads=0, auto_offset_reset="earliest") as database:
    for format_ in ("AVRO", "PROTOBUF", "PROTOBUF_NOSR"):
        try:
            database.execute(f"CREATE STREAM s (a INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='{format_}', PARTITIONS=1);")
        except penstock.StatementError as error:
            print(format_, str(error).splitlines()[-1])
        assert "t" not in database.topic_names() and not database.schema_registry.subjects()
    try:
        database.sql("SELECT 1 AS a").protobuf()
    except penstock.StatementError as error:
        print("rows", str(error).splitlines()[-1])
    for format_ in ("JSON", "JSON_SR", "DELIMITED", "KAFKA", "ARROW"):
        with_ = f"KAFKA_TOPIC='{format_}', VALUE_FORMAT='{format_}', PARTITIONS=1"
        database.execute(f"CREATE STREAM s_{format_} (a INT) WITH ({with_});")
        database.insert(f"s_{format_}", [{"a": 1}])
        print(format_, database.sql(f"SELECT * FROM s_{format_}").fetchall())
"""
UNUSED = """
import sys
import penstock
with penstock.connect(None, threads=0, auto_offset_reset="earliest") as database:
    database.execute("CREATE STREAM s (a INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON_SR', PARTITIONS=1);")
    database.execute("CREATE TABLE n AS SELECT a, COUNT(*) AS n FROM s GROUP BY a;")
    database.insert("s", [{"a": 1}])
    database.drain()
    assert database.sql("SELECT n FROM n").fetchall() == [(1,)]
print([name for name in sys.modules if name.startswith(("fastavro", "google.protobuf", "urllib.request", "http.client"))])
"""


def run(script: str) -> list[str]:
    """The lines that a script prints in a process of its own."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_without_the_packages() -> None:
    """Statements that need one say how to get it and change nothing; all other formats work."""
    lines = run(BLOCKED)
    assert lines[:4] == [
        "AVRO pip install penstock[avro]",
        "PROTOBUF pip install penstock[protobuf]",
        "PROTOBUF_NOSR pip install penstock[protobuf]",
        "rows pip install penstock[protobuf]",
    ]
    assert lines[4:] == [f"{name} [(1,)]" for name in ("JSON", "JSON_SR", "DELIMITED", "KAFKA", "ARROW")]


def test_they_are_imported_when_used() -> None:
    """A database that uses neither format imports neither package, nor what only a registry server needs."""
    assert run(UNUSED) == ["[]"]


@pytest.mark.parametrize("format_", ["AVRO", "PROTOBUF"])
def test_with_the_packages(format_: str) -> None:
    """Here they are installed, so that the tests above test what they say."""
    with penstock.connect(None, threads=0) as database:
        database.execute(f"CREATE STREAM s (a INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='{format_}', PARTITIONS=1);")
