"""Long runs say what a part of them has covered as soon as it ends, and in the end what all parts have together.

A test notes what it has covered with ``record_property``, as a name and a number.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest

LONG = [name for name in ("PENSTOCK_FLIPS", "PENSTOCK_CRASHES", "PENSTOCK_FAULTS", "PENSTOCK_KILLS") if os.environ.get(name)]


class Progress:
    """Shows what the tests have noted, in whichever processes they run."""

    def __init__(self, terminal: Any) -> None:
        self._terminal = terminal
        self._total: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        counts = {name: value for name, value in report.user_properties if isinstance(value, int)}
        if report.when == "call" and counts:
            self._total.update(counts)
            self._terminal.ensure_newline()
            self._terminal.write_line(f"{report.nodeid.rpartition('::')[2]}, {report.duration:.0f} s: {_shown(counts)}")

    def pytest_terminal_summary(self) -> None:
        if self._total:
            self._terminal.write_line(f"all together: {_shown(self._total)}")


def _shown(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))


@pytest.hookimpl(trylast=True)  # the terminal's reporter comes first
def pytest_configure(config: pytest.Config) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if LONG and terminal is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Progress(terminal), "penstock-progress")
