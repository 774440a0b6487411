"""Golden sessions: what a person sees who types statements.

A file under ``tests/golden/shell`` or ``tests/golden/errors`` is a session: lines that begin with ``> `` are typed
(further such lines go on with the statement), the lines after them are what is printed; ``#`` lines are remarks.  After
each statement all queries take in what there is.  ``pytest --bless`` rewrites what is printed; review the difference.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from penstock.engine.database import connect
from penstock.engine.functions.registry import BUILT_INS, Registry
from penstock.repl.shell import Shell
from penstock.runtime.clock import ManualClock

GOLDEN = Path(__file__).parents[2] / "golden"
FILES = sorted([*(GOLDEN / "shell").glob("*.txt"), *(GOLDEN / "errors").glob("*.txt")])
_BYTES = re.compile(r"\d+ bytes")
"""How much memory a state takes is not for a golden file."""


class _Sitting(Shell):
    """Does not wait for rows to come: a push query without LIMIT is ended as soon as it is started."""

    def show(self, outcome: Any) -> None:
        endless = getattr(outcome, "subscription", None) or getattr(outcome, "tail", None)
        if endless is not None and not endless.limit_reached and "LIMIT" not in self.typed:
            endless.close()
            self.write("(started)")
            return
        super().show(outcome)

    typed = ""


def played(text: str) -> str:
    """The session with everything that it prints now."""
    lines: list[str] = []
    typed: list[str] = []
    clock = ManualClock(1_700_000_000_000)
    with connect(None, threads=0, clock=clock, registry=Registry(BUILT_INS)) as database:  # not what other tests registered

        def write(printed: str) -> None:
            lines.extend(_BYTES.sub("N bytes", printed).split("\n"))

        shell = _Sitting(database, write, lambda: 120)
        for line in [*text.split("\n"), "#"]:
            if line.startswith("> "):
                typed.append(line[2:])
                lines.append(line)
                if line.endswith(";"):
                    shell.typed = "\n".join(typed)
                    shell.run(shell.typed)
                    database.drain()
                    typed = []
                    lines.append("")
            elif line.startswith("#"):
                lines.append(line)
    return "\n".join(lines[:-1])


@pytest.mark.parametrize("path", FILES, ids=[f"{f.parent.name}/{f.stem}" for f in FILES])
def test_sessions(path: Path, request: pytest.FixtureRequest) -> None:
    """Every session still prints what was blessed."""
    text = played(path.read_text())
    if request.config.getoption("--bless"):
        path.write_text(text)
    assert path.read_text() == text, "if that is as it should be: pytest tests/unit/repl/test_golden.py --bless"


def test_there_are_sessions() -> None:
    """The folders were not moved away."""
    assert len(FILES) >= 2
