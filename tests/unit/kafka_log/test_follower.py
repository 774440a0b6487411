"""Following partitions that go while they are asked for."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

pytest.importorskip("confluent_kafka")

from penstock.storage.log.kafka.reading import Follower


def test_a_partition_that_goes_meanwhile_has_its_end() -> None:
    """The thread that follows it may let go of it at any moment: its topic was deleted."""
    connection: Any = mock.Mock()
    follower = Follower(connection, lambda places: dict.fromkeys(places, 5), lambda: None)
    with mock.patch.object(Follower, "_begin", lambda self: self._tails.clear()):
        assert follower.ends([("t", 0), ("t", 1)]) == {("t", 0): 5, ("t", 1): 5}
