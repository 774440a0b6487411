"""Where the grammar's tables come from: the package, the cache, or lark."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.grammar import tables


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache directory of its own; the tables are forgotten before and after."""
    path = tmp_path / "cache.json"
    monkeypatch.setattr(tables, "BUILT_PATH", tmp_path / "tables.json")
    monkeypatch.setattr(tables, "_cache_path", lambda grammar: path)
    tables.tables.cache_clear()
    yield path
    tables.tables.cache_clear()


def test_tables_are_the_same_from_the_cache(cache: Path) -> None:
    """The second process reads what the first one built."""
    built = tables.tables()
    assert cache.exists()
    tables.tables.cache_clear()
    read = tables.tables()
    assert read is not built and read == built


def test_tables_of_the_package(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are used without lark and without a cache, if they are of this grammar and sound."""
    tables.write(tables.BUILT_PATH)
    text = tables.BUILT_PATH.read_text("utf-8")
    with monkeypatch.context() as patched:
        patched.setattr(tables, "_generate", lambda grammar: pytest.fail("they were made again"))
        assert tables.tables().actions == json.loads(text)["actions"]
    assert not cache.exists()
    for wrong in (text.replace('"of":"', '"of":"0'), text[:-9], '{"of":"' + json.loads(text)["of"] + '"}', "[]"):
        tables.BUILT_PATH.write_text(wrong, "utf-8")
        tables.tables.cache_clear()
        assert tables.tables().actions == json.loads(cache.read_text("utf-8"))["actions"]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"actions": 1}', b"\xff\xfe", b'{"keywords": [["A"]]}'])
def test_a_damaged_cache_is_harmless(cache: Path, damage: bytes) -> None:
    """Whatever is in the file, the tables are right, and the file is put right."""
    cache.write_bytes(damage)
    assert tables.tables().starts["statement"] >= 0
    assert set(json.loads(cache.read_bytes())) >= {"actions", "rules"}


def test_an_unwritable_cache_is_harmless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file where the directory should be stops nobody; neither does having no place at all."""
    blocker = tmp_path / "file"
    blocker.write_text("")
    monkeypatch.setattr(tables, "BUILT_PATH", tmp_path / "tables.json")
    paths: list[Any] = [blocker / "below" / "cache.json", None]
    for path in paths:
        monkeypatch.setattr(tables, "_cache_path", lambda grammar, path=path: path)
        tables.tables.cache_clear()
        assert tables.tables().keywords
    tables.tables.cache_clear()


def test_the_place_depends_on_the_grammar() -> None:
    """Another grammar is another file."""
    assert tables._cache_path("a") != tables._cache_path("b")
