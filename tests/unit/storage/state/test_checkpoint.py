"""Checkpoints on files, whole and damaged."""

from __future__ import annotations

import struct

import pyarrow as pa
import pytest
from crc32c import crc32c

from penstock.errors import StorageError
from penstock.storage.files import MemoryFiles
from penstock.storage.layout import state_directory
from penstock.storage.state.checkpoint import Checkpoint, CheckpointFiles
from penstock.storage.state.scalar_store import ScalarStore

TABLE = pa.table({"k": ["a", None, "c"], "v": [1, 2, 3]})


def test_the_newest_checkpoint_is_read() -> None:
    """Saving removes the older ones of the same store and partition only."""
    files = MemoryFiles()
    checkpoints = CheckpointFiles(files)
    assert checkpoints.newest("Q", "node-store", 0) is None
    checkpoints.save("Q", "node-store", 0, 5, TABLE)
    checkpoints.save("Q", "node-store", 10, 4, TABLE.slice(0, 1))
    checkpoints.save("Q", "node-store-0", 1, 7, TABLE.slice(1))
    checkpoints.save("Q", "node-store", 0, 1_000, TABLE.slice(2))
    assert len(files.list(state_directory("Q"))) == 3
    assert checkpoints.newest("Q", "node-store", 0) == Checkpoint(1_000, 1_000, TABLE.slice(2))
    assert checkpoints.newest("Q", "node-store", 10) == Checkpoint(4, 4, TABLE.slice(0, 1))
    assert checkpoints.newest("Q", "node-store-0", 1) == Checkpoint(7, 7, TABLE.slice(1))
    assert checkpoints.rows() == 4
    checkpoints.delete("Q")
    assert checkpoints.newest("Q", "node-store", 0) is None


def test_the_newest_delta_of_the_newest_base_counts() -> None:
    """Whatever files a crash between writing and removing leaves."""
    files = MemoryFiles()
    checkpoints = CheckpointFiles(files)
    directory = state_directory("Q")
    kept: dict[str, bytes] = {}

    def save(offset: int, table: pa.Table, base: int | None = None) -> None:
        kept.update({n: files.read_bytes(f"{directory}/{n}") for n in files.list(directory)})
        checkpoints.save("Q", "s", 0, offset, table, base)

    one, two, three = (TABLE.slice(i, 1) for i in range(3))
    save(5, one)
    save(7, two, 5)
    assert checkpoints.newest("Q", "s", 0) == Checkpoint(7, 5, one, two)
    save(9, three, 5)
    assert checkpoints.newest("Q", "s", 0) == Checkpoint(9, 5, one, three)
    assert len(files.list(directory)) == 2
    save(11, two)
    assert checkpoints.newest("Q", "s", 0) == Checkpoint(11, 11, two)
    assert len(files.list(directory)) == 1
    for name, content in kept.items():
        files.replace(f"{directory}/{name}", content)
    assert checkpoints.newest("Q", "s", 0) == Checkpoint(11, 11, two)
    checkpoints.save("Q", "s", 0, 12, one, 11)
    files.remove(f"{directory}/s-0-{11:020d}.checkpoint")
    with pytest.raises(StorageError, match="offset 11"):
        checkpoints.newest("Q", "s", 0)


def test_a_checkpoint_of_the_version_before_is_read() -> None:
    """Its header knows neither base nor rows."""
    files = MemoryFiles()
    checkpoints = CheckpointFiles(files)
    checkpoints.save("Q", "s", 0, 5, TABLE)
    path = f"{state_directory('Q')}/{files.list(state_directory('Q'))[0]}"
    body = files.read_bytes(path)[48:]
    header = struct.pack("<8sQQI", b"PSTKCHK1", 5, len(body), crc32c(body))
    files.replace(path, header, struct.pack("<I", crc32c(header)), body)
    assert checkpoints.newest("Q", "s", 0) == Checkpoint(5, 5, TABLE)
    assert checkpoints.rows() > 0


def test_every_damaged_byte_is_noticed() -> None:
    """A flipped byte or a missing end anywhere is an error that names the file."""
    files = MemoryFiles()
    checkpoints = CheckpointFiles(files)
    checkpoints.save("Q", "s", 0, 5, TABLE)
    path = f"{state_directory('Q')}/{files.list(state_directory('Q'))[0]}"
    whole = files.read_bytes(path)
    for place in range(0, len(whole), 3):
        files.replace(path, whole[:place] + bytes([whole[place] ^ 64]) + whole[place + 1 :])
        with pytest.raises(StorageError, match="checkpoint"):
            checkpoints.newest("Q", "s", 0)
        files.replace(path, whole[:place])
        with pytest.raises(StorageError, match=r"Q/s-0-0+5\.checkpoint"):
            checkpoints.newest("Q", "s", 0)


def test_scalars_travel_by_changes_and_checkpoints() -> None:
    """A scalar store remembers its numbers."""
    store, copy = ScalarStore("times", {"a": -1, "b": 0}), ScalarStore("times", {"a": -1, "b": 0})
    assert store.drain_changes() is None
    store["a"] = 5
    changes = store.drain_changes()
    assert changes is not None
    copy.apply_changes(changes)
    assert (copy["a"], copy["b"]) == (5, 0)
    assert copy.drain_changes() is None
    fresh = ScalarStore("times", {"a": -1, "b": 0})
    fresh.restore(store.checkpoint())
    assert fresh["a"] == 5
    assert store.snapshot().table().to_pylist() == [{"a": 5, "b": 0}]
