"""A process that opens while the brokers do not answer for a moment: its queries go on when they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import penstock
from penstock.errors import LogUnavailableError
from penstock.runtime.query.assembly import Assembly

Connect = Callable[..., penstock.Database]

SCRIPT = """
CREATE STREAM orders (id STRING KEY, n INTEGER) WITH (KAFKA_TOPIC = 'orders', PARTITIONS = 2, VALUE_FORMAT = 'JSON');
CREATE TABLE counts WITH (KAFKA_TOPIC = 'counts') AS SELECT id, COUNT(*) AS c FROM orders GROUP BY id;
"""


def test_a_query_that_cannot_read_where_it_was_goes_on_later(connect: Connect) -> None:
    """It is not in state ERROR, which only RESUME would end."""
    db = connect()
    db.execute(SCRIPT)
    db.insert("orders", [{"id": "a", "n": 1}])
    assert db.wait_idle(60)
    db.close()
    recover, failures = Assembly.recover, []

    def fails_at_first(self: Assembly) -> Any:
        if len(failures) < 2:
            failures.append(self.query_id)
            raise LogUnavailableError("cannot read the positions: no Kafka broker answers")
        return recover(self)

    with mock.patch.object(Assembly, "recover", fails_at_first):
        db = connect()
        (query,) = db.queries.values()
        assert query.progress().state == "RUNNING"
        db.insert("orders", [{"id": "a", "n": 2}])
        assert db.wait_idle(60)
    assert len(failures) == 2
    assert db.sql("SELECT c FROM counts").fetchall() == [(2,)]
