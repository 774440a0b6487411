"""The compliance suite of PEP 249, over streams instead of tables."""

from __future__ import annotations

from typing import Any

import pytest

import penstock.dbapi

dbapi20 = pytest.importorskip("dbapi20")
PREFIX = dbapi20.DatabaseAPI20Test.table_prefix


class TestCompliance(dbapi20.DatabaseAPI20Test):  # type: ignore[misc, no-any-unimported]
    """All of its tests; what Penstock has not is left out by name."""

    driver = penstock.dbapi
    ddl1 = f"CREATE STREAM {PREFIX}booze (name STRING) WITH (KAFKA_TOPIC = 'booze', PARTITIONS = 1)"
    ddl2 = f"CREATE STREAM {PREFIX}barflys (name STRING, drink STRING) WITH (KAFKA_TOPIC = 'barflys', PARTITIONS = 1)"
    xddl1 = f"DROP STREAM {PREFIX}booze DELETE TOPIC"
    xddl2 = f"DROP STREAM {PREFIX}barflys DELETE TOPIC"

    @pytest.fixture(autouse=True)
    def database(self, tmp_path: Any) -> Any:
        """One directory per test: connections of it share what is in it."""
        type(self).connect_args = (tmp_path / "db",)
        with penstock.connect(tmp_path / "db"):
            yield

    def test_nextset(self) -> None:
        """There is one result per statement."""

    def test_setoutputsize(self) -> None:
        """Nothing is to be set."""
