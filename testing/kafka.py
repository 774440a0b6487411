"""An embedded Kafka broker for tests: it runs in the test's process, with a log in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..engine.database import Database, connect
from ..errors import StatementError

__all__ = ["KafkaBroker", "run_kafka_broker"]


@dataclass(frozen=True, slots=True)
class KafkaBroker:
    """A running broker.

    Attributes:
        address: ``host:port``, for a client's ``bootstrap.servers``.
        database: the database behind the broker; a test can read and query its topics there.
    """

    address: str
    database: Database

    @property
    def bootstrap_servers(self) -> str:
        """The same as ``address``."""
        return self.address


@contextmanager
def run_kafka_broker() -> Iterator[KafkaBroker]:
    """A context manager that runs an empty broker on a free port of this machine until the context ends.

    The first rebalance of a group does not wait for more members, so a test's consumers get their assignment at once.

    Raises:
        StatementError: ``penstock[broker]`` is not installed.
    """
    try:
        from ..listener.kafka_listener import broker
    except ModuleNotFoundError as error:
        if (error.name or "penstock").startswith("penstock"):
            raise
        raise StatementError(
            f"a Kafka broker needs a package that is not installed: {error.name}",
            suggestion="pip install 'penstock[broker]'",
        ) from None
    with connect() as database, broker(database, initial_rebalance_delay_ms=0) as listener:
        yield KafkaBroker(listener.address, database)
