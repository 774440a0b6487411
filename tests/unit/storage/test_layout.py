"""The database's directory: version, names, strangers."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import StorageError
from penstock.storage.layout import open_directory, segment_path, topic_directory


def test_a_new_directory_gets_a_version(tmp_path: Path) -> None:
    """And opens again with it."""
    open_directory(tmp_path / "db").close()
    assert (tmp_path / "db" / "format").read_text() == "penstock 2\n"
    open_directory(tmp_path / "db").close()


@pytest.mark.parametrize(("text", "words"), [("penstock 99\n", "version 99"), ("garbage", "damaged"), ("", "damaged")])
def test_other_versions_are_refused(tmp_path: Path, text: str, words: str) -> None:
    """With the file's name in the error, and the lock given back."""
    (tmp_path / "format").write_text(text)
    for _ in range(2):
        with pytest.raises(StorageError, match=words) as caught:
            open_directory(tmp_path)
        assert str(caught.value.path).endswith("format")


def test_a_directory_of_something_else_is_refused(tmp_path: Path) -> None:
    """Penstock writes nothing among other people's files."""
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(StorageError, match=r"thesis\.tex"):
        open_directory(tmp_path)


def test_topics_have_names_that_every_file_system_takes() -> None:
    """Slashes and dots are escaped; the number tells topics apart where case does not."""
    assert topic_directory("a/b.c", 3) == "log/topics/a%2Fb%2Ec.3"
    assert topic_directory("A", 1) != topic_directory("a", 2)
    assert len(topic_directory("x" * 1000, 3)) < 200
    assert segment_path("t", 1, 0, 42, 1) == "log/topics/t.1/0/00000000000000000042-1.segment"
