"""Watch an access log: errors per minute as they happen, the top paths at the end.

python examples/loglines/tail.py < access.log
tail -f /var/log/nginx/access.log | python examples/loglines/tail.py
python examples/loglines/sample.py 5000 | python examples/loglines/tail.py --check
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import duckdb
import pyarrow as pa

import penstock

HERE = Path(__file__).resolve().parent
LINES_MAX = 5_000
"""Lines of one commit."""

EXPECTED = {
    "errors_per_minute": """
        SELECT status, (epoch_ms(happened) // 60000) * 60000 AS windowstart, count(*) AS errors
        FROM requests WHERE status >= 500 GROUP BY ALL""",
    "paths": "SELECT path, count(*) AS requests, sum(bytes)::BIGINT AS bytes FROM requests GROUP BY path",
    "other_lines": "SELECT line FROM lines WHERE NOT regexp_matches(line, getvariable('request'))",
}
REQUESTS = r"""
    SELECT strptime(regexp_extract(line, '\[([^\]]+)\]', 1), '%d/%b/%Y:%H:%M:%S %z') AS happened,
           regexp_extract(line, '"\S+ ([^ ?"]+)', 1) AS path,
           regexp_extract(line, '" (\d{3}) ', 1)::INT AS status,
           coalesce(try_cast(regexp_extract(line, '" \d{3} (\d+)', 1) AS BIGINT), 0) AS bytes
    FROM lines WHERE regexp_matches(line, getvariable('request'))"""
REQUEST = r'^\S+ \S+ \S+ \[[^\]]+\] "\S+ [^ ?"]+\S* [^"]*" \d{3} (\d+|-)'


def main() -> int:
    arguments = argparse.ArgumentParser(description="Watch an access log that comes in on standard input.")
    arguments.add_argument("--check", action="store_true", help="compare the results with DuckDB's at the end")
    options = arguments.parse_args()
    read: list[str] = []
    with penstock.connect() as database:
        database.execute((HERE / "loglines.sql").read_text(encoding="utf-8"))
        live = database.subscribe("SELECT windowstart, status, errors, last_path FROM errors_per_minute EMIT CHANGES;")
        printer = threading.Thread(target=show, args=(live,))
        printer.start()
        try:
            for lines in chunks(sys.stdin):
                database.insert("lines", pa.table({"line": lines}))
                if options.check:
                    read += lines
            database.wait_idle()
        except KeyboardInterrupt:
            pass
        live.end()  # what is there is still printed
        printer.join()
        print("\nTop paths:")
        database.sql("SELECT path, requests, bytes, hosts FROM paths ORDER BY requests DESC, path LIMIT 5").show()
        other = len(database.sql("SELECT * FROM other_lines"))
        print(f"{other} lines are no requests")
        return check(database, read) if options.check else 0


def show(live: Any) -> None:
    """Print the rows of the push query as they come, until it is closed."""
    for row in live:
        start, status, errors, path = row.values
        minute = datetime.fromtimestamp(start / 1000, UTC)
        print(f"{minute:%H:%M}  {errors:>4} x {status}, last at {path}", flush=True)


def chunks(source: Iterable[str]) -> Iterator[list[str]]:
    """The lines that are there, as soon as there is one: a file in large pieces, a pipe as it comes."""
    waiting: SimpleQueue[str | None] = SimpleQueue()

    def read() -> None:
        for line in source:
            waiting.put(line.rstrip("\n"))
        waiting.put(None)

    threading.Thread(target=read, daemon=True).start()
    line = waiting.get()
    while line is not None:
        found = [line]
        while len(found) < LINES_MAX and not waiting.empty():
            line = waiting.get()
            if line is None:
                break
            found.append(line)
        yield found
        if line is not None:
            line = waiting.get()


def check(database: penstock.Database, lines: list[str]) -> int:
    """Compare the results with DuckDB's batch SQL over the same lines; 0 if they are equal."""
    oracle: Any = duckdb.connect()
    oracle.register("lines", pa.table({"line": pa.array(lines, pa.string())}))
    oracle.execute("SET TimeZone = 'UTC'")
    oracle.execute(f"SET VARIABLE request = $${REQUEST}$$")
    oracle.execute(f"CREATE VIEW requests AS {REQUESTS}")
    different = 0
    for name, query in EXPECTED.items():
        expected = sorted(oracle.execute(query).fetchall())
        columns = ", ".join(d[0] for d in oracle.execute(query).description)
        actual = sorted(database.sql(f"SELECT {columns} FROM {name}").fetchall())
        different += actual != expected
        print(f"{name}: {len(actual)} rows, {'equal to' if actual == expected else 'DIFFERENT from'} DuckDB's")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
