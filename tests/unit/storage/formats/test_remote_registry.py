"""The client of a schema registry server, against a small server that speaks its protocol."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock import limits
from penstock.errors import DataError, StatementError, StorageError
from penstock.storage.formats import SchemaReference, SchemaText
from penstock.storage.schemas.remote import RemoteRegistry


def avro(*fields: dict[str, Any], name: str = "R") -> SchemaText:
    """A record of some fields."""
    return SchemaText("AVRO", json.dumps({"type": "record", "name": name, "fields": list(fields)}))


A = {"name": "a", "type": "int"}
C = {"name": "c", "type": "long"}


def test_what_a_registry_does(registry_server: Any) -> None:
    """Every method says what the embedded registry says."""
    remote, embedded = RemoteRegistry(registry_server.url), registry_server.registry
    assert remote.latest("s") is None and remote.versions("s") == [] and remote.subjects() == []
    assert remote.register("s", avro(A)) == 1
    assert remote.by_id(1) == avro(A)
    assert remote.latest("s") == embedded.latest("s") == remote.version("s", 1)
    assert remote.problems("s", avro(A, C)) == embedded.problems("s", avro(A, C)) != []
    assert remote.problems("other", avro(C)) == []
    assert remote.level("s") == remote.level() == "BACKWARD" and remote.own_level("s") is None
    remote.set_level("none", "s")
    assert (embedded.own_level("s"), remote.own_level("s"), remote.level("s")) == ("NONE", "NONE", "NONE")
    assert remote.register("s", avro(A, C)) == 2 and remote.versions("s") == [1, 2]
    remote.set_level(None, "s")
    remote.set_level(None, "s")
    assert remote.level("s") == "BACKWARD"
    remote.set_level("FULL")
    assert embedded.level() == "FULL"
    assert remote.delete_subject("s") == [1, 2] and remote.delete_subject("s") == []
    assert remote.versions("s", deleted=True) == embedded.versions("s", deleted=True) == [1, 2]
    assert remote.subjects(deleted=True) == embedded.subjects(deleted=True) == ["s"]
    assert remote.version("s", 2, deleted=True) == embedded.version("s", 2, deleted=True)
    remote.forget_version("s", 1)
    assert embedded.versions("s", deleted=True) == [2]
    assert remote.register("i", avro(C), id=77) == 77
    remote.delete_version("i", 1)
    assert remote.versions("i") == embedded.versions("i") == [] and remote.versions("i", deleted=True) == [1]
    with pytest.raises(DataError, match="999"):
        remote.by_id(999)
    with pytest.raises(DataError):
        remote.version("i", 9)


def test_schemas_are_asked_for_once(registry_server: Any) -> None:
    """What never changes is kept: ids, versions, and that a schema is registered."""
    remote = RemoteRegistry(registry_server.url)
    for _ in range(3):
        assert remote.by_id(remote.register("s", avro(A))) == remote.version("s", 1).schema
    assert registry_server.requests == ["POST /subjects/s/versions", "GET /schemas/ids/1", "GET /subjects/s/versions/1"]


def test_references_travel(registry_server: Any) -> None:
    """A schema that uses another one names it by subject and version."""
    remote = RemoteRegistry(registry_server.url)
    remote.register("r", avro(A))
    text = SchemaText("AVRO", avro({"name": "r", "type": "R"}, name="S").text, (SchemaReference("R", "r", 1),))
    assert RemoteRegistry(registry_server.url).by_id(remote.register("s", text)) == text


def test_subjects_are_quoted(registry_server: Any) -> None:
    """A topic's name can hold anything; it stays one part of the path."""
    remote = RemoteRegistry(registry_server.url)
    remote.register("a/b?c d-value", avro(A))
    assert remote.subjects() == ["a/b?c d-value"] and remote.versions("a/b?c d-value") == [1]


def test_refusals(registry_server: Any) -> None:
    """An incompatible schema is refused with the reasons, one that is none with the server's words."""
    remote = RemoteRegistry(registry_server.url)
    remote.register("s", avro(A))
    with pytest.raises(StatementError, match="no default") as refused:
        remote.register("s", avro(A, C))
    assert "BACKWARD" in str(refused.value)
    with pytest.raises(StatementError, match="Avro"):
        remote.register("s", SchemaText("AVRO", "{"))


def test_a_busy_server_is_asked_again(registry_server: Any) -> None:
    """Answers of 5xx and 429 are tried again, a bounded number of times."""
    remote = RemoteRegistry(registry_server.url)
    registry_server.failures = [500, 503, 429]
    assert remote.subjects() == []
    registry_server.requests.clear()
    registry_server.failures = [500] * 20
    with pytest.raises(StorageError, match="500: out of order") as failed:
        remote.subjects()
    assert failed.value.path == registry_server.url
    assert len(registry_server.requests) == limits.REGISTRY_ATTEMPTS_MAX


def test_other_refusals_are_final(registry_server: Any) -> None:
    """What a second attempt cannot mend is not tried again."""
    remote = RemoteRegistry(registry_server.url)
    registry_server.failures = [400]
    with pytest.raises(StorageError, match="400"):
        remote.subjects()
    assert len(registry_server.requests) == 1


def test_credentials(registry_server: Any) -> None:
    """The URL brings user and password, percent-encoded where needed; they are in no message."""
    registry_server.credentials = "ann:s3/cret"
    plain = registry_server.url
    assert RemoteRegistry(plain.replace("//", "//ann:s3%2Fcret@")).subjects() == []
    for url in (plain, plain.replace("//", "//ann:wrong@")):
        with pytest.raises(StorageError, match="401") as refused:
            RemoteRegistry(url).subjects()
        assert "wrong" not in str(refused.value)


def test_several_servers(registry_server: Any) -> None:
    """The next server answers when one is away."""
    remote = RemoteRegistry(f"http://127.0.0.1:1, {registry_server.url}")
    assert remote.subjects() == [] and remote.subjects() == []


def test_a_server_that_is_away(registry_server: Any) -> None:
    """A registry that does not answer is the operator's business."""
    with pytest.raises(StorageError, match="does not answer") as failed:
        RemoteRegistry("http://127.0.0.1:1").subjects()
    assert failed.value.action is not None


@pytest.mark.parametrize(
    "url", ["nonsense", "", "ftp://host", "http://", "http://host:port", "http://u:secret@", "http://a:8081,b:8081"]
)
def test_what_is_no_url(url: str) -> None:
    """A wrong URL is found at once, and its password is not repeated."""
    with pytest.raises(StatementError) as refused:
        RemoteRegistry(url)
    assert "secret" not in str(refused.value)
