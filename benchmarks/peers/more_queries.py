"""The other Nexmark queries that the dialect can say; see docs/performance.md for those that it cannot.

q4 and q9 take the bids of an auction from its beginning to its end; ties go to the earlier bid.  q12 is about event time
here.  q13 joins with a table of 10,000 rows that were there before all events.
"""

from __future__ import annotations

from typing import Final

from .queries import DAYS, Query

_BIDS_IN_TIME = (
    f"FROM bids b JOIN auctions a {DAYS} ON b.auction = a.id WHERE b.date_time >= a.date_time AND b.date_time <= a.expires"
)
_BIDS_IN_TIME_ORACLE = (
    "FROM bids b JOIN auctions a ON b.auction = a.id WHERE b.date_time >= a.date_time AND b.date_time <= a.expires"
)
_CHANNEL = (
    "CASE WHEN LCASE(channel) = 'apple' THEN '0' WHEN LCASE(channel) = 'google' THEN '1' "
    "WHEN LCASE(channel) = 'facebook' THEN '2' WHEN LCASE(channel) = 'baidu' THEN '3' "
    "ELSE REGEXP_EXTRACT('[&^]channel_id=([^&]*)', url, 1) END"
)
_CHANNEL_ORACLE = (
    "CASE lower(channel) WHEN 'apple' THEN '0' WHEN 'google' THEN '1' WHEN 'facebook' THEN '2' WHEN 'baidu' THEN '3' "
    "ELSE nullif(regexp_extract(url, '[&^]channel_id=([^&]*)', 1), '') END"
)
_CLASS = (
    "CASE WHEN {hour} >= 8 AND {hour} <= 18 THEN 'dayTime' WHEN {hour} <= 6 OR {hour} >= 20 THEN 'nightTime' "
    "ELSE 'otherTime' END"
)
_HOUR, _HOUR_ORACLE = "date_time / 3600000 % 24", "date_time // 3600000 % 24"
_RANKS = (
    "COUNT(*) AS n, SUM(CASE WHEN price < 10000 THEN 1 ELSE 0 END) AS low, "
    "SUM(CASE WHEN price >= 10000 AND price < 1000000 THEN 1 ELSE 0 END) AS middle, "
    "SUM(CASE WHEN price >= 1000000 THEN 1 ELSE 0 END) AS high, "
    "MIN(price) AS lowest, MAX(price) AS highest, AVG(price) AS mean, SUM(price) AS total"
)

MORE: Final = {
    "q4": Query(
        ("bids", "auctions"),
        "TABLE",
        "SELECT category, AVG(final) AS mean FROM q4_winners GROUP BY category",
        "SELECT category, round(mean, 3) FROM made",
        f"SELECT category, round(avg(final), 3) FROM (SELECT a.id, a.category, max(b.price) AS final {_BIDS_IN_TIME_ORACLE} "
        "GROUP BY ALL) GROUP BY category",
        before=(
            "TABLE q4_winners WITH (KEY_FORMAT='JSON') AS SELECT a.id AS id, a.category AS category, MAX(b.price) AS final "
            f"{_BIDS_IN_TIME} GROUP BY a.id, a.category",
        ),
    ),
    "q9": Query(
        ("bids", "auctions"),
        "TABLE",
        f"SELECT b.auction AS auction, TOPK(b.price, b.bidder, b.date_time, 1) AS best {_BIDS_IN_TIME} GROUP BY b.auction",
        "SELECT auction, best[1].sort_col, best[1].col0, best[1].col1 FROM made",
        f"SELECT b.auction, b.price, b.bidder, b.date_time {_BIDS_IN_TIME_ORACLE} "
        "QUALIFY row_number() OVER (PARTITION BY b.auction ORDER BY b.price DESC, b.date_time, b.place) = 1",
    ),
    "q12": Query(
        ("bids",),
        "TABLE",
        "SELECT bidder, COUNT(*) AS n FROM bids WINDOW TUMBLING (SIZE 10 SECONDS) GROUP BY bidder",
        "SELECT bidder, windowstart, n FROM made",
        "SELECT bidder, date_time // 10000 * 10000, count(*) FROM bids GROUP BY ALL",
    ),
    "q13": Query(
        ("bids",),
        "STREAM",
        "SELECT s.key AS side, b.auction AS auction, b.bidder AS bidder, b.price AS price, "
        "b.date_time AS date_time, s.value AS value FROM bids b JOIN side s ON b.auction % 10000 = s.key",
        "SELECT auction, bidder, price, date_time, value FROM made",
        "SELECT auction, bidder, price, date_time, 'value-' || (auction % 10000) FROM bids",
    ),
    "q14": Query(
        ("bids",),
        "STREAM",
        f"SELECT auction, bidder, 0.908 * price AS price, {_CLASS.format(hour=_HOUR)} AS part, date_time, extra, "
        "LEN(extra) - LEN(REPLACE(extra, 'c', '')) AS cs FROM bids "
        "WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000",
        "SELECT auction, bidder, price::DOUBLE, part, date_time, extra, cs FROM made",
        f"SELECT auction, bidder, (0.908 * price)::DOUBLE, {_CLASS.format(hour=_HOUR_ORACLE)}, date_time, extra, "
        "length(extra) - length(replace(extra, 'c', '')) FROM bids "
        "WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000",
    ),
    "q17": Query(
        ("bids",),
        "TABLE",
        f"SELECT auction, date_time / 86400000 AS day, {_RANKS} FROM bids GROUP BY auction, date_time / 86400000",
        "SELECT auction, day, n, low, middle, high, lowest, highest, round(mean, 3), total FROM made",
        "SELECT auction, date_time // 86400000, count(*), count(*) FILTER (price < 10000), "
        "count(*) FILTER (price >= 10000 AND price < 1000000), count(*) FILTER (price >= 1000000), min(price), max(price), "
        "round(avg(price), 3), sum(price) FROM bids GROUP BY ALL",
        "WITH (KEY_FORMAT='JSON')",
    ),
    "q19": Query(
        ("bids",),
        "TABLE",
        "SELECT auction, TOPK(price, bidder, channel, url, date_time, extra, 10) AS top FROM bids GROUP BY auction",
        "SELECT auction, r.sort_col, r.col0, r.col1, r.col2, r.col3, r.col4 "
        "FROM (SELECT auction, unnest(top) AS r FROM made)",
        "SELECT auction, price, bidder, channel, url, date_time, extra FROM bids "
        "QUALIFY row_number() OVER (PARTITION BY auction ORDER BY price DESC, date_time, place) <= 10",
    ),
    "q21": Query(
        ("bids",),
        "STREAM",
        f"SELECT auction, bidder, price, channel, {_CHANNEL} AS channel_id FROM bids WHERE {_CHANNEL} IS NOT NULL",
        "SELECT auction, bidder, price, channel, channel_id FROM made",
        f"SELECT auction, bidder, price, channel, {_CHANNEL_ORACLE} FROM bids WHERE {_CHANNEL_ORACLE} IS NOT NULL",
    ),
    "q22": Query(
        ("bids",),
        "STREAM",
        "SELECT auction, bidder, price, channel, SPLIT(url, '/')[4] AS first, SPLIT(url, '/')[5] AS second, "
        "SPLIT(url, '/')[6] AS third FROM bids",
        "SELECT auction, bidder, price, channel, first, second, third FROM made",
        "SELECT auction, bidder, price, channel, split_part(url, '/', 4), split_part(url, '/', 5), split_part(url, '/', 6) "
        "FROM bids",
    ),
}
"""By the numbers of the benchmark."""
