"""The console's built files are of the sources beside them, and bring along what their licences ask for."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "build_tools"))

import console_build  # noqa: E402

DIST = console_build.CONSOLE / "dist"


def test_the_built_files_are_of_these_sources() -> None:
    """Run ``make console`` and commit what it writes, if not."""
    assert console_build.DIGEST.read_text().strip() == console_build.digest(), "run `make console`, commit what it writes"


def test_the_editor_knows_the_words_of_the_grammar() -> None:
    """Run ``make console``, if not."""
    assert console_build.WORDS.read_text() == console_build.words(), "run `make console`, commit what it writes"


def test_the_lock_names_no_registry() -> None:
    """Packages come from whatever registry the machine is set up for, and only what the lock's checksums fit."""
    lock = json.loads((console_build.CONSOLE / "package-lock.json").read_text())
    packages = {name: p for name, p in lock["packages"].items() if name}
    assert all("integrity" in p for p in packages.values() if not p.get("link"))
    assert all("resolved" not in p for p in packages.values())


@pytest.mark.parametrize("name", json.loads((console_build.CONSOLE / "package.json").read_text())["dependencies"])
def test_licences_are_listed(name: str) -> None:
    """Of every package that is in the built files."""
    assert f"## {name} - " in (DIST / "licenses.md").read_text()


def test_the_page_brings_no_inline_code() -> None:
    """Which its policy would refuse."""
    page = (DIST / "index.html").read_text()
    assert "<style" not in page and "style=" not in page
    assert page.count("<script") == page.count('<script type="module" crossorigin src="./assets/')
