"""Records of 0 B and 16 MiB, transactions larger than a segment, and where reading starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.errors import OffsetOutOfRangeError
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import HEADERS, Records, TopicConfig
from penstock.storage.log.settings import LogSettings

MIB = 1 << 20


def put(log: LocalLog, values: list[bytes], times: list[int] | None = None, **columns: Any) -> None:
    transaction = log.transaction()
    stamps = np.array(times if times is not None else [0] * len(values))
    transaction.append("t", Records(columns.get("keys"), pa.array(values, pa.binary()), stamps, columns.get("headers")), 0)
    transaction.commit()


def opened(path: Path, **changes: Any) -> LocalLog:
    log = LocalLog.open(path, LogSettings(background=False, **changes))
    if "t" not in log.topics():
        log.create_topic("t", TopicConfig())
    return log


@pytest.mark.parametrize("segment_bytes_max", [64 * MIB, 4 * MIB])
def test_keys_values_and_headers_of_no_bytes_and_of_16_mib(tmp_path: Path, segment_bytes_max: int) -> None:
    """They come back as they were, after a reopen and a merge too; a record may be larger than a segment should be."""
    sizes = [0, 16 * MIB, 1, 0]
    blobs = [bytes([65 + i]) * size for i, size in enumerate(sizes)]
    heads = pa.array([[{"KEY": "h" * min(len(b), 9), "VALUE": b}] for b in blobs], HEADERS)
    log = opened(tmp_path, segment_bytes_max=segment_bytes_max)
    put(log, blobs, keys=pa.array(blobs, pa.binary()), headers=heads)
    put(log, [b"small"])
    log.close()
    log = opened(tmp_path, segment_bytes_max=segment_bytes_max)
    for _ in range(2):
        read = log.read("t", 0, 0, rows_max=4)
        assert read.keys.to_pylist() == read.values.to_pylist() == blobs
        assert read.headers.to_pylist() == heads.to_pylist()
        assert log.read("t", 0, 4, rows_max=9).values.to_pylist() == [b"small"]
        log.maintain(None)
    log.close()


def test_a_transaction_larger_than_a_segment_is_spread_over_some(tmp_path: Path) -> None:
    """Each of them is closed where it would outgrow its limit; the transaction is one all the same."""
    log = opened(tmp_path, segment_bytes_max=100_000)
    transaction = log.transaction()
    for i in range(50):
        values = pa.array([b"%d" % i * 1000] * 10)
        transaction.append("t", Records(None, values, np.full(10, i)), 0)
    transaction.append("t", Records(None, pa.array([b"x" * 300_000] * 3), np.full(3, 50)), 0)
    transaction.commit()
    for i in range(30):
        put(log, [b"y" * 10_000], [60 + i])
    log.close()
    log = opened(tmp_path, segment_bytes_max=100_000)
    assert log.end_offset("t", 0) == 533
    values = [v for read in log.scan("t", 0, 0) for v in read.values.to_pylist()]
    assert values == [b"%d" % (i // 10) * 1000 for i in range(500)] + [b"x" * 300_000] * 3 + [b"y" * 10_000] * 30
    assert len(log.topic("t").partitions[0].view.segments) >= 4
    log.close()


def test_reading_starts_at_an_offset_a_time_the_earliest_or_the_latest(tmp_path: Path) -> None:
    """By time: the first record that is not before, as Kafka has it, however the timestamps are ordered."""
    log = opened(tmp_path, segment_bytes_max=400)
    times = [5, 3, 9, 4, 4, 20, 7, 7, 30, 1]
    for time in times:
        put(log, [b"v%d" % time], [time])
    assert len(log.topic("t").partitions[0].view.segments) > 2
    assert [log.offset_for_time("t", 0, t) for t in (-5, 5, 6, 9, 10, 21, 30, 31)] == [0, 0, 2, 2, 5, 8, 8, 10]
    assert log.read("t", 0, log.start_offset("t", 0), rows_max=1).values.to_pylist() == [b"v5"]
    assert len(log.read("t", 0, log.end_offset("t", 0), rows_max=1)) == 0
    log.delete_before("t", 0, 4)
    assert log.start_offset("t", 0) == 4
    assert [log.offset_for_time("t", 0, t) for t in (-5, 4, 9)] == [4, 4, 5]
    log.close()


def test_a_scan_ends_where_the_end_was_when_it_began(tmp_path: Path) -> None:
    """Records that come meanwhile are for the next one; a start outside of what there is is refused as by reads."""
    log = opened(tmp_path)
    put(log, [b"a", b"b"])
    scan = log.scan("t", 0, 1)
    first = next(scan)
    put(log, [b"c"])
    assert first.values.to_pylist() == [b"b"]
    assert list(scan) == []
    assert [r.values.to_pylist() for r in log.scan("t", 0, 0)] == [[b"a", b"b"], [b"c"]]
    assert list(log.scan("t", 0, 3)) == []
    with pytest.raises(OffsetOutOfRangeError):
        next(log.scan("t", 0, 4))
    log.close()


def test_a_scan_goes_on_when_its_segments_are_merged_under_it(tmp_path: Path) -> None:
    """The files of the segments it had not come to are gone: it reads the new ones."""
    log = opened(tmp_path, segment_bytes_max=2000)
    for i in range(100):
        put(log, [b"%d" % i])
    scan = log.scan("t", 0, 0)
    seen = [v for _ in range(3) for v in next(scan).values.to_pylist()]
    log.maintain(None)
    seen += [v for read in scan for v in read.values.to_pylist()]
    assert seen == [b"%d" % i for i in range(100)]
    log.close()
