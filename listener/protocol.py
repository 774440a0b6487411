"""Kafka's wire protocol: the supported APIs and versions; decodes requests and encodes responses.

The package `kio` has a generated dataclass for each API and version.  A handler returns one answer for all versions of an
API, as plain dicts; fields that the requested version lacks are left out.
"""

from __future__ import annotations

import dataclasses
import datetime
import io
import struct
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from kio.index import load_payload_module
from kio.schema.errors import ErrorCode
from kio.schema.index import api_key_map
from kio.serial import entity_writer
from kio.static.constants import EntityType

from ..errors import DataError
from ..limits import KAFKA_REQUEST_ITEMS_MAX
from .reading import Items, Malformed, nullable_text, reader, uvarint

__all__ = ["VERSIONS", "ErrorCode", "MalformedRequest", "Request", "name_of", "read_request", "response_bytes"]

VERSIONS: Mapping[str, tuple[int, int]] = {
    "produce": (3, 11),
    "fetch": (4, 17),
    "list_offsets": (1, 7),
    "metadata": (0, 12),
    "offset_commit": (2, 8),
    "offset_fetch": (1, 8),
    "find_coordinator": (0, 4),
    "join_group": (0, 9),
    "heartbeat": (0, 4),
    "leave_group": (0, 5),
    "sync_group": (0, 5),
    "describe_groups": (0, 5),
    "list_groups": (0, 5),
    "sasl_handshake": (1, 1),
    "api_versions": (0, 3),
    "create_topics": (2, 7),
    "delete_topics": (1, 6),
    "delete_records": (0, 2),
    "init_producer_id": (0, 4),
    "offset_for_leader_epoch": (2, 4),
    "add_partitions_to_txn": (0, 3),
    "add_offsets_to_txn": (0, 3),
    "end_txn": (0, 3),
    "txn_offset_commit": (0, 3),
    "describe_configs": (1, 4),
    "alter_configs": (0, 2),
    "describe_log_dirs": (1, 4),
    "sasl_authenticate": (0, 2),
    "create_partitions": (0, 3),
    "delete_groups": (0, 2),
    "incremental_alter_configs": (0, 1),
    "offset_delete": (0, 0),
    "describe_cluster": (0, 1),
    "describe_producers": (0, 0),
    "describe_transactions": (0, 0),
    "list_transactions": (0, 0),
}
"""API -> lowest and highest supported version (both included).  They serve clients of Kafka 2.1 and later, also those that
know only the versions with tagged fields (KIP-482).

Not supported are SaslHandshake 0, after which login messages are no requests; versions in which Produce and OffsetCommit
name topics by id (Produce 13, OffsetCommit 10); and the versions of other protocols: between brokers (AddPartitionsToTxn 4),
for consumers of KIP-848, and for transactions of KIP-890 (Produce 12, EndTxn 5).
"""

_KEYS = {name: key for key, name in api_key_map.items()}
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_HEADER = struct.Struct(">hhi")


class MalformedRequest(DataError):
    """The bytes are not a request of a supported API and version.  The listener closes the connection."""


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """A decoded request.

    Attributes:
        api: its name, as in `VERSIONS`.
        version: of the API.
        correlation_id: the client's number for the request, which the answer repeats.
        client_id: the name that the client gives itself; None without one.
        body: an instance of kio's dataclass; None for an ApiVersions request of an unsupported version.
    """

    api: str
    version: int
    correlation_id: int
    client_id: str | None
    body: Any


def name_of(key: int) -> str | None:
    """The name of an API; None if it is not supported."""
    name = api_key_map.get(key)
    return name if name in VERSIONS else None


def api_keys() -> list[dict[str, int]]:
    """The APIs with their versions, for the answer to ApiVersions."""
    return [
        {"api_key": _KEYS[name], "min_version": least, "max_version": most}
        for name, (least, most) in sorted(VERSIONS.items(), key=lambda item: _KEYS[item[0]])
    ]


@cache
def _module(api: str, version: int, kind: EntityType) -> tuple[Any, Any]:
    """The class of a payload and its reader or writer."""
    module = load_payload_module(_KEYS[api], version, kind)  # type: ignore[arg-type]
    suffix = "Request" if kind is EntityType.request else "Response"
    wanted = api.replace("_", "").lower() + suffix.lower()
    (entity,) = [c for name, c in vars(module).items() if name.lower() == wanted]
    return entity, (reader(entity) if kind is EntityType.request else entity_writer(entity))


def read_request(data: bytes) -> Request:
    """Decode a request from its bytes, without the length in front.

    Raises:
        MalformedRequest: the bytes are not a request of a supported API and version.
    """
    if len(data) < _HEADER.size:
        raise MalformedRequest(f"a request of {len(data)} bytes")
    key, version, correlation_id = _HEADER.unpack_from(data)
    api = name_of(key)
    if api is None:
        raise MalformedRequest(f"a request with the API key {key}, which is not supported")
    least, most = VERSIONS[api]
    if not least <= version <= most:
        if api == "api_versions":  # the answer says which are, so that the client tries again
            return Request(api, version, correlation_id, None, None)
        raise MalformedRequest(f"{api} of version {version}: versions {least} to {most} are supported")
    entity, read = _module(api, version, EntityType.request)
    try:
        client_id, at = nullable_text(data, _HEADER.size, Items(0))
        if entity.__flexible__:
            at = _skip_tags(data, at)
        body, end = read(data, at, Items(KAFKA_REQUEST_ITEMS_MAX))
    except Malformed as error:
        raise MalformedRequest(f"{api} of version {version} that cannot be read: {error}") from error
    if end > len(data):
        raise MalformedRequest(f"{api} of version {version} is cut off")
    return Request(api, version, correlation_id, client_id, body)


def _skip_tags(data: bytes, at: int) -> int:
    """Return the place behind the tagged fields of a header, which the listener does not use."""
    count, at = uvarint(data, at)
    Items(KAFKA_REQUEST_ITEMS_MAX).take(count)
    for _ in range(count):
        _, at = uvarint(data, at)
        size, at = uvarint(data, at)
        at += size
    if at > len(data):
        raise Malformed("the header is cut off")
    return at


def response_bytes(api: str, version: int, correlation_id: int, body: Mapping[str, Any]) -> bytes:
    """Encode an answer, with its length in front.

    Args:
        body: kio's field name -> value.  Arrays are sequences of dicts or values; times are milliseconds.  Fields that the
            version lacks are ignored; fields that are missing get their defaults.
    """
    entity, write = _module(api, version, EntityType.response)
    buffer = io.BytesIO()
    buffer.write(b"\0\0\0\0" + struct.pack(">i", correlation_id))
    if entity.__flexible__ and api != "api_versions":  # (its header never has tags: it is read before versions are known)
        buffer.write(b"\0")
    write(buffer, _builder(entity)(body))
    data = buffer.getbuffer()
    struct.pack_into(">i", data, 0, len(data) - 4)
    return bytes(data)


@cache
def _builder(entity: Any) -> Callable[[Mapping[str, Any]], Any]:
    """Make the function that turns a dict into a dataclass of kio."""
    fields = [(f.name, _converter(f.type), f.default is dataclasses.MISSING) for f in dataclasses.fields(entity)]

    def build(values: Mapping[str, Any]) -> Any:
        arguments = {}
        for name, convert, required in fields:
            if name in values:
                value = values[name]
                arguments[name] = value if convert is None or value is None else convert(value)
            elif required:
                arguments[name] = _missing(entity, name)
        return entity(**arguments)

    return build


def _missing(entity: Any, name: str) -> Any:
    if name == "throttle_time":
        return datetime.timedelta(0)
    raise KeyError(f"{entity.__name__}.{name}")


def _converter(type_: Any) -> Callable[[Any], Any] | None:
    if isinstance(type_, types.UnionType):
        type_ = next(t for t in typing.get_args(type_) if t is not types.NoneType)
    if typing.get_origin(type_) is tuple:
        item = _converter(typing.get_args(type_)[0])
        return tuple if item is None else lambda values: tuple(item(v) for v in values)
    if dataclasses.is_dataclass(type_):
        return _builder(typing.cast(Any, type_))
    if type_ is ErrorCode:
        return ErrorCode
    if (isinstance(type_, type) and issubclass(type_, datetime.timedelta)) or "Timedelta" in getattr(type_, "__name__", ""):
        return lambda ms: datetime.timedelta(milliseconds=ms)
    if "TZAware" in getattr(type_, "__name__", ""):
        return lambda ms: _EPOCH + datetime.timedelta(milliseconds=ms)
    return None
