"""Whether what the running queries made equals DuckDB's batch SQL over the same files, exactly."""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa

HOUR_MS = 3_600_000

EXPECTED = {
    "airport_names": "SELECT faa, name FROM airports",
    "plane_models": "SELECT tailnum, manufacturer, model, seats FROM planes",
    "named_flights": """
        SELECT f.carrier, a.name AS airline, origin, dest, flight, dep_delay, rowtime
        FROM flights f JOIN airlines a ON f.carrier = a.carrier""",
    "airline_hours": f"""
        SELECT a.name AS airline, rowtime - rowtime % {HOUR_MS} AS windowstart,
               rowtime - rowtime % {HOUR_MS} + {HOUR_MS} AS windowend,
               count(*) AS departures, count(dep_delay) AS departed, coalesce(sum(dep_delay), 0) AS delay,
               max(dep_delay) AS worst
        FROM flights f JOIN airlines a ON f.carrier = a.carrier GROUP BY ALL""",
    "weather_flights": f"""
        SELECT f.origin, carrier, flight, dep_delay, temp, wind_speed,
               CASE WHEN precip > 0 THEN 'rain or snow' WHEN visib < 3 THEN 'fog' ELSE 'dry' END AS sky,
               greatest(f.rowtime, w.rowtime) AS rowtime
        FROM (SELECT *, unnest([0, 1]) AS hours_back FROM flights) f JOIN weather w
          ON f.origin = w.origin AND w.rowtime // {HOUR_MS} = f.rowtime // {HOUR_MS} - hours_back
        WHERE w.rowtime BETWEEN f.rowtime - {HOUR_MS} AND f.rowtime""",
    "sky_delays": "SELECT sky, count(*) AS departures, avg(dep_delay) AS delay FROM expected_weather_flights GROUP BY sky",
    "aircraft_days": f"""
        WITH gaps AS (
            SELECT *, rowtime - lag(rowtime) OVER by_time > {8 * HOUR_MS} AS begins
            FROM flights WHERE tailnum IS NOT NULL WINDOW by_time AS (PARTITION BY tailnum ORDER BY rowtime)),
        numbered AS (
            SELECT *, count(*) FILTER (begins) OVER (PARTITION BY tailnum ORDER BY rowtime) AS session FROM gaps)
        SELECT tailnum, min(rowtime) AS windowstart, max(rowtime) AS windowend, count(*) AS departures,
               sum(distance) AS miles, max(air_time) AS longest_minutes
        FROM numbered GROUP BY tailnum, session""",
    "destinations": """
        SELECT dest, count(*) AS departures, count(*) - count(dep_delay) AS cancelled,
               coalesce(avg(arr_delay), 0) AS delay, max(distance) AS distance
        FROM flights GROUP BY dest""",
}
"""Each result as batch SQL over the files.

An average or sum over no value is 0 in the dialect.  The join by hours only spares DuckDB from comparing all pairs.
"""


def differences(database: Any, inputs: dict[str, pa.Table]) -> dict[str, tuple[int, int, int]]:
    """Compare all results: name -> (rows, rows missing, rows too many)."""
    oracle = duckdb.connect()
    for name, table in inputs.items():
        oracle.register(name, table)
    found = {}
    for name, query in EXPECTED.items():
        oracle.execute(f"CREATE TABLE expected_{name} AS {query}")
        columns = ", ".join(row[0] for row in oracle.execute(f"DESCRIBE expected_{name}").fetchall())
        oracle.register("actual", database.sql(f"SELECT {columns} FROM {name}").arrow())
        count = oracle.execute("SELECT count(*) FROM actual").fetchall()[0][0]
        sides = (f"expected_{name}", "actual")
        missing, extra = (
            oracle.execute(
                f"SELECT count(*) FROM (SELECT {columns} FROM {one} EXCEPT ALL SELECT {columns} FROM {other})"
            ).fetchall()[0][0]
            for one, other in (sides, sides[::-1])
        )
        oracle.unregister("actual")
        found[name] = (count, missing, extra)
    return found
