"""Whole queries over random records: however the input is cut into steps, the log comes out the same.

The oracle is the engine itself, one record at a time.  Records come late, early and at the same time, with and without keys
and values, as tombstones and as bytes that are not JSON at all.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import penstock

SOURCES = """
CREATE STREAM A (K INT KEY, V INT, N STRING) WITH (KAFKA_TOPIC='a', FORMAT='JSON', PARTITIONS={0});
CREATE STREAM B (K INT KEY, V INT, N STRING) WITH (KAFKA_TOPIC='b', FORMAT='JSON', PARTITIONS={0});
CREATE TABLE T (K INT PRIMARY KEY, V INT, N STRING) WITH (KAFKA_TOPIC='t', FORMAT='JSON', PARTITIONS={0});
CREATE TABLE U (K INT PRIMARY KEY, V INT, N STRING) WITH (KAFKA_TOPIC='u', FORMAT='JSON', PARTITIONS={0});
"""
AGGREGATES = """COUNT(*) AS C, COUNT(V) AS CV, SUM(V) AS S, AVG(V) AS D, COLLECT_LIST(V) AS L, HISTOGRAM(N) AS H,
    STDDEV_SAMPLE(V) AS SD, CORRELATION(V, LEN(N)) AS CO, ATTR(N) AS AT_"""
STREAM_AGGREGATES = f"""{AGGREGATES}, MIN(V) AS MI, MAX(N) AS MA, COLLECT_SET(N) AS CS, COUNT_DISTINCT(N) AS CD,
    EARLIEST_BY_OFFSET(N) AS E, LATEST_BY_OFFSET(V) AS LA, EARLIEST_BY_OFFSET(V, 2) AS E2,
    LATEST_BY_OFFSET(N, 2, false) AS L2, TOPK(V, 2) AS TK, TOPKDISTINCT(V, 2) AS TD"""

STATELESS = """
CREATE STREAM FILTERED AS SELECT K, V + 1 AS W, UCASE(N) AS N FROM A WHERE V > 0 AND N <> 'b';
CREATE STREAM REKEYED AS SELECT * FROM A PARTITION BY N;
CREATE STREAM REKEYED_TWICE AS SELECT N, V / 2 AS H, K AS K FROM A PARTITION BY N, V / 2;
CREATE STREAM STAMPED WITH (TIMESTAMP='T') AS SELECT N, CAST(V AS BIGINT) AS T FROM A PARTITION BY N;
CREATE STREAM UNKEYED AS SELECT * FROM A PARTITION BY NULL;
CREATE STREAM EXPLODED AS SELECT K, EXPLODE(ARRAY[V, V / (V - 1)]) AS I, EXPLODE(SPLIT(N, 'a')) AS P FROM A;
CREATE TABLE PROJECTED AS SELECT K, V * 2 AS W, N FROM T WHERE V <> 2;
"""
AGGREGATING = f"""
CREATE TABLE GROUPED AS SELECT N, {STREAM_AGGREGATES} FROM A GROUP BY N;
CREATE TABLE KEPT AS SELECT K, {STREAM_AGGREGATES} FROM A WHERE V IS NOT NULL GROUP BY K HAVING SUM(V) > 1;
CREATE TABLE MOVING AS SELECT N, {AGGREGATES} FROM T GROUP BY N HAVING COUNT(*) > 0;
CREATE TABLE SAME_KEY AS SELECT K, {AGGREGATES} FROM T GROUP BY K;
"""
WINDOWED = f"""
CREATE TABLE TUMBLED AS SELECT N, WINDOWSTART AS WS, {STREAM_AGGREGATES} FROM A
    WINDOW TUMBLING (SIZE 10 SECONDS, GRACE PERIOD 5 SECONDS) GROUP BY N;
CREATE TABLE HOPPED AS SELECT K, COUNT(*) AS C, SUM(V) AS S, WINDOWEND AS WE FROM A
    WINDOW HOPPING (SIZE 10 SECONDS, ADVANCE BY 4 SECONDS, GRACE PERIOD 3 SECONDS) GROUP BY K HAVING SUM(V) > 0;
CREATE TABLE SESSIONS AS SELECT N, {STREAM_AGGREGATES} FROM A
    WINDOW SESSION (5 SECONDS, GRACE PERIOD 5 SECONDS) GROUP BY N;
CREATE TABLE LONG_SESSIONS AS SELECT K, COUNT(*) AS C, COLLECT_LIST(N) AS L FROM A WINDOW SESSION (9 SECONDS) GROUP BY K
    HAVING COUNT(*) > 1;
CREATE TABLE LAST_TUMBLED AS SELECT N, COUNT(*) AS C, COLLECT_LIST(V) AS L FROM A
    WINDOW TUMBLING (SIZE 6 SECONDS, GRACE PERIOD 4 SECONDS) GROUP BY N EMIT FINAL;
CREATE TABLE LAST_HOPPED AS SELECT K, COUNT(*) AS C, MAX(V) AS M FROM A
    WINDOW HOPPING (SIZE 6 SECONDS, ADVANCE BY 3 SECONDS, GRACE PERIOD 0 SECONDS) GROUP BY K EMIT FINAL;
CREATE TABLE LAST_SESSIONS AS SELECT N, COUNT(*) AS C, COLLECT_LIST(V) AS L FROM A
    WINDOW SESSION (3 SECONDS, GRACE PERIOD 2 SECONDS) GROUP BY N EMIT FINAL;
"""
STREAM_JOINS = """
CREATE STREAM INNER_JOINED AS SELECT A.K AS K, A.V AS AV, B.V AS BV FROM A JOIN B WITHIN 5 SECONDS ON A.K = B.K;
CREATE STREAM LEFT_JOINED AS SELECT A.K AS K, A.V AS AV, B.V AS BV FROM A
    LEFT JOIN B WITHIN (2 SECONDS, 6 SECONDS) GRACE PERIOD 3 SECONDS ON A.K = B.K;
CREATE STREAM RIGHT_JOINED AS SELECT B.N AS N, A.V AS AV, B.V AS BV FROM A
    RIGHT JOIN B WITHIN 4 SECONDS GRACE PERIOD 2 SECONDS ON A.N = B.N;
CREATE STREAM FULL_JOINED AS SELECT ROWKEY, A.V AS AV, B.V AS BV FROM A
    FULL OUTER JOIN B WITHIN 3 SECONDS GRACE PERIOD 1 SECONDS ON A.K = B.K;
CREATE STREAM EAGER_JOINED AS SELECT ROWKEY, A.V AS AV, B.V AS BV FROM A FULL OUTER JOIN B WITHIN 3 SECONDS ON A.N = B.N;
CREATE STREAM LOOKED_UP AS SELECT A.K AS K, A.V AS AV, T.V AS TV FROM A LEFT JOIN T ON A.K = T.K WHERE A.V > 0;
CREATE STREAM FOUND AS SELECT A.V AS V, T.N AS N FROM A JOIN T ON A.V = T.K;
CREATE STREAM THREE AS SELECT A.K AS K, B.V AS BV, T.N AS N FROM A
    JOIN B WITHIN 5 SECONDS GRACE PERIOD 5 SECONDS ON A.K = B.K LEFT JOIN T ON A.K = T.K;
"""
TABLE_JOINS = """
CREATE TABLE BOTH AS SELECT T.K AS K, T.V AS TV, U.N AS UN FROM T JOIN U ON T.K = U.K WHERE T.V > 0;
CREATE TABLE LEFTS AS SELECT T.K AS K, T.V AS TV, U.N AS UN FROM T LEFT JOIN U ON T.K = U.K;
CREATE TABLE RIGHTS AS SELECT U.K AS K, T.V AS TV, U.N AS UN FROM T RIGHT JOIN U ON T.K = U.K;
CREATE TABLE EITHER AS SELECT ROWKEY, T.V AS TV, U.N AS UN FROM T FULL OUTER JOIN U ON T.K = U.K;
CREATE TABLE REFERRED AS SELECT T.K AS K, T.N AS TN, U.N AS UN FROM T JOIN U ON T.V = U.K;
CREATE TABLE MAYBE_REFERRED AS SELECT T.K AS K, T.N AS TN, U.N AS UN FROM T LEFT JOIN U ON T.V = U.K;
CREATE TABLE COUNTED AS SELECT U.N AS N, COUNT(*) AS C, SUM(T.V) AS S FROM T JOIN U ON T.K = U.K GROUP BY U.N;
"""

CHAINED = """
CREATE STREAM C1 AS SELECT N, V, K AS K FROM A PARTITION BY N;
CREATE STREAM C2 AS SELECT V, N AS N FROM C1 PARTITION BY V;
CREATE TABLE C3 AS SELECT K, COLLECT_LIST(N) AS L FROM C1 GROUP BY K;
CREATE TABLE C4 AS SELECT 1 AS ONE, COLLECT_LIST(N) AS L, LATEST_BY_OFFSET(V, 3) AS V FROM C2 GROUP BY 1;
CREATE STREAM C5 AS SELECT C1.N AS N, C1.K AS K, A.V AS V FROM C1 LEFT JOIN A WITHIN 5 SECONDS ON C1.N = A.N;
"""

small = st.one_of(st.none(), st.integers(-2, 4))
values = st.one_of(
    st.none(),
    st.just(b"no JSON"),
    st.builds(lambda v, n: json.dumps({"V": v, "N": n}).encode(), small, st.sampled_from([None, "a", "b", "ab", ""])),
)
keys = st.one_of(st.none(), st.integers(0, 2).map(lambda k: str(k).encode()))
times = st.one_of(st.integers(0, 20), st.integers(0, 60), st.sampled_from([100, 100_000, 200_000])).map(lambda s: s * 1000)
inputs = st.lists(st.tuples(st.sampled_from("abtu"), keys, values, times), min_size=1, max_size=40)


def logs(statements: str, records: Any, rows_max: int, order: str, partitions: int) -> dict[str, list[Any]]:
    """What all topics hold in the end."""
    chosen = {"processing.order": order, "cache.max.bytes.buffering": 0, "auto.offset.reset": "earliest"}
    with penstock.connect(threads=0, settings={**chosen, "penstock.rows.per.step": rows_max}) as database:
        database.execute(SOURCES.format(partitions) + statements)
        for topic, key, value, timestamp in records:
            database.produce(topic, key=key, value=value, timestamp=timestamp)
        database.drain()
        topics = [t for t in database.topic_names() if t != "ksql_processing_log"]
        found: dict[str, list[Any]] = {t: list(database.consume(t)) for t in topics}
        # A step writes its reports operator by operator, so only their set is compared.
        reports = [repr((r.value["LOGGER"], r.value["MESSAGE"])) for r in database.consume("ksql_processing_log")]
        found["reports"] = sorted(reports)
        return found


@pytest.mark.parametrize(
    "statements",
    [STATELESS, AGGREGATING, WINDOWED, STREAM_JOINS, TABLE_JOINS, CHAINED],
    ids=["stateless", "aggregating", "windowed", "stream joins", "table joins", "chained"],
)
@given(records=inputs, order=st.sampled_from(["arrival", "timestamp"]), partitions=st.sampled_from([1, 3]))
@settings(max_examples=8)
def test_steps_cannot_be_seen(statements: str, records: Any, order: str, partitions: int) -> None:
    """Steps of one, three and all records write the same records to every topic."""
    singly = logs(statements, records, 1, order, partitions)
    for rows_max in (3, 10_000):
        at_once = logs(statements, records, rows_max, order, partitions)
        for topic, expected in singly.items():
            assert at_once[topic] == expected, topic


@pytest.mark.parametrize("rows_max", [1, 10_000])
def test_a_session_of_no_numbers_has_a_row(rows_max: int) -> None:
    """What STDDEV and CORRELATION keep, and what they show after each row, may have different forms in one step."""
    records = [("a", None, b'{"V": null, "N": "ab"}', 100_000), ("a", None, b'{"V": 1, "N": "ab"}', 100_500)]
    found = logs(WINDOWED, records, rows_max, "arrival", 1)
    assert len(found["SESSIONS"]) == 3  # the first row's, and for the second one a tombstone and the longer session
    assert not [report for report in found["reports"] if "NULL" not in report]
