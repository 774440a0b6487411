"""An embedded Kafka for tests: a broker in the process of the test, with a log in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..engine.database import Database, connect
from ..listener.kafka_listener import broker

__all__ = ["KafkaBroker", "run_kafka_broker"]


@dataclass(frozen=True, slots=True)
class KafkaBroker:
    """A broker that runs.

    Attributes:
        address: ``host:port``, what clients get as ``bootstrap.servers``.
        database: behind it, for tests that know Penstock: its topics can be read and queried there.
    """

    address: str
    database: Database

    @property
    def bootstrap_servers(self) -> str:
        """The same as ``address``."""
        return self.address


@contextmanager
def run_kafka_broker() -> Iterator[KafkaBroker]:
    """Run an empty broker on a free port of this machine until the context ends.

    It waits for no more members before a group's first assignment, so that a test's consumers have theirs at once.

    Raises:
        ImportError: ``penstock[broker]`` is not installed.
    """
    with connect() as database, broker(database, initial_rebalance_delay_ms=0) as listener:
        yield KafkaBroker(listener.address, database)
