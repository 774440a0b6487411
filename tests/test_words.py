"""One word means one thing: names that were private to us and have a word of the field do not come back."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = sorted(p.parent.name for p in ROOT.glob("*/__init__.py") if p.parent.name not in ("benchmarks", "tests"))

NAMES = {
    "adhoc": "batch writer",
    "board": "in flight",
    "complain": "report",
    "complains": "report",
    "complaint": "report",
    "complaints": "report",
    "flights": "record accumulator, in flight",
    "lander": "committer",
    "outgoing": "batch writer",
    "pace": "rate limiter, step size",
    "persist": "create query",
    "placing": "append plan",
    "spread": "broadcast (a value to rows), expand (parameters), repartition (rows)",
    "staging": "append plan",
    "witness": "examiner, check",
}
"""Words that no name in the code has as a part, and the words of the field that stand there."""

PROSE = {
    "adhoc": "batch writer",
    "complain": "report",
    "complaint": "report",
    "complaints": "report",
    "lander": "committer",
    "outgoing": "batch writer",
    "placing": "append plan",
    "witness": "check",
}
"""Words that do not stand in docstrings, comments, messages or documents either."""

ALLOWED = {("examples", "flights"), ("repl/completion_script.py", "flights")}
"""(file or folder, word): the data set of an example is New York's flights."""


def names_in(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every name in a file of Python."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], token.string


def parts_of(name: str) -> set[str]:
    """The words of a name.

    >>> sorted(parts_of("_commitLater_byRow"))
    ['by', 'commit', 'later', 'row']
    """
    return {part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def forbidden_names(text: str, path: Path) -> list[str]:
    """One sentence per name of a file that has a forbidden word."""
    place = path.relative_to(ROOT).as_posix()
    found = []
    for line, name in [(1, path.stem), *names_in(path)]:
        for word in parts_of(name) & set(NAMES):
            if not any(place.startswith(where) and word == allowed for where, allowed in ALLOWED):
                found.append(f"{place}:{line} {name}: the word is {NAMES[word]}")
    for line, content in enumerate(text.splitlines(), 1):
        for word in re.findall(rf"\b({'|'.join(PROSE)})\b", content, re.IGNORECASE):
            found.append(f"{place}:{line} {word}: the word is {PROSE[word.lower()]}")
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_the_fields_words_stand_in_the_code(room: str) -> None:
    """No name and no text of a room has a word that was private to us."""
    found: list[str] = []
    for path in sorted((ROOT / room).rglob("*.py")):
        if "node_modules" not in path.parts:
            found += forbidden_names(path.read_text(encoding="utf-8"), path)
    assert found == []


def test_the_fields_words_stand_in_the_documents() -> None:
    """Nor do the documents."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found = []
    for page in pages:
        for line, content in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            for word in re.findall(rf"\b({'|'.join(PROSE)})\b", content, re.IGNORECASE):
                found.append(f"{page.relative_to(ROOT)}:{line} {word}: the word is {PROSE[word.lower()]}")
    assert found == []


def test_a_forbidden_name_is_found() -> None:
    """The checks above would pass if they looked at nothing."""
    assert parts_of("_complain_aboutRow") == {"complain", "about", "row"}
    assert parts_of("HTTPBoard") == {"http", "board"}
    assert not parts_of("replacing_flight") & set(NAMES)
