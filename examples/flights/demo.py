"""Replay New York's flights of 2013 through streaming SQL, watch the tables fill, ask them, and check them.

python examples/flights/demo.py               # the year, from the beginning
python examples/flights/demo.py --days 30     # only its first days
python examples/flights/demo.py --resume      # go on where an interrupted run (Ctrl-C, kill -9) stopped
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

import pyarrow as pa
from check import differences
from data import batches

import penstock
from penstock.repl.progress import Display, sample

HERE = Path(__file__).resolve().parent
DATA = HERE.parent.parent / ".demo-data"

QUESTIONS = {
    "Which airlines leave late?  (a SELECT with any clauses, over the hourly windows)": """
        SELECT airline, SUM(departures) AS departures, ROUND(CAST(SUM(delay) AS DOUBLE) / SUM(departed), 1) AS delay_minutes,
               MAX(worst) AS worst_minutes
        FROM airline_hours GROUP BY airline ORDER BY delay_minutes DESC LIMIT 5""",
    "What does the weather do?  (a table behind a stream-stream join)": """
        SELECT sky, departures, round(delay, 1) AS delay_minutes FROM sky_delays ORDER BY departures DESC""",
    "Where do they go?  (two tables, as of the same commit)": """
        SELECT d.dest, a.name, d.departures, d.cancelled, round(d.delay, 1) AS delay_minutes, d.distance
        FROM destinations d LEFT JOIN airport_names a ON d.dest = a.faa ORDER BY d.departures DESC LIMIT 5""",
    "The longest working days of an aircraft  (session windows)": """
        SELECT s.tailnum, p.manufacturer, p.model, FROM_UNIXTIME(s.windowstart) AS begun_utc,
               ROUND((s.windowend - s.windowstart) / 3600000E0, 1) AS day_hours, s.departures, s.miles
        FROM aircraft_days s LEFT JOIN plane_models p ON s.tailnum = p.tailnum ORDER BY day_hours DESC, tailnum LIMIT 5""",
    "One destination  (a lookup by key)": "SELECT * FROM destinations WHERE dest = 'SFO'",
}


def start_fresh(data: Path) -> None:
    """Remove an earlier run's directory, in one instant: killed while deleting file by file, it would leave half of one."""
    aside = data.with_name(f"{data.name}-old")
    shutil.rmtree(aside, ignore_errors=True)
    if data.exists():
        data.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--days", type=int, default=365, help="replay only the first days of the year")
    arguments.add_argument("--resume", action="store_true", help="go on with the data directory of an earlier run")
    arguments.add_argument("--data", type=Path, default=DATA, help="data directory (.demo-data)")
    options = arguments.parse_args()
    if not options.resume:
        start_fresh(options.data)
    began = time.perf_counter()
    try:
        with penstock.connect(options.data) as database:
            submitted = database.submit((HERE / "flights.sql").read_text(encoding="utf-8"), "flights.sql")
            print(f"{len(submitted.results) + len(submitted.known)} statements; {database.describe_state()}\n")
            inputs = load(database, options.days)
            seconds = time.perf_counter() - began
            rows = sum(progress.account.read for progress in sample(database).queries.values())
            print(f"\n{rows:,} rows went through the queries in {seconds:.1f} s")
            ask(database)
            return check(database, inputs)
    except KeyboardInterrupt:
        print("\nstopped; --resume goes on from here")
        return 130


def load(database: penstock.Database, days: int) -> dict[str, pa.Table]:
    """Insert what has not been inserted yet, and return everything that is there then.

    Every commit has a sequence number.  After a crash the loader asks for the last one that counts and goes on behind it,
    so that no row is lost and none is there twice.
    """
    display = Display(sys.stdout)
    done = database.last_sequence("loader") or 0
    pieces: dict[str, list[pa.Table]] = {}
    shown = 0.0
    for sequence, tables in batches(days):
        for name, table in tables.items():
            pieces.setdefault(name, []).append(table)
        if sequence <= done:
            continue
        database.insert_many(tables, producer="loader", sequence=sequence)
        if sequence == 1:
            database.wait_idle()  # the airlines are there before the first flight
        if time.monotonic() - shown > 0.5:
            shown = time.monotonic()
            display.show(sample(database))
    while not database.wait_idle(0.5):
        display.show(sample(database))
    display.show(sample(database))
    return {name: pa.concat_tables(tables) for name, tables in pieces.items()}


def ask(database: penstock.Database) -> None:
    """Pull queries over the tables that the running queries keep."""
    for title, query in QUESTIONS.items():
        print(f"\n{title}")
        database.sql(query).show()


def check(database: penstock.Database, inputs: dict[str, pa.Table]) -> int:
    """Compare every result with DuckDB's batch SQL over the same files; 0 if all are equal."""
    print("\nDuckDB's batch SQL over the same files:")
    found = differences(database, inputs)
    for name, (count, missing, extra) in found.items():
        verdict = "equal" if not missing and not extra else f"DIFFERENT: {missing} rows missing, {extra} too many"
        print(f"  {name:<16} {count:>9,} rows  {verdict}")
    failed = [query_id for query_id, progress in sample(database).queries.items() if progress.error]
    return 1 if failed or any(missing or extra for _, missing, extra in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
