"""``python -m benchmarks nexmark --peers``: the same queries by Penstock, DuckDB and a plain loop, in turns.

Every run is a process of its own; one round runs all of a query's systems one after the other, and figures are medians of
the rounds' ratios, so that what else the machine does weighs on all of them.  Every answer of Penstock's is compared with
DuckDB's, row by row.

What a process imports once, pandas by pyarrow among it, is imported before the clock starts: the statement is made in an
empty database first.

* Penstock: a database in a directory, filled before the clock starts; from CREATE .. AS SELECT until all events are taken
  in and committed.  ``--mode push``: a push query, whose rows are dropped (q0, q1, q2).  ``--mode e2e``: the events are
  inserted while the clock runs.
* DuckDB: one SELECT over tables in memory.  It is not asked to keep anything up to date.
* The loop: dicts that are there before the clock starts, at most a million events.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

import penstock

from ..measure import ROOT
from . import events
from .loops import LOOPS
from .more_loops import MORE_LOOPS
from .more_queries import MORE
from .queries import DISCARDED, QUERIES, Query, site
from .vary import VARIATIONS, compare

_WIDTHS: Final = (10, 8, 9, 8, 10, 8, 9)
ALL: Final = QUERIES | MORE
SIDE_ROWS: Final = 10_000
LOOP_EVENTS_MAX: Final = 1_000_000
SYSTEMS: Final = ("penstock", "duckdb", "loop")
FLINK_TO_DUCKDB: Final = {
    "q0": 2.77 / 39.6,
    "q1": 2.40 / 23.2,
    "q2": 5.28 / 225,
    "q3": 0.31 / 31.5,
    "q5": 1.19 / 16.8,
    "q7": 0.57 / 62.0,
    "q8": 0.19 / 17.7,
    "q11": 1.03 / 3.67,
    "q18": 0.72 / 3.14,
    "q20": 0.45 / 16.1,
}
"""What Flink SQL 2.3 reached at parallelism 2 beside DuckDB in memory, 10 M events on one machine of 2 cores: where Flink is
not installed, its throughput is estimated from DuckDB's of the same round."""


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks nexmark --peers", description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000, help="10,000,000")
    parser.add_argument("--queries", help="names, or all; the ten that Flink was measured with")
    parser.add_argument("--repeat", type=int, default=5, help="rounds (5)")
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="penstock,duckdb,loop")
    parser.add_argument("--mode", choices=("durable", "push", "e2e"), default="durable")
    parser.add_argument("--format", choices=("ARROW", "JSON"), default="ARROW", help="of the streams' values")
    parser.add_argument("--partitions", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cache-off", action="store_true", help="every update is put out")
    parser.add_argument("--vary", choices=tuple(VARIATIONS), help="Penstock alone, each query in two ways, by turns")
    parser.add_argument("--data", type=Path, help="a folder that keeps events and filled databases for further runs")
    parser.add_argument("--child", choices=("fill", *SYSTEMS), help=argparse.SUPPRESS)
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args([a for a in arguments if a != "--peers"])
    options.named = options.queries is not None
    if options.queries is None:
        options.queries = ",".join(QUERIES)
    if options.queries == "all":
        options.queries = ",".join(ALL)
    unknown = set(options.queries.split(",")) - set(ALL)
    if unknown:
        parser.error(f"there is no query {min(unknown)}")
    return options


def main(arguments: Sequence[str]) -> int:
    """Exit code 1 if a run fails or an answer is wrong."""
    options = options_of(arguments)
    if options.child is not None:
        print(json.dumps(_child(options)))
        return 0
    if options.data is not None:
        options.data.mkdir(parents=True, exist_ok=True)
    if options.vary is not None:
        named = options.queries.split(",") if options.named else None
        compare(options, named, _prepared, lambda way, name: _run(way, "penstock", name))
        return 0
    if options.data is not None:
        return _compare(options, options.data)
    with tempfile.TemporaryDirectory(prefix="penstock-nexmark-") as folder:
        return _compare(options, Path(folder))


def _prepared(options: argparse.Namespace, folder: Path) -> argparse.Namespace:
    """Options that name the events and the filled database, which are made if they are not there."""
    data = folder / f"{options.events}"
    if not (data / "counts.json").exists():
        data.mkdir(parents=True, exist_ok=True)
        (data / "counts.json").write_text(json.dumps(events.write(data, options.events)))
    options.data = data
    if options.mode != "e2e" and not _database(options).exists():
        _run(options, "fill", options.queries)
    return options


def _compare(options: argparse.Namespace, folder: Path) -> int:
    options = _prepared(options, folder)
    what = f"{options.mode}, {options.format}, {options.partitions} partitions"
    print(f"{options.events:,} events, {what}, {os.cpu_count()} cores; M events/s")
    heads = ("penstock", "CPU s", "duckdb", "loop", "/ duckdb", "/ loop", "/ flink*")
    print(" " * 6 + "".join(f"{h:>{w}}" for h, w in zip(heads, _WIDTHS)))
    ratios: dict[str, list[float]] = {"duckdb": [], "loop": [], "flink": []}
    names = [n for n in options.queries.split(",") if options.mode != "push" or n in DISCARDED]
    for name in names:
        rounds = []
        for number in range(options.repeat):
            found = {}
            for system in options.systems.split(","):
                found[system] = _run(options, system, name, check=system == "penstock" and number == 0)
            rounds.append(found)
        _show(name, rounds, ratios)
    means = {peer: statistics.geometric_mean(values) for peer, values in ratios.items() if values}
    print("geometric means: " + ", ".join(f"{mean:.2f} x {peer}" for peer, mean in means.items()))
    print("* estimated from DuckDB's throughput in the same round, see benchmarks/peers/run.py")
    return 0


def _show(name: str, rounds: list[dict[str, Any]], ratios: dict[str, list[float]]) -> None:
    def median(system: str, figure: str) -> float | None:
        values = [r[system][figure] for r in rounds if system in r]
        return statistics.median(values) if values else None

    def against(system: str, factor: float = 1.0) -> float | None:
        values = [r["penstock"]["rate"] / r[system]["rate"] / factor for r in rounds if {"penstock", system} <= set(r)]
        return statistics.median(values) if values else None

    flink = FLINK_TO_DUCKDB.get(name)
    found = {
        "duckdb": against("duckdb"),
        "loop": against("loop"),
        "flink": None if flink is None else against("duckdb", flink),
    }
    for peer, ratio in found.items():
        if ratio is not None:
            ratios[peer].append(ratio)
    figures = [median("penstock", "rate"), median("penstock", "cpu_s"), median("duckdb", "rate"), median("loop", "rate")]
    cells = ["-" if v is None else f"{v:.2f}" for v in (*figures, *found.values())]
    print(f"{name:<6}" + "".join(f"{c:>{w}}" for c, w in zip(cells, _WIDTHS)), flush=True)


def _run(options: argparse.Namespace, system: str, query: str, *, check: bool = False) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks", "nexmark", "--peers", "--child", system, "--queries", query]
    command += ["--events", str(options.events), "--data", str(options.data), "--mode", options.mode]
    command += ["--format", options.format, "--partitions", str(options.partitions), "--threads", str(options.threads)]
    command += ["--cache-off"] * options.cache_off + ["--check"] * check
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{system} failed at {query}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# In the process of one run


def _child(options: argparse.Namespace) -> dict[str, Any]:
    if options.child == "fill":
        _fill(options)
        return {}
    name = options.queries
    query = ALL[name]
    counts = json.loads((options.data / "counts.json").read_text())
    total = sum(counts[s] for s in query.reads)
    pa.array([0])  # pyarrow imports pandas here, if it is installed (nobody needs it, and it takes a quarter of a second)
    if options.child == "duckdb":
        return _duckdb(options, query, total)
    if options.child == "loop":
        return _loop(options, name, query, counts)
    return _penstock(options, name, query, total, counts)


def _database(options: argparse.Namespace) -> Path:
    data: Path = options.data
    return data / f"{options.format}-{options.partitions}"


def _fill(options: argparse.Namespace) -> None:
    with penstock.connect(_database(options)) as db:
        db.execute(site(options.format, options.partitions))
        for name in events.STREAMS:
            for batch in events.read(options.data, name):
                db.insert(name, batch, durable=False)
        _fill_side(db)


def _fill_side(db: penstock.Database) -> None:
    """The table of q13, older than all events."""
    keys = range(SIDE_ROWS)
    db.insert(
        "side", pa.table({"key": keys, "value": [f"value-{k}" for k in keys], "since": [0] * SIDE_ROWS}), durable=False
    )


def _timed(total: int, began: float, cpu: float) -> dict[str, Any]:
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    return {"rate": total / seconds / 1e6, "cpu_s": cpu_s, "events": total}


def _penstock(options: argparse.Namespace, name: str, query: Query, total: int, counts: dict[str, int]) -> dict[str, Any]:
    _import(options, name, query)
    settings = {"auto.offset.reset": "earliest"}
    if options.cache_off:
        settings["cache.max.bytes.buffering"] = "0"
    if options.mode == "e2e":
        with tempfile.TemporaryDirectory(dir=options.data) as folder:
            db = penstock.connect(folder, settings=settings, threads=options.threads)
            db.execute(site(options.format, options.partitions))
            _fill_side(db)
            _create(db, name, query)
            batches = [(b["date_time"][0].as_py(), s, b) for s in query.reads for b in events.read(options.data, s)]
            began, cpu = time.perf_counter(), time.process_time()
            token = penstock.Token()
            for _, stream, batch in sorted(batches, key=lambda b: b[:2]):
                token |= db.insert(stream, batch, durable=False)
            db.wait(token, timeout_s=3600)
            found = _timed(total, began, cpu)
            _check(options, db, name, query)
            db.close()
        return found
    db = penstock.connect(_database(options), settings=settings, threads=options.threads)
    began, cpu = time.perf_counter(), time.process_time()
    if options.mode == "push":
        rows = 0
        wanted = total if name != "q2" else _count_of_q2(options)
        with db.subscribe(query.statement + " EMIT CHANGES;") as subscription:
            while rows < wanted:
                batch = subscription.poll_batch(60)
                if batch is None:
                    raise SystemExit(f"only {rows} rows came")
                rows += len(batch)
        found = _timed(total, began, cpu)
    else:
        _create(db, name, query)
        db.wait_idle(timeout_s=3600)
        found = _timed(total, began, cpu)
        _check(options, db, name, query)
        for kind, source in reversed(_sources(name, query)):
            db.execute(f"DROP {kind} {source} DELETE TOPIC;")
    db.close()
    return found


def _import(options: argparse.Namespace, name: str, query: Query) -> None:
    """Have the modules that the statement needs, formats and operators, by making it in an empty database."""
    with penstock.connect(threads=1) as empty:
        empty.execute(site(options.format, options.partitions))
        _create(empty, name, query)


def _count_of_q2(options: argparse.Namespace) -> int:
    return sum(int((b["auction"].to_numpy() % 123 == 0).sum()) for b in events.read(options.data, "bids"))


def _create(db: penstock.Database, name: str, query: Query) -> None:
    for before in query.before:
        db.execute(f"CREATE {before} EMIT CHANGES;")
    db.execute(f"CREATE {query.kind} {name} {query.properties} AS {query.statement} EMIT CHANGES;")


def _sources(name: str, query: Query) -> list[tuple[str, str]]:
    """(kind, name) of what `_create` makes, in order."""
    kinds = [before.split()[:2] for before in query.before]
    return [*((kind, source) for kind, source in kinds), (query.kind, name)]


def _check(options: argparse.Namespace, db: penstock.Database, name: str, query: Query) -> None:
    """Raises: SystemExit, if the rows are not DuckDB's (in any order, counted)."""
    if not options.check:
        return
    oracle = _tables(options, query)
    oracle.register("made", db.sql(f"SELECT * FROM {name}").arrow())
    ours = oracle.sql(query.answer).to_arrow_table()
    columns = ", ".join(f"c{i}" for i in range(ours.num_columns))
    oracle.register("ours", ours.rename_columns([f"c{i}" for i in range(ours.num_columns)]))
    theirs = f"(SELECT * FROM ({query.oracle}) t({columns}))"
    for left, right in ((theirs, "ours"), ("ours", theirs)):
        differs = oracle.execute(f"SELECT count(*) FROM (FROM {left} EXCEPT ALL FROM {right})").fetchone()[0]
        if differs:
            raise SystemExit(f"{name}: {differs} rows of {'DuckDB' if left == theirs else 'Penstock'} are not the other's")


def _tables(options: argparse.Namespace, query: Query) -> Any:
    """The streams as tables in memory; ``place`` is the order of arrival."""
    connection = duckdb.connect(config={"threads": options.threads})
    for stream in query.reads:
        connection.register("given", pa.Table.from_batches(events.read(options.data, stream)))
        connection.execute(f"CREATE TABLE {stream} AS SELECT *, row_number() OVER () AS place FROM given")
        connection.unregister("given")
    return connection


def _duckdb(options: argparse.Namespace, query: Query, total: int) -> dict[str, Any]:
    connection = _tables(options, query)
    began, cpu = time.perf_counter(), time.process_time()
    for _ in connection.sql(query.oracle).to_arrow_reader(100_000):
        pass  # every row is handed over, then dropped
    return _timed(total, began, cpu)


def _loop(options: argparse.Namespace, name: str, query: Query, counts: dict[str, int]) -> dict[str, Any]:
    share = min(1.0, LOOP_EVENTS_MAX / sum(counts.values()))
    streams = []
    for stream in query.reads:
        left = int(counts[stream] * share)
        rows: list[dict[str, Any]] = []
        for batch in events.read(options.data, stream):
            rows += batch.slice(0, left).to_pylist()
            left -= min(left, batch.num_rows)
        streams.append(rows)
    total = sum(map(len, streams))
    began, cpu = time.perf_counter(), time.process_time()
    for _ in (LOOPS | MORE_LOOPS)[name](*streams):
        pass
    return _timed(total, began, cpu)
