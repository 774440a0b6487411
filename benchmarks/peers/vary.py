"""``python -m benchmarks nexmark --vary WHAT``: each query in two ways, by turns, and what one costs beside the other.

Every run is a process of its own.  Rates are wall-clock; CPU says more where the machine has other work, and is all that
counts for ``events``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

Run = Callable[[argparse.Namespace, str], dict[str, Any]]
Prepare = Callable[[argparse.Namespace, Path], argparse.Namespace]

_ALL: Final = ("q0", "q1", "q2", "q3", "q5", "q7", "q8", "q11", "q18", "q20")


@dataclass(frozen=True, slots=True)
class Variation:
    """Two ways of running queries.

    Attributes:
        first, second: options that are set.
        queries: unless others are named.
        asked: of the second way beside the first: the least ratio of throughputs, or (``by_cpu``) the largest ratio of
            processor time per event.
    """

    first: dict[str, Any]
    second: dict[str, Any]
    queries: tuple[str, ...]
    asked: float
    by_cpu: bool = False


VARIATIONS: Final = {
    "partitions": Variation({"partitions": 1}, {"partitions": 2}, ("q5", "q11", "q18", "q20"), 1.5),
    "format": Variation({"format": "ARROW"}, {"format": "JSON"}, _ALL, 0.5),
    "cache": Variation({"cache_off": False}, {"cache_off": True}, ("q5", "q7", "q11", "q18"), 0.5),
    "end-to-end": Variation({"mode": "durable"}, {"mode": "e2e"}, _ALL, 0.7),
    "events": Variation({"events": 1_000_000}, {"events": 20_000_000}, _ALL, 1.3, by_cpu=True),
}


def compare(options: argparse.Namespace, named: Sequence[str] | None, prepare: Prepare, run: Run) -> None:
    """Run a variation and print a line for each query.

    Args:
        options: of the command line; ``options.vary`` is a key of `VARIATIONS`.
        named: queries.
        prepare: fills a folder with what a run reads, and gives options that name it.
        run: runs a query once: its ``rate``, ``cpu_s`` and ``events``.
    """
    variation = VARIATIONS[options.vary]
    with tempfile.TemporaryDirectory(prefix="penstock-vary-") as made:
        folder = Path(made) if options.data is None else options.data
        ways = [_with(options, chosen) for chosen in (variation.first, variation.second)]
        queries = tuple(named or variation.queries)
        ways = [prepare(argparse.Namespace(**{**vars(way), "queries": ",".join(queries)}), folder) for way in ways]
        asked = f"{'CPU per event at most' if variation.by_cpu else 'throughput at least'} {variation.asked} x"
        print(f"{options.vary}: {variation.first}, then {variation.second}; asked: {asked}")
        print(" " * 6 + "".join(f"{head:>12}" for head in ("M events/s", "then", "ratio", "CPU ns/event", "then", "ratio")))
        for name in queries:
            rounds = [[run(way, name) for way in ways] for _ in range(options.repeat)]
            rates = [statistics.median(r[w]["rate"] for r in rounds) for w in (0, 1)]
            costs = [statistics.median(r[w]["cpu_s"] / r[w]["events"] * 1e9 for r in rounds) for w in (0, 1)]
            ratio = statistics.median(r[1]["rate"] / r[0]["rate"] for r in rounds)
            cells = [f"{rates[0]:.2f}", f"{rates[1]:.2f}", f"{ratio:.2f}"]
            cells += [f"{costs[0]:.0f}", f"{costs[1]:.0f}", f"{costs[1] / costs[0]:.2f}"]
            print(f"{name:<6}" + "".join(f"{cell:>12}" for cell in cells), flush=True)


def _with(options: argparse.Namespace, chosen: dict[str, Any]) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(options), **chosen})
