"""Numbers as text: bars, and lines over time."""

from __future__ import annotations

import pytest

from penstock.repl.charts import chart


def test_bars_are_as_long_as_their_values() -> None:
    """The largest fills the line, each value stands beside its bar, NULL and zero have none, anything else has some."""
    text = chart(("item", "n"), [("pen", 10), ("ink", 5), ("none", None), ("zero", 0), ("tiny", 0.001)], 40)
    head, *lines = text.splitlines()
    assert head == "n"
    assert [line.split()[:2] for line in lines] == [
        ["pen", "10"],
        ["ink", "5"],
        ["none", "NULL"],
        ["zero", "0"],
        ["tiny", "0.001"],
    ]
    bars = [line.count("█") for line in lines]
    assert bars[0] == 2 * bars[1] > 0 and bars[2] == bars[3] == 0
    assert lines[4].endswith("▏") and max(map(len, lines)) <= 40


def test_wide_names_and_negative_numbers() -> None:
    """Bars begin below each other; a negative one has its sign before it."""
    lines = chart(("k", "v"), [("日本", -4.0), ("a", 4.0)], 60).splitlines()[1:]
    assert lines[0].startswith("日本  -4.0  -█") and lines[1].startswith("a      4.0   █")


def test_each_column_of_numbers_has_its_chart() -> None:
    """The others are names; where all are numbers, the first is."""
    assert chart(("a", "k", "b"), [(1, "x", 2)]).count("x") == 2
    assert chart(("year", "n"), [(2024, 1), (2025, 2)]).splitlines()[1].startswith("2024")
    assert chart(("k",), [("x",)]) == "(no column of numbers to draw)"
    assert chart(("k", "n"), []) == "(0 rows)"


def test_windows_are_a_line_over_time() -> None:
    """One for each key, over the same windows; a window without a row is a blank."""
    rows = [("a", 0, 10_000, 1), ("a", 10_000, 20_000, 8), ("a", 20_000, 30_000, 4), ("b", 20_000, 30_000, 8)]
    head, first, second = chart(("k", "WINDOWSTART", "WINDOWEND", "n"), rows, 100).splitlines()
    assert head == "n, windows of 1970-01-01 00:00:00 to 1970-01-01 00:00:20 UTC"
    assert first == "a  ▂█▅  4 last, 1 to 8"
    assert second == "b    █  8 last, 8 to 8"


@pytest.mark.parametrize(
    ("value", "text"), [(float("nan"), "NaN"), (float("inf"), "Infinity"), (-float("inf"), "-Infinity")]
)
def test_what_has_no_length_has_no_bar(value: float, text: str) -> None:
    """But its text, as tables of the prompt show it."""
    assert text in chart(("k", "v"), [("a", value), ("b", 1.0)])
