"""Rows a second of a query that uses one built-in function, for every one of them: ``python -m benchmarks.functions``.

A scalar or table function stands in the SELECT of a push query whose rows are counted and dropped; an aggregate in a
persistent query that groups by 1,000 keys, durable commits included.  The slowest come first.  ``--write`` puts the table
into ``docs/functions-performance.md``; as the workload ``functions`` it reports only the slowest of each kind.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import penstock

from .function_cases import COLUMNS, Case, cases, rows
from .measure import ROOT, Measurement, Options, database, end_query, timed, until_taken_in, workload

PROMISED = 200_000
"""Rows a second that no query falls below for using any single built-in function on flat types."""
ROWS = 262_144
"""Four steps of a query."""
BLOCK_ROWS = 65_536
PAGE = ROOT / "docs" / "functions-performance.md"
_SHOWN_IN_DOCS = 60


@dataclass(frozen=True, slots=True)
class Figure:
    case: Case
    rows_per_second: float

    @property
    def kept(self) -> bool | None:
        """Whether the promise is kept; None where there is none."""
        return self.rows_per_second >= PROMISED if self.case.flat else None


def measured(chosen: Sequence[Case], count: int, repeat: int, *, cpu: bool = False) -> Iterator[Figure]:
    """The figure of every case: the best of its runs, since the machine's other work only ever adds to one.

    Args:
        cpu: count what all threads of this process take of the CPUs, not the time that passes.
    """
    data = rows(count)
    with database() as db:
        columns = ", ".join(f"{name} {type_}" for name, type_ in COLUMNS.items())
        db.execute(f"CREATE STREAM calls ({columns}) WITH (KAFKA_TOPIC='calls', VALUE_FORMAT='ARROW', PARTITIONS=1);")
        token = penstock.Token()
        for start in range(0, count, BLOCK_ROWS):
            token |= db.insert("calls", data.slice(start, BLOCK_ROWS), durable=False)
        db.wait(token)
        _pushed(
            db, Case("ABS", "SCALAR", "ABS(i)", True), count, token, ""
        )  # what a process does once is not the first call's
        for number, case in enumerate(chosen):
            run = _aggregated if case.kind == "AGGREGATE" else _pushed
            seconds = []
            for again in range(repeat):
                start = time.process_time()
                passed = run(db, case, count, token, f"{number}_{again}")
                seconds.append(time.process_time() - start if cpu else passed)
            yield Figure(case, count / min(seconds))


def _pushed(db: penstock.Database, case: Case, count: int, token: penstock.Token, label: str) -> float:
    expected = count * case.rows_out

    def read() -> None:
        seen = 0
        with db.subscribe(f"SELECT {case.call} AS result FROM calls EMIT CHANGES;") as subscription:
            while seen < expected:
                batch = subscription.poll_batch(120)
                assert batch is not None, f"{case.call}: {seen} of {expected} rows came"
                seen += len(batch)

    return timed(read)


def _aggregated(db: penstock.Database, case: Case, count: int, token: penstock.Token, label: str) -> float:
    name = f"AGGREGATED_{label}"
    statement = f"CREATE TABLE {name} AS SELECT g, {case.call} AS result FROM calls GROUP BY g;"
    seconds = until_taken_in(db, token, statement)
    end_query(db, name)
    return seconds


@workload
def functions(options: Options) -> Iterator[Measurement]:
    """The slowest call of each kind of function."""
    figures = list(measured(list(cases()), min(options.rows, ROWS), 1))
    for kind in ("SCALAR", "AGGREGATE", "TABLE"):
        for flat in (True, False):
            of_kind = [f for f in figures if f.case.kind == kind and f.case.flat == flat]
            if of_kind:
                slowest = min(of_kind, key=lambda f: f.rows_per_second)
                name = f"slowest {kind.lower()} function on {'flat' if flat else 'nested'} types"
                print(f"{name}: {slowest.case.call}", file=sys.stderr)
                promise = PROMISED / 1e6 if flat else None
                yield Measurement(name, slowest.rows_per_second / 1e6, "M rows/s", promise)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 if a promise is not kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.functions", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help="functions (all)")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows a call is made on ({ROWS:,})")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each call (1); the best one counts")
    parser.add_argument("--cpu", action="store_true", help="seconds of CPU, for a machine that does other work as well")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    chosen = list(cases(frozenset(name.upper() for name in options.names)))
    if not chosen:
        parser.error("there is no such built-in function")
    figures: list[Figure] = []
    for figure in measured(chosen, options.rows, options.repeat, cpu=options.cpu):
        figures.append(figure)
        print(f"{len(figures)}/{len(chosen)} {_line(figure)}", file=sys.stderr, flush=True)
    figures.sort(key=lambda f: f.rows_per_second)
    for figure in figures:
        print(_line(figure))
    missed = [f for f in figures if f.kept is False]
    print(f"{len(figures)} calls, {options.rows:,} rows each; below {PROMISED:,} rows/s on flat types: {len(missed)}")
    if options.write:
        PAGE.write_text(_page(figures, options))
    return 1 if missed else 0


def _line(figure: Figure) -> str:
    mark = {True: "", False: "  ! below the promise", None: "  (nested: no promise)"}[figure.kept]
    return f"{figure.rows_per_second / 1e6:>8.2f} M rows/s  {figure.case.call}{mark}"


def _page(figures: Sequence[Figure], options: argparse.Namespace) -> str:
    """The page of the documents, slowest first."""
    flat = [f for f in figures if f.case.flat]
    nested = [f for f in figures if not f.case.flat]
    missed = [f for f in flat if not f.kept]
    about = (
        f"Written by `python -m benchmarks.functions --write` on {datetime.now(UTC).date().isoformat()}: Python "
        f"{platform.python_version()}, {os.cpu_count()} cores, {options.rows:,} rows a call, "
        f"best of {options.repeat}{', seconds of CPU' if options.cpu else ''}."
    )
    kept = (
        "All keep the promise." if not missed else f"{len(missed)} are below it: {', '.join(f.case.call for f in missed)}."
    )
    return f"""# How fast the built-in functions are

Promised: no query gets slower than {PROMISED:,} rows a second for using any single built-in function on flat types. {about}

Every signature of every built-in function is called, {len(figures)} calls in all, through the public API: a scalar or
table function in a push query whose rows are counted and dropped, an aggregate in a persistent query by 1,000 keys,
durable commits included. Texts, instants and numbers are nearly all distinct, a tenth is NULL, one text in fifty holds
characters beyond ASCII (`benchmarks/function_cases.py`). The run fails if a function has no case.

## Flat types, slowest first

{len(flat)} calls, of which the slowest {min(_SHOWN_IN_DOCS, len(flat))}; the median is {_median(flat)} M rows/s. {kept}

{_table(flat[:_SHOWN_IN_DOCS])}

## Collections and lambdas, slowest first

Nothing is promised for these: the size of the collections decides. Here they have two items, made in the call.

{_table(nested)}
"""


def _median(figures: Sequence[Figure]) -> str:
    return f"{figures[len(figures) // 2].rows_per_second / 1e6:.1f}" if figures else "-"


def _table(figures: Sequence[Figure]) -> str:
    lines = [f"| {f.rows_per_second / 1e6:.2f} | `{f.case.call.replace('|', chr(92) + '|')}` |" for f in figures]
    return "\n".join(["| M rows/s | call |", "|---|---|", *lines])


if __name__ == "__main__":
    sys.exit(main())
