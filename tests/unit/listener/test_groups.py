"""Members of a group that come back or stay away; the rest is shown by clients (tests/kafka_clients)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("kio")

from penstock.listener.groups import Group, JoinRequest
from penstock.listener.protocol import ErrorCode
from penstock.listener.transactions import Refused

LONG_MS = 10 * 60_000


def request(member: str = "", instance: str | None = None, session_ms: int = LONG_MS, **more: Any) -> JoinRequest:
    knows = {"knows_ids": True, **more}
    return JoinRequest(member, instance, "c", "h", session_ms, LONG_MS, "consumer", [("range", b"topics")], **knows)


async def joined(group: Group, session_ms: int = LONG_MS) -> Any:
    """A member that joins with the id that it is given."""
    with pytest.raises(Refused) as refused:
        await group.join(request(session_ms=session_ms))
    assert refused.value.code == ErrorCode.member_id_required
    return await group.join(request(str(refused.value), session_ms=session_ms))


@pytest.mark.parametrize("leaves", [True, False])
def test_who_does_not_come_back_with_its_id_is_not_waited_for(leaves: bool) -> None:
    """No longer than its session lasts, not as long as a rebalance may take (five minutes, by default)."""

    async def play() -> None:
        group = Group("g", 0)
        first = await joined(group)
        await group.sync(first.member_id, None, first.generation, [(first.member_id, b"all")])
        with pytest.raises(Refused) as refused:
            await group.join(request(session_ms=LONG_MS if leaves else 50))
        again = asyncio.ensure_future(group.join(request(first.member_id)))
        await asyncio.sleep(0)
        assert not again.done()
        if leaves:
            group.leave(str(refused.value), None)
        assert (await asyncio.wait_for(again, 60)).generation == first.generation + 1
        group.close()

    asyncio.run(play())


@pytest.mark.parametrize("knows_skipping", [True, False])
def test_a_leader_that_restarts_assigns_nothing(knows_skipping: bool) -> None:
    """A static member keeps its partitions through a restart.  Who understands it hears all members, to watch their topics;
    others hear that they do not lead."""

    async def play() -> None:
        group = Group("g", 0)
        first = await group.join(request(instance="one"))
        await group.sync(first.member_id, "one", first.generation, [(first.member_id, b"mine")])
        again = await group.join(request(instance="one", knows_skipping=knows_skipping))
        assert again.generation == first.generation and again.member_id != first.member_id
        if knows_skipping:
            assert again.skip and again.leader == again.member_id
            assert again.members == [(again.member_id, "one", b"topics")]
        else:
            assert not again.skip and again.leader == first.member_id and not again.members
        assert await group.sync(again.member_id, "one", again.generation, []) == b"mine"
        assert group.leader == again.member_id
        with pytest.raises(Refused) as refused:
            group.heartbeat(first.member_id, "one", first.generation)
        assert refused.value.code == ErrorCode.fenced_instance_id
        group.close()

    asyncio.run(play())
