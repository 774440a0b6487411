"""Compressed frames: how large they become is known before they are unpacked, and what is too large is refused."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from crc32c import crc32c

from penstock.errors import StorageError
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.local.segments import segment as segment_module
from penstock.storage.log.local.segments.record import HEADER_BYTES, encode_frames, frame_schema
from penstock.storage.log.local.segments.unpacking import unpacked_bytes
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings


def records(n: int, size: int) -> Records:
    return Records(pa.array([b"k%d" % i for i in range(n)]), pa.array([b"v" * size] * n), np.arange(n))


def body_of(compression: Any, n: int = 300, size: int = 1000, value_type: Any = None) -> tuple[memoryview, Any]:
    (frame,) = encode_frames(records(n, size), np.arange(n), value_type, compression=compression)
    body = b"".join(frame.body)
    batch = pa.ipc.read_record_batch(pa.py_buffer(body), frame_schema(value_type, *frame.shape))
    return memoryview(body), batch


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
@pytest.mark.parametrize("n", [1, 3, 300, 5000])
def test_what_a_frame_says_is_what_it_becomes(compression: Any, n: int) -> None:
    """The sum of the buffers, give or take what Arrow pads."""
    body, batch = body_of(compression, n)
    assert abs(unpacked_bytes(body) - batch.get_total_buffer_size()) <= 64 * batch.num_columns * 3


def test_what_is_not_compressed_says_nothing() -> None:
    """It is as large as it is."""
    assert unpacked_bytes(body_of("none")[0]) == 0


@pytest.mark.parametrize("cut", [0, 4, 7, 8, 12, 20, 40, 60])
def test_a_message_that_is_cut_off_is_a_value_error_or_nothing(cut: int) -> None:
    """Never anything else."""
    body, _ = body_of("zstd")
    with contextlib.suppress(ValueError):
        assert unpacked_bytes(body[:cut]) >= 0


def opened(path: Path) -> LocalLog:
    log = LocalLog.open(path, LogSettings(background=False, embedded_bytes_max=0))
    log.create_topic("t", TopicConfig(compression="zstd"))
    transaction = log.transaction()
    transaction.append("t", records(300, 1000), 0)
    transaction.commit()
    return log


def test_a_frame_above_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With file and place; verify names it, too."""
    log = opened(tmp_path)
    assert len(log.read("t", 0, 0, rows_max=1000)) == 300
    monkeypatch.setattr(segment_module, "FRAME_UNPACKED_BYTES_MAX", 100_000)
    with pytest.raises(StorageError, match="compressed frame says that it has") as caught:
        log.read("t", 0, 0, rows_max=1000)
    assert caught.value.path
    assert caught.value.offset


@pytest.mark.parametrize("claimed", [2**40, 2**62, -5])
def test_a_claim_is_not_believed(tmp_path: Path, claimed: int) -> None:
    """A frame whose checksums are right and whose buffer claims to be huge takes no memory."""
    log = opened(tmp_path)
    log.close()
    (path,) = (p for p in tmp_path.rglob("*.segment") if p.stat().st_size and "/t." in str(p))
    data = bytearray(path.read_bytes())
    start = struct.unpack_from("<I", data, 12)[0]
    body = memoryview(data)[start + HEADER_BYTES :]
    length = struct.unpack_from("<I", body, 4)[0]
    struct.pack_into("<q", body, 8 + length, claimed)
    struct.pack_into("<I", data, start + 4, crc32c(bytes(body)))
    struct.pack_into("<I", data, start, crc32c(bytes(data[start + 4 : start + HEADER_BYTES])))
    del body
    path.write_bytes(data)
    log = LocalLog.open(tmp_path, LogSettings(background=False))
    with pytest.raises(StorageError, match=r"says that it has|cannot be decoded"):
        log.read("t", 0, 0, rows_max=1000)
