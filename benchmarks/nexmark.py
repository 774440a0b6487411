"""Queries after the Nexmark benchmark, as far as the dialect can say them; every answer is checked against DuckDB.

Differences from the benchmark's own text: event time everywhere (q12 is about processing time there); q5 and q7 stop at
the counts and maxima per window, since the dialect has no join of a stream with its own windows' results; q8 groups by
window and joins with the persons of the last ten seconds; q18 keeps the last bid with LATEST_BY_OFFSET; q15 and q17 have
no day column, the events span minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

import penstock

from . import bids
from .measure import Measurement, Options, database, end_query, rate, until_taken_in, workload
from .throughput import insert_site


@dataclass(frozen=True, slots=True)
class Query:
    """One query: ours makes a source of the same name in upper case, the oracle's answers for its final contents.

    Attributes:
        statement: what follows CREATE STREAM or TABLE <name> WITH (properties) AS.
        answer: reads the final answer from the source.
        oracle: DuckDB's answer over the tables bid, auction and person.
    """

    name: str
    kind: str
    statement: str
    answer: str
    oracle: str
    properties: str = ""


_WINDOW = "date_time // {size} * {size}"

QUERIES = (
    Query(
        "q0",
        "STREAM",
        "SELECT auction, bidder, price, date_time, extra FROM bids EMIT CHANGES",
        "SELECT auction, bidder, price, date_time, extra FROM q0",
        "SELECT auction, bidder, price, date_time, extra FROM bid",
    ),
    Query(
        "q1",
        "STREAM",
        "SELECT auction, bidder, CAST(price AS DOUBLE) * 0.908E0 AS price, date_time FROM bids EMIT CHANGES",
        "SELECT auction, bidder, price, date_time FROM q1",
        "SELECT auction, bidder, price::DOUBLE * 0.908::DOUBLE, date_time FROM bid",
    ),
    Query(
        "q2",
        "STREAM",
        "SELECT auction, price FROM bids WHERE auction % 123 = 0 EMIT CHANGES",
        "SELECT auction, price FROM q2",
        "SELECT auction, price FROM bid WHERE auction % 123 = 0",
    ),
    Query(
        "q3",
        "STREAM",
        "SELECT a.seller AS seller, p.name AS name, p.city AS city, p.state AS state, a.id AS auction "
        "FROM auctions a JOIN persons p WITHIN 1 DAYS GRACE PERIOD 1 DAYS ON a.seller = p.id "
        "WHERE a.category = 10 AND (p.state = 'OR' OR p.state = 'ID' OR p.state = 'CA') EMIT CHANGES",
        "SELECT name, city, state, auction FROM q3",
        "SELECT p.name, p.city, p.state, a.id FROM auction a JOIN person p ON a.seller = p.id "
        "WHERE a.category = 10 AND p.state IN ('OR', 'ID', 'CA')",
    ),
    Query(
        "q5",
        "TABLE",
        "SELECT auction, COUNT(*) AS n FROM bids WINDOW HOPPING (SIZE 10 SECONDS, ADVANCE BY 2 SECONDS) GROUP BY auction",
        "SELECT auction, windowstart, n FROM q5",
        "SELECT auction, date_time // 2000 * 2000 - k * 2000 AS ws, count(*) FROM bid, range(5) r(k) GROUP BY ALL",
    ),
    Query(
        "q7",
        "TABLE",
        "SELECT 1 AS one, MAX(price) AS highest FROM bids WINDOW TUMBLING (SIZE 10 SECONDS) GROUP BY 1",
        "SELECT windowstart, highest FROM q7",
        f"SELECT {_WINDOW.format(size=10_000)} AS ws, max(price) FROM bid GROUP BY ALL",
    ),
    Query(
        "q8",
        "STREAM",
        "SELECT p.id AS id, p.name AS name, a.id AS auction FROM persons p JOIN auctions a "
        "WITHIN (0 SECONDS, 10 SECONDS) GRACE PERIOD 10 SECONDS ON p.id = a.seller EMIT CHANGES",
        "SELECT name, auction FROM q8",
        "SELECT p.name, a.id FROM person p JOIN auction a ON p.id = a.seller "
        "AND a.date_time BETWEEN p.date_time AND p.date_time + 10000",
    ),
    Query(
        "q11",
        "TABLE",
        "SELECT bidder, COUNT(*) AS n FROM bids WINDOW SESSION (10 SECONDS) GROUP BY bidder",
        "SELECT bidder, windowstart, windowend, n FROM q11",
        "WITH marked AS (SELECT bidder, date_time, CASE WHEN date_time - lag(date_time) OVER w <= 10000 THEN 0 ELSE 1 END "
        "AS fresh FROM bid WINDOW w AS (PARTITION BY bidder ORDER BY date_time)), numbered AS (SELECT bidder, date_time, "
        "sum(fresh) OVER (PARTITION BY bidder ORDER BY date_time ROWS UNBOUNDED PRECEDING) AS session FROM marked) "
        "SELECT bidder, min(date_time), max(date_time), count(*) FROM numbered GROUP BY bidder, session",
    ),
    Query(
        "q12",
        "TABLE",
        "SELECT bidder, COUNT(*) AS n FROM bids WINDOW TUMBLING (SIZE 10 SECONDS) GROUP BY bidder",
        "SELECT bidder, windowstart, n FROM q12",
        f"SELECT bidder, {_WINDOW.format(size=10_000)} AS ws, count(*) FROM bid GROUP BY ALL",
    ),
    Query(
        "q14",
        "STREAM",
        "SELECT auction, bidder, CASE WHEN price < 100000 THEN 'low' WHEN price < 10000000 THEN 'mid' ELSE 'high' END AS "
        "class, LEN(extra) - LEN(REPLACE(extra, 'x', '')) AS xs FROM bids WHERE price > 10000 AND price < 50000000 "
        "EMIT CHANGES",
        "SELECT auction, bidder, class, xs FROM q14",
        "SELECT auction, bidder, CASE WHEN price < 100000 THEN 'low' WHEN price < 10000000 THEN 'mid' ELSE 'high' END, "
        "length(extra) - length(replace(extra, 'x', '')) FROM bid WHERE price > 10000 AND price < 50000000",
    ),
    Query(
        "q17",
        "TABLE",
        "SELECT auction, COUNT(*) AS n, SUM(CASE WHEN price < 10000 THEN 1 ELSE 0 END) AS low, MIN(price) AS lowest, "
        "MAX(price) AS highest, AVG(price) AS middle, SUM(price) AS total FROM bids GROUP BY auction",
        "SELECT auction, n, low, lowest, highest, round(middle, 3), total FROM q17",
        "SELECT auction, count(*), count(*) FILTER (WHERE price < 10000), min(price), max(price), round(avg(price), 3), "
        "sum(price) FROM bid GROUP BY auction",
    ),
    Query(
        "q18",
        "TABLE",
        "SELECT bidder, auction, LATEST_BY_OFFSET(price) AS price, LATEST_BY_OFFSET(channel) AS channel, "
        "LATEST_BY_OFFSET(date_time) AS placed FROM bids GROUP BY bidder, auction",
        "SELECT bidder, auction, price, channel, placed FROM q18",
        "SELECT bidder, auction, price, channel, date_time FROM (SELECT *, row_number() OVER () AS place FROM bid) "
        "QUALIFY row_number() OVER (PARTITION BY bidder, auction ORDER BY place DESC) = 1",
        "WITH (KEY_FORMAT='JSON')",
    ),
    Query(
        "q20",
        "STREAM",
        "SELECT b.auction AS auction, b.bidder AS bidder, b.price AS price, a.item_name AS item, a.seller AS seller "
        "FROM bids b JOIN auction_table a ON b.auction = a.id WHERE a.category = 10 EMIT CHANGES",
        "SELECT bidder, price, item, seller FROM q20",
        "SELECT b.bidder, b.price, a.item_name, a.seller FROM bid b JOIN auction a ON b.auction = a.id "
        "AND a.date_time <= b.date_time WHERE a.category = 10",
    ),
    Query(
        "q22",
        "STREAM",
        "SELECT auction, bidder, price, SPLIT(url, '/')[4] AS first, SPLIT(url, '/')[5] AS second FROM bids EMIT CHANGES",
        "SELECT auction, bidder, price, first, second FROM q22",
        "SELECT auction, bidder, price, split_part(url, '/', 4), split_part(url, '/', 5) FROM bid",
    ),
)
"""By the numbers of the benchmark."""

_READS_AUCTIONS = ("q3", "q8", "q20")


@workload
def nexmark(options: Options) -> Iterator[Measurement]:
    """Million events a second; an answer that differs from DuckDB's is an error."""
    blocks = bids.blocks_of(options.rows)
    oracle = duckdb.connect(config={"threads": 2})
    tables = {
        "bid": pa.concat_tables([bids.bid_block(b) for b in range(blocks)]),
        "auction": pa.concat_tables([bids.auction_block(b) for b in range(blocks)]),
        "person": pa.concat_tables([bids.person_block(b) for b in range(blocks)]),
    }
    for name, table in tables.items():
        oracle.register(name, table)
    read = {"bids": len(tables["bid"]), "auctions": len(tables["auction"]), "persons": len(tables["person"])}
    with database() as db:
        token, _ = insert_site(db, blocks)
        db.execute(
            f"CREATE TABLE auction_table ({bids.AUCTION_COLUMNS.replace('id BIGINT', 'id BIGINT PRIMARY KEY', 1)}) "
            "WITH (KAFKA_TOPIC='auctions', VALUE_FORMAT='ARROW');"
        )
        for query in QUERIES:
            seconds = until_taken_in(db, token, f"CREATE {query.kind} {query.name} {query.properties} AS {query.statement};")
            events = sum(n for name, n in read.items() if f" {name} " in query.statement)
            events += read["auctions"] if "auction_table" in query.statement else 0
            check(query, answer(db, query), oracle)
            end_query(db, query.name.upper())
            yield Measurement(f"nexmark {query.name}", rate(events, seconds), "M rows/s")
    oracle.close()


def answer(db: penstock.Database, query: Query) -> Any:
    """The final contents of what a query made, as Arrow."""
    return db.sql(query.answer).arrow()


def check(query: Query, ours: Any, oracle: Any) -> None:
    """Raises: AssertionError, if the rows are not those of the oracle (in any order, counted)."""
    columns = ", ".join(f"c{i}" for i in range(ours.num_columns))
    renamed = ours.rename_columns([f"c{i}" for i in range(ours.num_columns)])
    oracle.register("ours", renamed)
    theirs = f"SELECT * FROM ({query.oracle}) t({columns})"
    count = oracle.execute(f"SELECT count(*) FROM ({theirs})").fetchall()[0][0]
    missing = oracle.execute(f"SELECT count(*) FROM (({theirs}) EXCEPT ALL (SELECT {columns} FROM ours))").fetchall()[0][0]
    oracle.unregister("ours")
    assert (len(renamed), missing) == (count, 0), (
        f"{query.name}: {len(renamed)} rows, the oracle has {count}, of which {missing} are not among them"
    )
