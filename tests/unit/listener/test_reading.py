"""Requests from bytes: as kio writes them, and nothing malformed is believed."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("kio")

from kio.index import load_payload_module
from kio.schema.index import api_key_map
from kio.serial import entity_writer
from kio.static.constants import EntityType

from penstock.limits import KAFKA_REQUEST_ITEMS_MAX
from penstock.listener.protocol import VERSIONS, MalformedRequest, read_request

KEYS = {name: key for key, name in api_key_map.items()}
EVERY = [(api, version) for api, (least, most) in VERSIONS.items() for version in range(least, most + 1)]


def frame(api: str, version: int, body: bytes, flexible: bool) -> bytes:
    head = struct.pack(">hhih", KEYS[api], version, 5, 2) + b"me" + (b"\0" if flexible else b"")
    return head + body


@pytest.mark.parametrize(("api", "version"), EVERY)
def test_an_array_of_any_length_is_not_believed(api: str, version: int) -> None:
    """Two thousand million items in a few bytes: an error, wherever it stands, and no memory."""
    module = load_payload_module(KEYS[api], version, EntityType.request)  # type: ignore[arg-type]
    flexible = next(c for c in vars(module).values() if hasattr(c, "__flexible__")).__flexible__
    for before in range(24):
        for length in (b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xfe"):
            try:
                read_request(frame(api, version, b"\0" * before + length + b"\0" * 8, flexible))
            except MalformedRequest:
                continue


def test_what_kio_writes_is_read() -> None:
    """Texts, arrays, nulls, times, tagged fields."""
    import datetime

    from kio.schema.join_group.v5.request import JoinGroupRequest, JoinGroupRequestProtocol
    from kio.static.primitive import i32Timedelta

    ten_s = i32Timedelta.parse(datetime.timedelta(seconds=10))
    body: Any = JoinGroupRequest(
        group_id="g",
        session_timeout=ten_s,
        rebalance_timeout=ten_s,
        member_id="",
        group_instance_id=None,
        protocol_type="consumer",
        protocols=(JoinGroupRequestProtocol(name="range", metadata=b"\0\1"),),
    )
    written = io.BytesIO()
    entity_writer(JoinGroupRequest)(written, body)
    request = read_request(frame("join_group", 5, written.getvalue(), False))
    assert (request.api, request.correlation_id, request.client_id, request.body) == ("join_group", 5, "me", body)


def test_unknown_tagged_fields_are_passed_over() -> None:
    """As the protocol says: a newer client may send some."""
    # no id, ten seconds, no producer, one tagged field of three bytes
    body = b"\0" + b"\0\0\x27\x10" + b"\xff" * 8 + b"\xff\xff" + b"\1\x09\3abc"
    request = read_request(frame("init_producer_id", 4, body, True))
    assert request.body.transactional_id is None and request.body.producer_epoch == -1


@given(st.sampled_from(EVERY), st.binary(max_size=80))
def test_garbage_is_refused_or_read(which: tuple[str, int], body: bytes) -> None:
    """Never another error."""
    try:
        read_request(frame(*which, body, False))
    except MalformedRequest:
        return


def test_a_request_has_so_many_items() -> None:
    """A hundred million empty names would be read for minutes, and nobody else's requests meanwhile."""
    with pytest.raises(MalformedRequest, match="KAFKA_REQUEST_ITEMS_MAX"):
        read_request(frame("metadata", 1, struct.pack(">i", KAFKA_REQUEST_ITEMS_MAX + 1) + b"\0\0" * 300_000, False))
    inner = struct.pack(">h1si", 1, b"t", 1000) + struct.pack(">iq", 0, 0) * 1000
    with pytest.raises(MalformedRequest, match="KAFKA_REQUEST_ITEMS_MAX"):  # in all arrays together
        read_request(frame("delete_records", 0, struct.pack(">i", 300) + inner * 300, False))
    read_request(frame("metadata", 1, struct.pack(">i", 1000) + b"\0\0" * 1000, False))
