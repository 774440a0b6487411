"""Sessions of Fetch and quotas, by themselves."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("kio")

from penstock.listener import fetch_sessions
from penstock.listener.fetch_sessions import FetchSessions
from penstock.listener.protocol import ErrorCode
from penstock.listener.quotas import Quota
from penstock.listener.transactions import Refused


def item(partition: int, offset: int = 0) -> Any:
    return SimpleNamespace(partition=partition, fetch_offset=offset)


def body(session_id: int, epoch: int, forgotten: tuple[tuple[str, int], ...] = ()) -> Any:
    gone = [SimpleNamespace(topic=topic, partitions=(partition,)) for topic, partition in forgotten]
    return SimpleNamespace(session_id=session_id, session_epoch=epoch, forgotten_topics_data=gone)


def answer(partition: int, end: int = 0, records: bytes = b"", code: ErrorCode = ErrorCode.none) -> dict[str, Any]:
    return {
        "partition_index": partition,
        "error_code": code,
        "high_watermark": end,
        "last_stable_offset": end,
        "log_start_offset": 0,
        "records": records,
    }


def numbers(found: list[tuple[str, Any]]) -> list[int]:
    return [int(a["partition_index"]) for _, a in found]


def test_a_session_answers_what_is_new() -> None:
    """All at first, then partitions with records, other ends or errors; those with records come last the next time."""
    sessions = FetchSessions()
    session, everything = sessions.asked(body(0, 0), [("t", item(0)), ("t", item(1))], None)
    assert session is not None and everything
    assert numbers(session.news([("t", answer(0)), ("t", answer(1))], all_of_it=True)) == [0, 1]
    same, everything = sessions.asked(body(session.id, 1), [], None)
    assert same is session and not everything
    assert session.news([("t", answer(0)), ("t", answer(1))], all_of_it=False) == []
    assert numbers(session.news([("t", answer(0, 1, b"r")), ("t", answer(1))], all_of_it=False)) == [0]
    assert [i.partition for _, i in session.wanted()] == [1, 0]
    assert numbers(session.news([("t", answer(1, 5)), ("t", answer(0, 1))], all_of_it=False)) == [1]
    broken = ("t", answer(0, code=ErrorCode.unknown_topic_or_partition))
    for _ in range(2):
        assert numbers(session.news([broken, ("t", answer(1, 5))], all_of_it=False)) == [0]
    assert numbers(session.news([("t", answer(0, 1)), ("t", answer(1, 5))], all_of_it=False)) == [0]


def test_partitions_are_added_changed_and_forgotten() -> None:
    """As the requests of the session say; what is named again is told again."""
    sessions = FetchSessions()
    session, _ = sessions.asked(body(0, 0), [("t", item(0))], None)
    assert session is not None
    session.news([("t", answer(0))], all_of_it=True)
    sessions.asked(body(session.id, 1), [("t", item(0, 7)), ("u", item(3))], None)
    assert [(topic, i.partition, i.fetch_offset) for topic, i in session.wanted()] == [("t", 0, 7), ("u", 3, 0)]
    assert numbers(session.news([("t", answer(0)), ("u", answer(3))], all_of_it=False)) == [0, 3]
    sessions.asked(body(session.id, 2, (("t", 0), ("nothing", 9))), [], None)
    assert [topic for topic, _ in session.wanted()] == ["u"]


@pytest.mark.parametrize("by_id", [False, True])
def test_a_session_names_topics_in_one_way(by_id: bool) -> None:
    """Names cannot be written where ids are expected: a client that learns the ids (or loses them) begins anew."""
    sessions = FetchSessions()
    keys: list[Any] = ["t", uuid.UUID(int=7)]
    session, _ = sessions.asked(body(0, 0), [(keys[by_id], item(0))], None, by_id=by_id)
    assert session is not None
    with pytest.raises(Refused) as refused:
        sessions.asked(body(session.id, 1), [], None, by_id=not by_id)
    assert refused.value.code == ErrorCode.fetch_session_topic_id_error
    again, everything = sessions.asked(body(session.id, 0), [(keys[not by_id], item(0))], None, by_id=not by_id)
    assert again is not None and everything and len(sessions) == 1
    assert [topic for topic, _ in again.wanted()] == [keys[not by_id]]


def test_who_may_go_on_with_a_session() -> None:
    """Its owner, with the next epoch; the end of one is the end of it."""
    sessions = FetchSessions()
    session, _ = sessions.asked(body(0, 0), [("t", item(0))], "ada")
    assert session is not None
    for asked, owner, code in (
        (body(session.id, 2), "ada", ErrorCode.invalid_fetch_session_epoch),
        (body(session.id, 1), "bob", ErrorCode.fetch_session_id_not_found),
        (body(session.id + 1, 1), "ada", ErrorCode.fetch_session_id_not_found),
    ):
        with pytest.raises(Refused) as refused:
            sessions.asked(asked, [], owner)
        assert refused.value.code == code
    sessions.asked(body(session.id, -1), [], "bob")
    assert len(sessions) == 1
    assert sessions.asked(body(session.id, -1), [("t", item(0))], "ada") == (None, True)
    assert len(sessions) == 0
    assert sessions.asked(SimpleNamespace(), [("t", item(0))], None) == (None, True)  # a version without sessions
    session, _ = sessions.asked(body(0, 0), [], None)
    assert session is not None
    session.epoch = 2**31 - 1
    sessions.asked(body(session.id, 2**31 - 1), [], None)
    assert session.epoch == 1


def test_sessions_have_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was used least recently goes; where there is no room for partitions there is no session."""
    monkeypatch.setattr(fetch_sessions, "_SESSIONS_MAX", 2)
    monkeypatch.setattr(fetch_sessions, "_PLACES_MAX", 3)
    sessions = FetchSessions()
    first, second = (sessions.asked(body(0, 0), [("t", item(0))], None)[0] for _ in range(2))
    assert first is not None and second is not None
    sessions.asked(body(first.id, 1), [], None)
    third, _ = sessions.asked(body(0, 0), [("t", item(n)) for n in range(2)], None)
    assert third is not None and len(sessions) == 2
    with pytest.raises(Refused):
        sessions.asked(body(second.id, 1), [], None)
    assert sessions.asked(body(0, 0), [("t", item(n)) for n in range(3)], None) == (None, True)


def test_a_quota() -> None:
    """A second's worth at once, then as long as it takes; each client for itself; without a rate there is none."""
    now = [0.0]
    quota = Quota(1000, lambda: now[0])
    assert [quota.charge("a", 500), quota.charge("a", 500), quota.charge("b", 1000)] == [0, 0, 0]
    assert quota.charge("a", 250) == 251
    now[0] = 0.25
    assert quota.charge("a", 0) == 0
    assert quota.charge("a", 10**9) == 30_001
    assert Quota(None).charge("a", 10**12) == 0
