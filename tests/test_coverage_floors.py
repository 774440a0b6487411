"""The floors of `make coverage`: a fall is an error, a rise can be kept, and each floor is of a folder with code."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent


def script() -> ModuleType:
    """The module `build_tools/coverage_floor.py`, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("coverage_floor", ROOT / "build_tools" / "coverage_floor.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lines(ran: int, of: int) -> dict[str, int]:
    """A file's entry in coverage's report."""
    return {"num_statements": of, "covered_lines": ran}


def test_a_part_is_the_lines_of_its_files() -> None:
    """Rounded down, so that no floor is above what was measured; a folder whose name begins alike is another one."""
    files = {"a/x.py": lines(1, 2), "a/b/y.py": lines(1, 1), "ab/z.py": lines(0, 9)}
    assert script().shares(files, {"a": 0, "a/b": 0, "c": 0}) == {"a": 66.6, "a/b": 100.0, "c": 0.0}


def test_a_fall_is_an_error() -> None:
    """By a tenth of a percent already; a part without code falls to 0."""
    below = script().below
    assert below({"a": 66.6, "b": 90.0}, {"a": 66.6, "b": 89.9}) == []
    assert below({"a": 66.5, "b": 90.0}, {"a": 66.6, "b": 90.0}) == ["a: 66.5 % of its lines ran, and the floor is 66.6 %"]


def test_a_floor_only_rises() -> None:
    """`--raise` keeps what is higher."""
    assert script().raised({"a": 66.5, "b": 90.0}, {"a": 66.6, "b": 80.0}) == {"a": 66.6, "b": 90.0}


def test_each_floor_is_of_a_part_that_is_measured() -> None:
    """Else it would be measured as 0, or not at all."""
    floors = json.loads((ROOT / "tests" / "coverage_floors.json").read_text(encoding="utf-8"))
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert floors
    for part, floor in floors.items():
        assert any((ROOT / part).glob("*.py")) and part in recipe and 0 < floor <= 100
