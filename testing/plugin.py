"""The plugin for pytest: `penstock_clock`, `penstock_db`, `penstock_golden`, `kafka_broker` and `kafka_broker_session`.

pytest loads it in every run, so it imports Penstock only when a test asks for a fixture.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..engine.database import Database
    from ..runtime.clock import ManualClock
    from .kafka import KafkaBroker

START_MS = 1_704_067_200_000
"""2024-01-01T00:00:00Z, the time at which a test's clock starts."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("penstock")
    group.addoption("--penstock-bless", action="store_true", help="rewrite golden files instead of comparing with them")


@pytest.fixture
def penstock_clock() -> ManualClock:
    """A clock that stands at 2024-01-01T00:00:00Z until a test moves it; `penstock_db` uses it."""
    from ..runtime.clock import ManualClock

    return ManualClock(START_MS)


@pytest.fixture
def penstock_db(penstock_clock: ManualClock) -> Iterator[Database]:
    """A database in memory for one test.

    Queries read from the beginning (``auto.offset.reset`` is ``earliest``).  They run only inside calls of the test:
    `drain`, reads that wait for rows, and `assert_table`.  Time passes only when the test calls the clock's ``advance``.
    """
    from ..engine.database import connect

    with connect(threads=0, clock=penstock_clock, settings={"auto.offset.reset": "earliest"}) as database:
        yield database


@pytest.fixture
def kafka_broker() -> Iterator[KafkaBroker]:
    """An empty Kafka broker for one test, in memory.  Clients get ``kafka_broker.bootstrap_servers``.

    It needs ``penstock[broker]``.
    """
    from .kafka import run_kafka_broker

    with run_kafka_broker() as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka_broker_session() -> Iterator[KafkaBroker]:
    """Like `kafka_broker`, but one broker that all tests of the run share (with pytest-xdist, those of a worker)."""
    from .kafka import run_kafka_broker

    with run_kafka_broker() as broker:
        yield broker


@pytest.fixture
def penstock_golden(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Compare a result with the file ``golden/<test>[-<name>].txt`` beside the test: ``penstock_golden(db.sql(..))``.

    ``pytest --penstock-bless`` writes the files instead.  See `assert_golden` for the results and the errors.
    """
    from .tables import assert_golden

    def compare(result: Any, name: str = "") -> None:
        __tracebackhide__ = True
        test = re.sub(r"[^\w.-]+", "_", f"{request.node.name}{'-' if name else ''}{name}").strip("_")
        path = request.path.parent / "golden" / f"{test}.txt"
        assert_golden(result, path, bless=bool(request.config.getoption("--penstock-bless")))

    return compare
