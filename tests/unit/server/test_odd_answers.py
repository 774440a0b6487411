"""A server that passes as Penstock's and later answers with something else: errors of ours, which name its address."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

import penstock
from penstock.server.remote import RemoteDatabase

from .conftest import Api

INSTEAD: tuple[Any, ...] = (None, [], {}, 5, "x", [None], 1e308)


class Answers(httpx.BaseTransport):
    """Sends requests on, remembers the answers, and gives them changed."""

    def __init__(self, real: httpx.BaseTransport) -> None:
        self._real = real
        self._known: dict[tuple[str, str, bytes], httpx.Response] = {}
        self.path = ""
        self.change: Callable[[bytes], bytes] = bytes
        self.last = b""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        asked = (request.method, str(request.url), request.read())
        known = self._known.get(asked)
        if known is None:
            known = self._real.handle_request(request)
            known.read()
            self._known[asked] = known
        content = known.content
        if request.url.path == self.path:
            self.last = content
            content = self.change(content)
        headers = {"content-type": known.headers["content-type"]}
        return httpx.Response(known.status_code, headers=headers, content=content)


@pytest.fixture
def answers(shop: Api) -> Iterator[tuple[RemoteDatabase, Answers]]:
    with penstock.connect(shop.url) as far:
        assert isinstance(far, RemoteDatabase)
        http = far._server._http
        between = http._transport = Answers(http._transport)
        yield far, between


def places(found: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in JSON."""
    yield path
    if isinstance(found, dict):
        for name, item in found.items():
            yield from places(item, (*path, name))
    elif isinstance(found, list):
        for index, item in enumerate(found[:2]):
            yield from places(item, (*path, index))


def changed(data: bytes, path: tuple[Any, ...], instead: Any) -> bytes:
    """JSON with another value, or (``...``) without the member."""
    found: Any = {"": json.loads(data)}
    *outer, last = ("", *path)
    at = found
    for step in outer:
        at = at[step]
    if instead is ...:
        del at[last]
    else:
        at[last] = instead
    return json.dumps(found.get("")).encode()


CALLS: dict[str, tuple[str, Callable[[RemoteDatabase], Any]]] = {
    "catalog": ("/v1/catalog", lambda far: far.insert("orders", [{"customer": "ada", "euros": "1.25"}])),
    "columns": ("/v1/catalog", lambda far: [str(s.schema) for s in far.catalog.sources.values()]),
    "topics": ("/v1/catalog", lambda far: (far.topic_names(), far.function_names(), far.describe_state())),
    "graph": ("/v1/graph", lambda far: far.flow()),
    "execute": ("/v1/execute", lambda far: far.execute("SHOW STREAMS;")[0].show()),  # type: ignore[union-attr]
    "describe": ("/v1/execute", lambda far: far.execute("DESCRIBE spend EXTENDED;")),
    "message": ("/v1/execute", lambda far: far.execute("INSERT INTO orders (customer, euros) VALUES ('x', 1);")),
    "topic": ("/v1/topics/orders", lambda far: far.describe_topic("orders")),
    "sequence": ("/v1/producers/p", lambda far: far.last_sequence("p")),
    "idle": ("/v1/wait", lambda far: far.wait_idle(60)),
    "check": ("/v1/check", lambda far: far.examiner().faults(["SELECT nothing FROM orders EMIT CHANGES;"])),
    "progress": ("/v1/queries/", lambda far: next(iter(far.queries.values())).progress()),
}


@pytest.mark.parametrize("name", CALLS)
def test_changed_json(name: str, answers: tuple[RemoteDatabase, Answers]) -> None:
    """Each member once missing, and once of each other type: the call works, or ends in the family's error."""
    far, between = answers
    between.path, call = CALLS[name]
    if name == "progress":
        between.path += next(iter(far.queries))
    call(far)
    real = between.last
    assert real, "the call asks for something else"
    refused = 0
    for path in list(places(json.loads(real))):
        for instead in (*INSTEAD, ...) if path else INSTEAD:
            between.change = lambda data, path=path, instead=instead: changed(data, path, instead)  # type: ignore[misc]
            far._known = None
            try:
                call(far)
            except penstock.PenstockError as error:
                assert far.url in str(error) or not isinstance(error, penstock.ClientError)
                refused += 1
    assert refused or name == "check"  # (which then checks the syntax alone)
    between.change = bytes
    call(far)


def odd_bytes(data: bytes) -> Iterator[bytes]:
    """Cut off, and with bits turned over."""
    chance = random.Random(7)
    for end in range(0, len(data), max(1, len(data) // 60)):
        yield data[:end]
    for _ in range(150):
        odd = bytearray(data)
        for _ in range(chance.randint(1, 3)):
            odd[chance.randrange(len(odd))] ^= 1 << chance.randrange(8)
        yield bytes(odd)


def test_changed_arrow(answers: tuple[RemoteDatabase, Answers]) -> None:
    far, between = answers
    calls: list[tuple[str, Callable[[], Any]]] = [
        ("/query", lambda: far.sql("SELECT * FROM spend WHERE customer = 'ada'").fetchall()),
        ("/v1/topics/orders/records", lambda: list(far.consume("orders"))),
    ]
    for path, call in calls:
        between.path, between.change = path, bytes
        assert call()
        refused = 0
        for odd in odd_bytes(between.last):
            between.change = lambda _, odd=odd: odd  # type: ignore[misc]
            try:
                call()
            except penstock.ClientError as error:
                assert far.url in str(error)
                refused += 1
        assert refused > 20
