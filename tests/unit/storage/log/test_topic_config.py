"""Kafka's names for what can be set about a topic."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from penstock.errors import StatementError
from penstock.storage.log.local.local_log import LocalLog
from penstock.storage.log.protocol import Compression, Records, TopicConfig
from penstock.storage.log.settings import LogSettings
from penstock.storage.log.topic_config import CONFIG_NAMES, described, with_config


def test_every_name_goes_there_and_back() -> None:
    """What `described` says of a config makes the same config again, and -1 stands for no limit."""
    config = TopicConfig(
        cleanup_policy="compact,delete",
        retention_ms=1,
        retention_bytes=2,
        segment_bytes=14,
        segment_ms=4,
        delete_retention_ms=5,
        min_compaction_lag_ms=6,
        compression="zstd",
    )
    assert with_config(TopicConfig(), described(config)) == config
    assert set(described(config)) == set(CONFIG_NAMES)
    assert with_config(config, described(TopicConfig())) == TopicConfig()
    assert with_config(config, dict.fromkeys(CONFIG_NAMES)) == TopicConfig()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("retention.ms", "-2", "0 to"),
        ("retention.ms", "soon", "whole number"),
        ("segment.bytes", "13", "14 to"),
        ("delete.retention.ms", "-1", "0 to"),
        ("cleanup.policy", "keep", "compact"),
        ("compression.type", "gzip", "lz4"),
        ("retention.mss", "1", "Did you mean retention.ms?"),
        ("flush.messages", "1", "not supported"),
    ],
)
def test_what_cannot_be_is_refused(name: str, value: str, said: str) -> None:
    """Unknown names, values out of bounds, and what Kafka has and we have not."""
    with pytest.raises(StatementError, match=said):
        with_config(TopicConfig(), {name: value})


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_frames_are_compressed_as_they_are_appended(compression: Compression) -> None:
    """The same records take less room, and read the same."""
    log = LocalLog.open(None, LogSettings(background=False))
    log.create_topic("plain", TopicConfig())
    log.create_topic("small", TopicConfig(compression=compression))
    records = Records(None, pa.array([b"the same again " * 8] * 1000), np.arange(1000))
    for topic in ("plain", "small"):
        transaction = log.transaction()
        transaction.append(topic, records)
        transaction.commit()
    lengths = {t: log.topic(t).partitions[0].state.segments[-1].length for t in ("plain", "small")}
    assert lengths["small"] * 5 < lengths["plain"]
    assert log.read("small", 0, 0, rows_max=1000).values.equals(log.read("plain", 0, 0, rows_max=1000).values)


def test_a_segment_is_as_large_as_its_topic_says() -> None:
    """segment.bytes of the topic, not of the log, decides when a segment is closed."""
    log = LocalLog.open(None, LogSettings(background=False))
    log.create_topic("t", TopicConfig(segment_bytes=1000))
    for _ in range(20):
        transaction = log.transaction()
        transaction.append("t", Records(None, pa.array([bytes(400)]), np.zeros(1, np.int64)))
        transaction.commit()
    segments = log.topic("t").partitions[0].state.segments
    assert len(segments) == 20
    log.alter_topic("t", TopicConfig(segment_bytes=100_000))
    for _ in range(20):
        transaction = log.transaction()
        transaction.append("t", Records(None, pa.array([bytes(400)]), np.zeros(1, np.int64)))
        transaction.commit()
    assert len(log.topic("t").partitions[0].state.segments) == 20
