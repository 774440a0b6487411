"""Golden plans: what EXPLAIN shows of every kind of query, after all rules.

A file under ``tests/golden/plans`` opens with declarations of sources; then come cases: a sentence after ``#``, the
statement, and the plan or the error.  ``make bless`` rewrites what the cases give; review the difference.
``internal_topics.txt`` is with ``penstock.internal.topics``; the beginning of the topics' names is left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock.errors import StatementError

FOLDER = Path(__file__).parents[3] / "golden" / "plans"
FILES = sorted(FOLDER.glob("*.txt"))


def _answer(bench: Any, statement: str, *, copies: bool) -> str:
    try:
        return str(bench.explain(statement, copies=copies))
    except StatementError as error:
        return f"ERROR {error.located(statement)}"


@pytest.mark.parametrize("path", FILES, ids=[f.stem for f in FILES])
def test_plans(bench: Any, path: Path, request: pytest.FixtureRequest) -> None:
    """Every statement of a file still has the plan, or the error, that was blessed."""
    blocks = path.read_text().strip().split("\n\n")
    for line in blocks[0].splitlines():
        if not line.startswith("#"):
            bench.source(line.rstrip(";"))
    renewed = [blocks[0]]
    copies = path.stem == "internal_topics"
    for block in blocks[1:]:
        sentence, statement, *_ = block.splitlines()
        assert sentence.startswith("# "), f"{path.name}: a case opens with a sentence, not {sentence!r}"
        renewed.append("\n".join((sentence, statement, _answer(bench, statement.rstrip(";"), copies=copies))))
    text = "\n\n".join(renewed) + "\n"
    if request.config.getoption("--bless"):
        path.write_text(text)
    assert path.read_text() == text
