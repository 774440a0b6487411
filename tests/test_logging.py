"""Logging: whose lines they are, what is said at which level, and that the library prints nothing itself."""

from __future__ import annotations

import ast
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import penstock
from tests.support.checkout import ROOMS, ROOT

LIBRARY = [room for room in ROOMS if room != "repl"]
PRINTS = {("engine/relation.py", "show"), ("server/openapi.py", "<module>")}
"""What is there to print: `Relation.show`, and the OpenAPI file as a program."""


def modules(*rooms: str) -> Iterator[tuple[str, ast.Module]]:
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def calls(tree: ast.AST, name: str) -> Iterator[tuple[str, ast.Call]]:
    """The calls of a function or method, each with the name of the function that it stands in."""

    def visit(node: ast.AST, inside: str) -> Iterator[tuple[str, ast.Call]]:
        for child in ast.iter_child_nodes(node):
            here = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else inside
            if isinstance(child, ast.Call) and getattr(child.func, "attr", getattr(child.func, "id", "")) == name:
                yield inside, child
            yield from visit(child, here)

    return visit(tree, "<module>")


def loggers() -> set[str]:
    found = set()
    for _, tree in modules(*LIBRARY, "repl"):
        for _, call in calls(tree, "getLogger"):
            (argument,) = call.args
            assert isinstance(argument, ast.Constant)
            found.add(argument.value)
    return found


def test_every_logger_is_penstocks_and_documented() -> None:
    """The page lists those that there are, and no others.  Their parent, which `serve --log` listens to, is silent."""
    page = (ROOT / "docs" / "how-to" / "logging.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `(penstock[\w.]*)` \|", page, re.M))
    assert listed == loggers() - {"penstock"} and all(name.startswith("penstock.") for name in listed)


def test_the_library_prints_nothing() -> None:
    """Whatever it has to say goes to `logging`; only the command line prints."""
    found = {
        (path, inside)
        for path, tree in modules(*LIBRARY)
        for inside, call in calls(tree, "print")
        if isinstance(call.func, ast.Name)
    }
    assert found == PRINTS


def test_what_goes_well_is_info(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """A query's life, in order; nothing of it is a warning."""
    caplog.set_level(logging.INFO, "penstock")
    with penstock.connect(tmp_path) as db:
        db.execute("CREATE STREAM s (k INT KEY, v INT) WITH (KAFKA_TOPIC = 's', PARTITIONS = 1);")
        db.execute("CREATE TABLE t AS SELECT k, SUM(v) AS v FROM s GROUP BY k;")
        (query,) = db.queries
        db.execute(f"PAUSE {query};")
        db.execute(f"RESUME {query};")
    with penstock.connect(tmp_path) as db:
        db.execute(f"TERMINATE {query};")
    said = [record.getMessage() for record in caplog.records if record.name == "penstock.queries"]
    assert said == [f"query {query} {what}" for what in ("runs", "is paused", "runs again", "runs again", "ended")]
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


def test_the_example_of_the_page() -> None:
    """In a process of its own, since it configures logging; it prints what the page says."""
    page = (ROOT / "docs" / "how-to" / "logging.md").read_text(encoding="utf-8")
    program, printed = re.findall(r"^```\n(.*?)^```", page, re.M | re.S)[:2]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, printed), done.stderr


def test_without_a_word_of_the_program(tmp_path: Path) -> None:
    """Errors reach stderr, what goes well is silent, and stdout belongs to the program."""
    file = tmp_path / "e.csv"
    file.write_text("id\n1\n")
    program = f"""
import penstock, time
with penstock.connect() as db:
    db.execute("CREATE STREAM e FROM '{file}' WITH (FOLLOW = TRUE); CREATE TABLE n AS SELECT id, COUNT(*) AS n FROM e"
               " GROUP BY id;")
    open({str(file)!r}, "a").write("one\\n")
    while db._engine.followers["E"].error is None:
        time.sleep(0.01)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "")
    assert "is no longer followed" in done.stderr and "runs" not in done.stderr
