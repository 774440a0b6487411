"""A group's members come all one way: a partition has one owner."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

import penstock
from penstock.engine.database import Database
from penstock.errors import ClientError
from penstock.listener.groups import GroupCoordinator, JoinRequest
from penstock.listener.log_access import LogAccess
from penstock.listener.protocol import ErrorCode
from penstock.listener.transactions import Refused


@pytest.fixture
def db() -> Iterator[Database]:
    with penstock.connect(None, threads=0) as database:
        database.create_topic("t", partitions=2)
        yield database


def join(member: str = "") -> JoinRequest:
    return JoinRequest(member, None, "c", "h", 10_000, 10_000, "consumer", [("range", b"")], knows_ids=False)


def test_consumers_inside_keep_those_over_kafka_out(db: Database) -> None:
    """Until the last of them is closed; other groups are others' business."""
    access = LogAccess(db)

    async def over_kafka() -> None:
        groups = GroupCoordinator(0, access.claim_group)
        consumer = db.consumer("t", group="g")
        consumer.poll(0)
        with pytest.raises(Refused) as refused:
            groups.get("g")
        assert refused.value.code == ErrorCode.inconsistent_group_protocol
        await groups.get("other").join(join())
        consumer.close()
        joined = await groups.get("g").join(join())
        assert joined.member_id
        groups.close()

    asyncio.run(over_kafka())


def test_consumers_over_kafka_keep_those_inside_out(db: Database) -> None:
    """And those of a second listener."""
    access = LogAccess(db)

    async def over_kafka() -> None:
        groups, others = GroupCoordinator(0, access.claim_group), GroupCoordinator(0, access.claim_group)
        joined = await groups.get("g").join(join())
        with pytest.raises(ClientError, match="has members over Kafka's protocol"):
            db.consumer("t", group="g").poll(0)
        with pytest.raises(Refused):
            others.get("g")
        groups.get("g").leave(joined.member_id, None)
        assert await groups.get("g").join(join())  # asking again does no harm
        groups.close()
        others.close()

    asyncio.run(over_kafka())
