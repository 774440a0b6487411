"""Header columns are no values: no format looks for them among these."""

from __future__ import annotations

import pytest

import penstock


@pytest.mark.parametrize(("format_", "value"), [("DELIMITED", b'7,"y"'), ("JSON", b'{"A": 7, "B": "y", "H": [1]}')])
def test_headers_are_not_looked_for_in_the_value(format_: str, value: bytes) -> None:
    """Neither in a SELECT nor in a query that reads only some of the columns."""
    with penstock.connect(threads=0, auto_offset_reset="earliest") as database:
        database.execute(
            f"""CREATE STREAM m (k STRING KEY, a INT, b STRING, h BYTES HEADER('trace'))
                    WITH (KAFKA_TOPIC = 'm', PARTITIONS = 1, VALUE_FORMAT = '{format_}');
                CREATE STREAM copies AS SELECT k, a, FROM_BYTES(h, 'utf8') AS h FROM m;"""
        )
        database.produce("m", key=b"x", value=value, headers=[("trace", b"h0")])
        database.drain()
        assert database.sql("SELECT * FROM m").fetchall() == [("x", 7, "y", b"h0")]
        assert database.sql("SELECT * FROM copies").fetchall() == [("x", 7, "h0")]
        assert database.sql("SELECT * FROM KSQL_PROCESSING_LOG").fetchall() == []
