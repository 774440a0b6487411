"""The benchmarks' data and answers: the generator is a function of its seed, and Nexmark's answers are DuckDB's."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def benchmarks() -> Any:
    """Gives a module of the package, which is not installed, by its name."""
    name = "penstock_benchmarks"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)])
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return lambda module: importlib.import_module(f"{name}.{module}")


def test_bids_are_a_function_of_seed_and_block(benchmarks: Any) -> None:
    """The same seed gives the same rows, however many are asked for; another seed gives others."""
    bids = benchmarks("bids")
    assert bids.bid_block(3).equals(bids.bid_block(3))
    assert not bids.bid_block(3).equals(bids.bid_block(3, seed=2))
    few = list(bids.bids(1_000))
    assert [len(b) for b in few] == [1_000] and few[0].equals(bids.bid_block(0).slice(0, 1_000))


def test_bids_have_the_skew_of_the_auction_site(benchmarks: Any) -> None:
    """Half the bids are for the hot auction of their time, three quarters come from the hot bidder."""
    block = benchmarks("bids").bid_block(20)
    auctions, bidders = np.asarray(block["auction"]) - 1000, np.asarray(block["bidder"]) - 1001
    assert 0.48 < (auctions % 100 == 0).mean() < 0.53
    assert 0.74 < (bidders % 100 == 0).mean() < 0.78
    assert (np.diff(np.asarray(block["date_time"])) >= 0).all()


def test_nexmark_answers_equal_duckdb(benchmarks: Any) -> None:
    """Every query of the group gives what DuckDB gives over the same rows (the workload checks it and raises)."""
    nexmark, measure = benchmarks("nexmark"), benchmarks("measure")
    found = list(nexmark.nexmark(measure.Options(rows=1)))
    assert [m.name for m in found] == [f"nexmark {q.name}" for q in nexmark.QUERIES]


def test_a_wrong_answer_is_found(benchmarks: Any) -> None:
    """An answer with one row too few, or one wrong value, is not accepted."""
    import duckdb
    import pyarrow as pa

    nexmark = benchmarks("nexmark")
    query = nexmark.Query("q", "TABLE", "", "", "SELECT * FROM (VALUES (1, 2), (1, 2), (3, 4))")
    oracle = duckdb.connect()
    nexmark.check(query, pa.table({"a": [3, 1, 1], "b": [4, 2, 2]}), oracle)
    for rows in ({"a": [3, 1], "b": [4, 2]}, {"a": [3, 1, 3], "b": [4, 2, 4]}):
        with pytest.raises(AssertionError):
            nexmark.check(query, pa.table(rows), oracle)


def test_every_built_in_function_is_measured(benchmarks: Any) -> None:
    """The cases come from the registry: no function is left out, and a signature without arguments stops the run."""
    from penstock.engine.functions import load_built_ins
    from penstock.engine.functions.registry import Function, parse_signature

    function_cases = benchmarks("function_cases")
    assert {case.name for case in function_cases.cases()} == set(load_built_ins().names())
    unknown = Function("UNKNOWN", "SCALAR", "")
    with pytest.raises(function_cases.Uncovered):
        list(function_cases._arguments_of(unknown, parse_signature("(value STRUCT<a INT>) -> INT")))


def test_functions_are_measured_through_queries(benchmarks: Any) -> None:
    """A few rows of a scalar, an aggregate and a table function; the promise is for flat types."""
    functions, function_cases = benchmarks("functions"), benchmarks("function_cases")
    chosen = list(function_cases.cases(frozenset({"UCASE", "SUM", "EXPLODE"})))
    figures = list(functions.measured(chosen, 100, 1))
    assert [f.case for f in figures] == chosen and all(f.rows_per_second > 0 for f in figures)
    assert {f.case.name: f.kept is None for f in figures} == {"UCASE": False, "SUM": False, "EXPLODE": True}
