"""What ten of the queries are (`more_queries` has others), for Penstock and for DuckDB, whose answers must be the same.

All times are event times in milliseconds.  q7 keeps the four highest bids of each window and q5 the counts of all windows;
what is asked for in the end (ties of the highest, the largest count) is chosen from these tables when they are read.  q8 and
q18 have keys of two columns, so their tables have JSON keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Query:
    """A query.

    Attributes:
        reads: the streams whose events count.
        kind: STREAM or TABLE.
        statement: its SELECT, without EMIT CHANGES.
        answer: reads the final answer from the source, DuckDB's SQL over its rows in ``made``.
        oracle: DuckDB's answer over the tables bids, auctions and persons (``place`` is the order of arrival).
        properties: of the source.
        before: sources that are made before it, as what stands between CREATE and EMIT CHANGES.
    """

    reads: tuple[str, ...]
    kind: str
    statement: str
    answer: str
    oracle: str
    properties: str = ""
    before: tuple[str, ...] = ()


_LATEST = ", ".join(f"LATEST_BY_OFFSET({c}) AS {c}" for c in ("price", "channel", "url", "date_time", "extra"))
_PAIR = (
    "b.bidder AS bidder, b.price AS price, b.channel AS channel, b.url AS url, b.date_time AS placed, b.extra AS note, "
    "a.item_name AS item, a.description AS description, a.initial_bid AS initial_bid, a.reserve AS reserve, "
    "a.date_time AS opened, a.expires AS expires, a.seller AS seller, a.category AS category, a.extra AS remark"
)
_PAIR_COLUMNS = (
    "bidder, price, channel, url, placed, note, item, description, initial_bid, reserve, opened, expires, seller, category, "
    "remark"
)
DAYS = "WITHIN 1 DAYS GRACE PERIOD 1 DAYS"

QUERIES: Final = {
    "q0": Query(
        ("bids",),
        "STREAM",
        "SELECT auction, bidder, price, date_time, extra FROM bids",
        "SELECT auction, bidder, price, date_time, extra FROM made",
        "SELECT auction, bidder, price, date_time, extra FROM bids",
    ),
    "q1": Query(
        ("bids",),
        "STREAM",
        "SELECT auction, bidder, 0.908 * price AS price, date_time, extra FROM bids",
        "SELECT auction, bidder, price::DOUBLE, date_time, extra FROM made",
        "SELECT auction, bidder, (0.908 * price)::DOUBLE, date_time, extra FROM bids",
    ),
    "q2": Query(
        ("bids",),
        "STREAM",
        "SELECT auction, price FROM bids WHERE auction % 123 = 0",
        "SELECT auction, price FROM made",
        "SELECT auction, price FROM bids WHERE auction % 123 = 0",
    ),
    "q3": Query(
        ("persons", "auctions"),
        "STREAM",
        "SELECT a.seller AS seller, p.name AS name, p.city AS city, p.state AS state, a.id AS id "
        f"FROM auctions a JOIN persons p {DAYS} ON a.seller = p.id "
        "WHERE a.category = 10 AND (p.state = 'OR' OR p.state = 'ID' OR p.state = 'CA')",
        "SELECT name, city, state, id FROM made",
        "SELECT p.name, p.city, p.state, a.id FROM auctions a JOIN persons p ON a.seller = p.id "
        "WHERE a.category = 10 AND p.state IN ('OR', 'ID', 'CA')",
    ),
    "q5": Query(
        ("bids",),
        "TABLE",
        "SELECT auction, COUNT(*) AS n FROM bids WINDOW HOPPING (SIZE 10 SECONDS, ADVANCE BY 2 SECONDS) GROUP BY auction",
        "SELECT auction, windowstart, n FROM made QUALIFY n = max(n) OVER (PARTITION BY windowstart)",
        "WITH panes AS (SELECT auction, date_time // 2000 * 2000 AS pane, count(*) AS n FROM bids GROUP BY ALL), "
        "windows AS (SELECT auction, pane - k * 2000 AS ws, sum(n)::BIGINT AS n FROM panes, range(5) r(k) GROUP BY ALL) "
        "SELECT auction, ws, n FROM windows QUALIFY n = max(n) OVER (PARTITION BY ws)",
    ),
    "q7": Query(
        ("bids",),
        "TABLE",
        "SELECT 1 AS one, TOPK(price, auction, bidder, date_time, extra, 4) AS top FROM bids "
        "WINDOW TUMBLING (SIZE 10 SECONDS) GROUP BY 1",
        "SELECT r.col0, r.col1, r.sort_col, r.col2, r.col3 FROM (SELECT windowstart, unnest(top) AS r FROM made) "
        "QUALIFY r.sort_col = max(r.sort_col) OVER (PARTITION BY windowstart)",
        "SELECT auction, bidder, price, date_time, extra FROM bids "
        "QUALIFY price = max(price) OVER (PARTITION BY date_time // 10000)",
    ),
    "q8": Query(
        ("persons", "auctions"),
        "TABLE",
        "SELECT p.id AS id, p.name AS name, COUNT(*) AS n FROM persons p JOIN auctions a "
        "WITHIN 10 SECONDS GRACE PERIOD 10 SECONDS ON p.id = a.seller WINDOW TUMBLING (SIZE 10 SECONDS) "
        "WHERE p.date_time / 10000 = a.date_time / 10000 GROUP BY p.id, p.name",
        "SELECT id, name, windowstart FROM made",
        "WITH p AS (SELECT DISTINCT id, name, date_time // 10000 * 10000 AS ws FROM persons), "
        "a AS (SELECT DISTINCT seller, date_time // 10000 * 10000 AS ws FROM auctions) "
        "SELECT p.id, p.name, p.ws FROM p JOIN a ON p.id = a.seller AND p.ws = a.ws",
        "WITH (KEY_FORMAT='JSON')",
    ),
    "q11": Query(
        ("bids",),
        "TABLE",
        "SELECT bidder, COUNT(*) AS n FROM bids WINDOW SESSION (9999 MILLISECONDS) GROUP BY bidder",
        "SELECT bidder, n, windowstart, windowend FROM made",
        "WITH marked AS (SELECT bidder, date_time, coalesce(date_time - lag(date_time) OVER w >= 10000, true) AS fresh "
        "FROM bids WINDOW w AS (PARTITION BY bidder ORDER BY date_time)), numbered AS (SELECT bidder, date_time, "
        "sum(fresh::INT) OVER (PARTITION BY bidder ORDER BY date_time ROWS UNBOUNDED PRECEDING) AS session FROM marked) "
        "SELECT bidder, count(*), min(date_time), max(date_time) FROM numbered GROUP BY bidder, session",
    ),
    "q18": Query(
        ("bids",),
        "TABLE",
        f"SELECT bidder, auction, {_LATEST} FROM bids GROUP BY bidder, auction",
        "SELECT auction, bidder, price, channel, url, date_time, extra FROM made",
        "SELECT auction, bidder, price, channel, url, date_time, extra FROM bids "
        "QUALIFY row_number() OVER (PARTITION BY bidder, auction ORDER BY date_time DESC, place DESC) = 1",
        "WITH (KEY_FORMAT='JSON')",
    ),
    "q20": Query(
        ("bids", "auctions"),
        "STREAM",
        f"SELECT b.auction, {_PAIR} FROM bids b JOIN auctions a {DAYS} ON b.auction = a.id WHERE a.category = 10",
        f"SELECT {_PAIR_COLUMNS} FROM made",
        f"SELECT {_PAIR} FROM bids b JOIN auctions a ON b.auction = a.id WHERE a.category = 10",
    ),
}

DISCARDED: Final = ("q0", "q1", "q2")
"""Queries that can be run as push queries whose rows are dropped."""


def site(format_: str, partitions: int) -> str:
    """The statements that create the streams."""
    made = []
    for name, columns in (
        ("bids", "auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, url STRING, date_time BIGINT, extra STRING"),
        (
            "auctions",
            "id BIGINT KEY, item_name STRING, description STRING, initial_bid BIGINT, reserve BIGINT, date_time BIGINT, "
            "expires BIGINT, seller BIGINT, category BIGINT, extra STRING",
        ),
        (
            "persons",
            "id BIGINT KEY, name STRING, email_address STRING, credit_card STRING, city STRING, state STRING, "
            "date_time BIGINT, extra STRING",
        ),
    ):
        made.append(
            f"CREATE STREAM {name} ({columns}) WITH (KAFKA_TOPIC='{name}', VALUE_FORMAT='{format_}', "
            f"PARTITIONS={partitions}, TIMESTAMP='date_time');"
        )
    made.append(
        "CREATE TABLE side (key BIGINT PRIMARY KEY, value STRING, since BIGINT) WITH (KAFKA_TOPIC='side', "
        f"VALUE_FORMAT='{format_}', PARTITIONS={partitions}, TIMESTAMP='since');"
    )
    return "\n".join(made)
