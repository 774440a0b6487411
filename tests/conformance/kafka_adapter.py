"""The conformance kit's view of Penstock over Kafka's log: a service of its own for each case, all on one broker.

``PENSTOCK_KAFKA`` names the broker.  Kafka keeps no order between topics, so records are taken in the order of their
timestamps; the kit's *record* mode, in which each is processed before the next one is written, is what fits.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from adapter import Rows  # the kit's module
from confluent_kafka.admin import AdminClient

from penstock.engine.database import connect
from penstock.engine.results import PushResult
from penstock.runtime.clock import ManualClock
from penstock.storage.log.kafka import parts
from penstock.tests.conformance.adapter import NOW_MS, PenstockAdapter
from penstock.tests.support.own_names import OwnNames

_COUNT = itertools.count()


parts.TopicNames = OwnNames  # type: ignore[misc]  # this process has no other use of a log in Kafka


@cache
def _admin(address: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": address})


class KafkaAdapter(PenstockAdapter):
    """See the kit's `Adapter` for the contract of every method."""

    def _connect(self, settings: Mapping[str, str]) -> Any:
        self._service_id = f"case-{os.getpid()}-{next(_COUNT)}"
        self._address = os.environ["PENSTOCK_KAFKA"]
        return connect(
            None,
            threads=0,
            clock=ManualClock(NOW_MS),
            one_partition=self._one_partition,
            kafka=self._address,
            service_id=self._service_id,
            settings={**settings, "processing.order": "timestamp"},
        )

    def _pushed(self, result: PushResult) -> Rows:
        # Queries that begin at the end of their topics do so once they have their partitions: rows come after that.
        self._database.drain()
        return super()._pushed(result)

    def stop(self) -> None:
        """Close the engine, and have the broker delete its topics when it likes."""
        super().stop()
        admin = _admin(self._address)
        names = OwnNames(self._service_id)
        there = admin.list_topics(timeout=30).topics
        own = [name for name in there if name == names.state or names.engine_topic(name) is not None]
        if own:
            admin.delete_topics(own)


__all__ = ["KafkaAdapter"]
