"""The documents tell the truth: their code runs, and what they name exists."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.support.checkout import ROOMS, ROOT
from tests.support.documents import blocks, run_page

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


_MEMBER = re.compile(r"`([A-Z]\w+)\.(\w+)[`(]")
_OF_OTHERS = {"Consumer.wakeup", "Table.create"}
"""Members of Kafka's and SQLAlchemy's classes that have the names of ours."""


@cache
def members_of_classes() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """For each class name of the package: what its classes define or set, and the names of their bases."""
    members: dict[str, set[str]] = {}
    bases: dict[str, set[str]] = {}
    for path in (*ROOT.glob("*.py"), *(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ClassDef):
                continue
            found = members.setdefault(node.name, set())
            bases.setdefault(node.name, set()).update(ast.unparse(b).partition("[")[0].split(".")[-1] for b in node.bases)
            for part in ast.walk(node):
                if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    found.add(part.name)
                elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                    found.add(part.id)
                elif isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store):
                    found.add(part.attr)
    return members, bases


def has_member(name: str, member: str) -> bool:
    """Whether a class, or one that it inherits from, has the member."""
    members, bases = members_of_classes()
    return member in members[name] or any(has_member(b, member) for b in bases[name] if b in members and b != name)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_named_members_exist(document: Path) -> None:
    """Every `Class.member` of a class of ours is there."""
    members, _ = members_of_classes()
    named = {m.groups() for m in _MEMBER.finditer(document.read_text(encoding="utf-8"))}
    ours = {(name, member) for name, member in named if name in members and f"{name}.{member}" not in _OF_OTHERS}
    assert sorted(f"{name}.{member}" for name, member in ours if not has_member(name, member)) == []


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


PAGES = [
    *sorted((ROOT / "docs").glob("*.md")),
    *(page for room in ("how-to", "coming-from", "concepts") for page in sorted((ROOT / "docs" / room).glob("*.md"))),
]


@pytest.mark.parametrize("page", [p for p in PAGES if list(blocks(p))], ids=lambda path: path.stem)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From top to bottom, in an empty directory, and prints what the page says."""
    monkeypatch.chdir(tmp_path)
    assert run_page(page) == []


def test_every_page_is_listed() -> None:
    """``docs/README.md`` names each page once: it is the way in, and what ``llms.txt`` is made of."""
    listed = re.findall(r"^\| \[[^\]]*\]\(([^)]*)\)", (ROOT / "docs" / "README.md").read_text(encoding="utf-8"), re.M)
    pages = [p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.md") if p.name != "README.md"]
    assert sorted(path for path in listed if not path.startswith("../")) == sorted(pages)


def test_the_generated_pages_are_current() -> None:
    """`make reference` would change nothing."""
    command = [sys.executable, str(ROOT / "build_tools" / "reference_pages.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_site_is_built(tmp_path: Path) -> None:
    """Without a warning: every reference of the pages leads somewhere in the site."""
    pytest.importorskip("sphinx", reason="the site needs the extra `docs`")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(ROOT / "docs"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "tutorial.html").exists()
