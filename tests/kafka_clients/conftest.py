"""A database with a listener, for clients that know nothing of Penstock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import penstock

pytest.importorskip("kio")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[penstock.Database]:
    with penstock.connect(tmp_path / "db") as opened:
        yield opened


@pytest.fixture
def listener(database: penstock.Database) -> Iterator[penstock.KafkaListener]:
    with penstock.broker(database) as made:
        yield made


@pytest.fixture
def address(listener: penstock.KafkaListener) -> str:
    """What a client's ``bootstrap.servers`` is set to."""
    return listener.address
