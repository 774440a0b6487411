"""Real files and files in memory behave alike."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock.errors import StorageError
from penstock.limits import OPEN_FILES_MAX
from penstock.storage.files import Files, MemoryFiles, RealFiles
from penstock.tests.support.faulty_files import Crash, FaultyFiles


@pytest.fixture(params=["real", "memory", "faulty"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    """An empty tree with a directory ``d``."""
    trees = {"real": lambda: RealFiles(tmp_path), "memory": MemoryFiles, "faulty": lambda: FaultyFiles(0)}
    files: Files = trees[request.param]()
    files.make_directory("d/e")
    return files


def test_reads_show_what_was_written(files: Files) -> None:
    """Across growth and rewriting; a read beyond the end is short."""
    file = files.open("d/a", create=True)
    assert bytes(file.read(0, 10)) == b""
    file.write(0, b"hello", b" ", b"world")
    assert bytes(file.read(6, 100)) == b"world"
    for i in range(50):
        file.write(11 + 1000 * i, bytes([i]) * 1000)
        assert bytes(file.read(11 + 1000 * i, 2000)) == bytes([i]) * 1000
        assert file.size() == 11 + 1000 * (i + 1)
    file.sync()
    file.close()
    again = files.open("d/a")
    assert again.size() == 50_011
    assert bytes(again.read(0, 11)) == b"hello world"


def test_memory_of_a_read_outlives_the_file(files: Files) -> None:
    """Growth, removal and closing leave it as it was."""
    file = files.open("d/a", create=True)
    file.write(0, b"first")
    view = file.read(0, 5)
    file.write(5, bytes(3_000_000))
    file.close()
    files.remove("d/a")
    files.close()
    assert bytes(view) == b"first"


def test_truncate_cuts_and_grows_with_zeros(files: Files) -> None:
    """What was cut does not come back."""
    file = files.open("d/a", create=True)
    file.write(0, b"abcdef")
    assert bytes(file.read(0, 6)) == b"abcdef"
    file.truncate(2)
    file.truncate(4)
    assert bytes(file.read(0, 9)) == b"ab\0\0"


def test_names_come_and_go(files: Files) -> None:
    """Listing, renaming over a file, removing."""
    files.open("d/a", create=True).write(0, b"a")
    files.open("d/b", create=True).write(0, b"b")
    assert files.list("d") == ["a", "b", "e"]
    files.rename("d/a", "d/b")
    assert files.list("d") == ["b", "e"]
    assert files.read_bytes("d/b") == b"a"
    files.replace("d/b", b"x", b"y")
    assert files.read_bytes("d/b") == b"xy"
    files.remove("d/b")
    files.remove("d/b")
    assert not files.exists("d/b")
    assert files.list("nowhere") == []
    files.open("d/e/f", create=True)
    files.remove_directory("d")
    assert not files.exists("d/e/f")
    with pytest.raises(StorageError, match="missing"):
        files.open("d/e/f")


def test_more_files_than_descriptors(tmp_path: Path) -> None:
    """The least recently used are closed and opened again behind the scenes."""
    files = RealFiles(tmp_path)
    handles = [files.open(f"f{i}", create=True) for i in range(OPEN_FILES_MAX + 20)]
    for i, handle in enumerate(handles):
        handle.write(0, b"%d" % i)
    open_now = sum(os.readlink(f"/proc/self/fd/{n}").startswith(str(tmp_path)) for n in _descriptors())
    assert open_now <= OPEN_FILES_MAX
    assert [bytes(h.read(0, 9)) for h in handles] == [b"%d" % i for i in range(len(handles))]
    files.close()


def _descriptors() -> list[str]:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")
    return [n for n in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{n}")]


def test_a_growing_file_needs_few_maps(tmp_path: Path) -> None:
    """Memory held from many moments of a file's growth does not hold a descriptor each; closing gives the size back."""
    files = RealFiles(tmp_path)
    file = files.open("f", create=True)
    views = []
    for i in range(500):
        file.write(i * 100, bytes([i % 256]) * 100)
        views.append(file.read(0, (i + 1) * 100))
    held = sum(os.readlink(f"/proc/self/fd/{n}") == str(tmp_path / "f") for n in _descriptors())
    assert held < 10
    assert [len(v) for v in views] == [(i + 1) * 100 for i in range(500)]
    file.close()
    assert (tmp_path / "f").stat().st_size == 50_000


def test_nobody_opens_a_file_again_once_all_are_closed(tmp_path: Path) -> None:
    """A thread that was left behind must not extend or cut a file that somebody else may have by now."""
    files = RealFiles(tmp_path)
    file = files.open("f", create=True)
    file.write(0, b"written")
    held = file.read(0, 7)
    files.close()
    for attempt in (
        lambda: file.read(0, 7),
        lambda: file.write(0, b"x"),
        lambda: file.truncate(1),
        file.sync,
        lambda: files.open("f"),
    ):
        with pytest.raises(StorageError, match="closed"):
            attempt()
    assert bytes(held) == b"written" == (tmp_path / "f").read_bytes()
    held.release()  # it held the map, and that a descriptor
    open_files = Path("/proc/self/fd")
    if open_files.is_dir():
        links = [os.readlink(entry) for entry in open_files.iterdir() if entry.is_symlink()]
        assert str(tmp_path / "f") not in links


def test_faulty_files_lose_what_was_not_synced() -> None:
    """Over many crashes synced bytes and names always survive, the others sometimes do not."""
    survivors = set()
    for seed in range(40):
        files = FaultyFiles(seed)
        file = files.open("a", create=True)
        file.write(0, b"safe")
        file.sync()
        files.sync_directory("")
        file.write(4, b"lost")
        files.open("b", create=True)
        after = files.after_crash()
        with pytest.raises(Crash):
            file.write(0, b"x")
        assert after.read_bytes("a")[:4] == b"safe"
        survivors.add((after.read_bytes("a"), after.exists("b")))
    assert survivors == {(a, b) for a in (b"safe", b"safelost") for b in (False, True)}
