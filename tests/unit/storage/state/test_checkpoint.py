"""Checkpoints on files, whole and damaged."""

from __future__ import annotations

import pyarrow as pa
import pytest

from penstock.errors import StorageError
from penstock.storage.files import MemoryFiles
from penstock.storage.layout import state_directory
from penstock.storage.state.checkpoint import CheckpointFiles
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
    assert checkpoints.newest("Q", "node-store", 0) == (1_000, TABLE.slice(2))
    assert checkpoints.newest("Q", "node-store", 10) == (4, TABLE.slice(0, 1))
    assert checkpoints.newest("Q", "node-store-0", 1) == (7, TABLE.slice(1))
    checkpoints.delete("Q")
    assert checkpoints.newest("Q", "node-store", 0) is None


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
