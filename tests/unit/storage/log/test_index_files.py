"""Index files help or do not matter: missing, torn, damaged, stale and lying ones included."""

from __future__ import annotations

import struct

import numpy as np
import pyarrow as pa
import pytest
from crc32c import crc32c

from penstock.errors import StorageError
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.local.segments import segment
from penstock.storage.log.protocol import Records, TopicConfig
from penstock.storage.log.settings import LogSettings
from penstock.tests.support.faulty_files import FaultyFiles

FRAMES = 40
FIXED_BYTES = 48


def opened(files: FaultyFiles) -> LocalLog:
    return LocalLog(files, LogSettings(background=False, embedded_bytes_max=0, sync_threads=1, index_frames_min=2))


def put(log: LocalLog, numbers: range) -> None:
    for i in numbers:
        transaction = log.transaction()
        transaction.append("t", Records(None, pa.array([b"%d" % i]), np.array([i * 10])), 0)
        transaction.commit()


def filled() -> tuple[FaultyFiles, str]:
    """A closed log of one-record frames whose segment has an index; the index's path."""
    files = FaultyFiles(seed=0)
    log = opened(files)
    log.create_topic("t", TopicConfig())
    put(log, range(FRAMES))
    log.read("t", 0, 0, rows_max=1)
    log.close()
    (path,) = [p for p in files.contents() if p.endswith(".index")]
    return files, path


def walked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Where headers are walked from now on."""
    places: list[int] = []
    parse = segment.parse_header

    def counted(data: memoryview, position: int = 0) -> object:
        places.append(position)
        return parse(data, position)

    monkeypatch.setattr(segment, "parse_header", counted)
    return places


def check(log: LocalLog, frames: int = FRAMES) -> None:
    """Every offset and time is found."""
    for i in range(frames):
        assert log.read("t", 0, i, rows_max=1).values.to_pylist() == [b"%d" % i]
        assert log.offset_for_time("t", 0, i * 10 - 5) == i
    assert sum(len(r) for r in log.scan("t", 0, 0)) == frames


def test_a_segment_with_an_index_is_not_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    """One header is read for one record."""
    files, _ = filled()
    log = opened(files)
    places = walked(monkeypatch)
    assert log.read("t", 0, 30, rows_max=1).values.to_pylist() == [b"30"]
    assert len(places) == 1
    check(log)


def test_the_walk_goes_on_where_the_index_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment that grew after its index was written; closing writes the longer one."""
    files, path = filled()
    before = files.contents()[path]
    log = opened(files)
    put(log, range(FRAMES, FRAMES + 5))
    places = walked(monkeypatch)
    assert log.offset_for_time("t", 0, 10 * FRAMES) == FRAMES
    assert len(places) == 5 + 1
    check(log, FRAMES + 5)
    log.close()
    assert len(files.contents()[path]) == len(before) + 5 * 24
    check(opened(files), FRAMES + 5)


@pytest.mark.parametrize("kept", [0, 7, FIXED_BYTES, FIXED_BYTES + 24])
def test_a_torn_index_is_as_good_as_none(kept: int) -> None:
    """It is neither synced nor trusted."""
    files, path = filled()
    files.open(path).truncate(kept)
    check(opened(files))


def test_a_missing_index_is_made_again() -> None:
    """By whoever closes the log after reading."""
    files, path = filled()
    files.remove(path)
    log = opened(files)
    check(log)
    log.close()
    assert path in files.contents()


def test_every_flipped_bit_of_an_index_is_harmless() -> None:
    """Byte by byte: records and times are found as ever."""
    files, path = filled()
    for position in range(len(files.contents()[path])):
        files.damage(path, position, 1 << position % 8)
        log = opened(files)
        assert log.read("t", 0, 30, rows_max=1).values.to_pylist() == [b"30"]
        assert not log.topic("t").partitions[0].view.segments[0].index().from_file
        files.damage(path, position, 1 << position % 8)


@pytest.mark.parametrize("column", [0, 1])
@pytest.mark.parametrize("delta", [8, -8])
def test_an_index_that_lies_is_built_anew(column: int, delta: int) -> None:
    """Right checksums, wrong positions or offsets: frames are verified, and the frames win."""
    files, path = filled()
    content = bytearray(files.contents()[path])
    for frame in range(1, FRAMES - 1):
        place = FIXED_BYTES + 8 * (column * FRAMES + frame)
        (number,) = struct.unpack_from("<q", content, place)
        struct.pack_into("<q", content, place, number + delta * (1 if column == 0 else 2))
    struct.pack_into("<I", content, 8, crc32c(bytes(content[12:])))
    files.open(path).write(0, bytes(content))
    log = opened(files)
    assert log.read("t", 0, 17, rows_max=2).values.to_pylist() == [b"17", b"18"]
    check(opened(files))


def test_the_index_of_another_segment_of_the_same_name_does_not_count() -> None:
    """A topic emptied and filled again can have the same base offset and generation."""
    files, path = filled()
    stale = files.contents()[path]
    log = opened(files)
    log.delete_before("t", 0, FRAMES)
    assert path not in files.contents()
    put(log, range(FRAMES, FRAMES + 30))
    log.close()
    (name,) = [p for p in files.contents() if p.endswith(".segment")]
    lying = bytearray(stale)
    struct.pack_into("<q", lying, 16, FRAMES)
    struct.pack_into("<I", lying, 8, crc32c(bytes(lying[12:])))
    files.open(name.replace(".segment", ".index"), create=True).write(0, bytes(lying))
    log = opened(files)
    assert log.read("t", 0, FRAMES + 3, rows_max=1).values.to_pylist() == [b"%d" % (FRAMES + 3)]
    assert not log.topic("t").partitions[0].view.segments[0].index().from_file


def test_a_damaged_frame_is_damage_with_an_index_too() -> None:
    """The index is given up, and the frames tell the truth."""
    files, path = filled()
    name = path.replace(".index", ".segment")
    log = opened(files)
    position = log.topic("t").partitions[0].view.segments[0].index().positions[17]
    files.damage(name, position + 80, 4)
    log = opened(files)
    assert log.read("t", 0, 3, rows_max=1).values.to_pylist() == [b"3"]
    with pytest.raises(StorageError, match="checksum") as caught:
        log.read("t", 0, 17, rows_max=1)
    assert caught.value.offset == position + 72
    assert log.read("t", 0, 18, rows_max=1).values.to_pylist() == [b"18"]


def test_strange_index_files_are_removed_on_open_and_with_their_segment() -> None:
    """Nothing is left behind."""
    files, path = filled()
    stranger = path.replace("-0.index", "-7.index")
    files.open(stranger, create=True).write(0, b"x")
    log = opened(files)
    assert stranger not in files.contents()
    assert path in files.contents()
    log.delete_topic("t")
    assert path not in files.contents()
