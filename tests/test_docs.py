"""The documents tell the truth: their code runs, and what they name exists."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_NAMED = re.compile(r"`(?P<path>[\w./-]+\.(?:py|md|lark|sql))(?:::(?P<name>[\w.]+))?`")


def defined_names(path: Path) -> set[str]:
    """Functions, classes, methods and constants of a module, dotted."""
    found: set[str] = set()

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                found.add(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{prefix}{node.name}.")
            targets: list[ast.expr] = []
            if isinstance(node, ast.Assign):
                targets = node.targets
            elif isinstance(node, ast.AnnAssign):
                targets = [node.target]
            found.update(prefix + target.id for target in targets if isinstance(target, ast.Name))

    visit(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_named_files_and_functions_exist(document: Path) -> None:
    """Every `path/to/file.py` with a folder, and every `file::name`, is there."""
    missing = []
    for match in _NAMED.finditer(document.read_text(encoding="utf-8")):
        path, name = match["path"], match["name"]
        if "/" not in path and name is None:
            continue  # a file of the reader's own, such as shop.sql
        if not (ROOT / path).exists():
            missing.append(path)
        elif name is not None and name not in defined_names(ROOT / path):
            missing.append(f"{path}::{name}")
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    """Every link to a file of the project, relative to the document."""
    targets = [m.split("#")[0] for m in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8"))]
    missing = [t for t in targets if t and "://" not in t and not (document.parent / t).exists()]
    assert missing == []


def test_the_guide_names_functions() -> None:
    """The check above would be empty if the notation changed."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert sum(match["name"] is not None for match in _NAMED.finditer(text)) > 80


def test_the_example_in_the_readme_runs(tmp_path: Path) -> None:
    """As it stands, in an empty directory; it prints what its comments promise."""
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".typing")}
    command = [sys.executable, "-c", example]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "CUSTOMER | ORDERS | TOTAL",
        "---------+--------+------",
        "ada      | 2      | 20.0",
        "[(23.0,)]",
        "[('ada', 2, 20.0), ('bob', 1, 3.0)]",
    ]
