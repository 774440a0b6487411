"""A registry server behind TLS: its certificate is checked, its name too, and an old protocol is refused."""

from __future__ import annotations

import datetime
import http.server
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock import connect
from penstock.errors import PenstockError, StorageError
from penstock.storage.schemas.remote import RemoteRegistry
from tests.support.certificates import certificate


class Answers(http.server.BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.headers.get("Authorization") or "nobody")
        body = json.dumps(["s-value"]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Be quiet."""


@pytest.fixture
def served() -> Iterator[Callable[[tuple[Path, Path]], tuple[str, list[str]]]]:
    """Serves with a certificate; gives the URL and who asked."""
    servers = []

    def serve(given: tuple[Path, Path]) -> tuple[str, list[str]]:
        asked: list[str] = []
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Answers,), {"asked": asked}))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*given)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"https://user:secret@127.0.0.1:{server.server_port}", asked

    yield serve
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_certificate_that_nobody_vouches_for(served: Any, tmp_path: Path) -> None:
    """The error names TLS and what to do; the credentials are not sent."""
    url, asked = served(certificate(tmp_path, "127.0.0.1"))
    with pytest.raises(StorageError, match="certificate") as refused:
        RemoteRegistry(url).subjects()
    assert "secret" not in str(refused.value)
    assert asked == []
    with connect(None, threads=0, settings={"ksql.schema.registry.url": url}) as db, pytest.raises(PenstockError) as seen:
        db.execute("CREATE STREAM s WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='AVRO');")
    assert "secret" not in str(seen.value) and "certificate" in str(seen.value)
    assert asked == []


@pytest.mark.parametrize(("name", "is_right"), [("127.0.0.1", True), ("localhost", False), ("10.0.0.1", False)])
def test_the_name_of_a_certificate(
    served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, is_right: bool
) -> None:
    """One that is vouched for must be the host's that was asked for."""
    given = certificate(tmp_path, name)
    url, asked = served(given)
    monkeypatch.setenv("SSL_CERT_FILE", str(given[0]))
    if is_right:
        assert RemoteRegistry(url).subjects() == ["s-value"]
        assert asked == ["Basic dXNlcjpzZWNyZXQ="]
        return
    with pytest.raises(StorageError, match=r"certificate|match"):
        RemoteRegistry(url).subjects()
    assert asked == []


def test_plain_text_where_tls_is_expected(registry_server: Any) -> None:
    """A server without TLS is no server behind TLS, and the other way round."""
    with pytest.raises(StorageError):
        RemoteRegistry(registry_server.url.replace("http:", "https:")).subjects()
    assert registry_server.requests == []


def test_a_file_of_certificates_is_believed(served: Any, tmp_path: Path) -> None:
    """And no other one: ``ksql.schema.registry.ssl.ca.location`` is whose certificates count."""
    given = certificate(tmp_path, "127.0.0.1")
    (tmp_path / "other").mkdir()
    other = certificate(tmp_path / "other", "127.0.0.1")
    url, asked = served(given)
    settings = {"ksql.schema.registry.url": url, "ksql.schema.registry.ssl.ca.location": str(given[0])}
    assert RemoteRegistry(url, str(given[0])).subjects() == ["s-value"]
    with connect(None, threads=0, settings=settings) as db:
        assert db.execute("SHOW STREAMS;")
    asked.clear()
    with pytest.raises(StorageError, match="certificate"):
        RemoteRegistry(url, str(other[0])).subjects()
    assert asked == []


@pytest.mark.parametrize(
    "content", [None, b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_file_of_certificates_that_is_none(tmp_path: Path, content: bytes | None) -> None:
    """Is refused before anybody is asked."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(StorageError, match="certificates for the schema registry"):
        connect(
            None,
            threads=0,
            settings={"ksql.schema.registry.url": "https://127.0.0.1:1", "ksql.schema.registry.ssl.ca.location": str(file)},
        )


def test_a_certificate_that_has_expired(served: Any, tmp_path: Path) -> None:
    """Vouched for and of the right name, but of the past."""
    pytest.importorskip("cryptography")  # openssl's command makes none of the past
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "registry")])
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(5)
        .not_valid_before(past)
        .not_valid_after(past + datetime.timedelta(days=30))
        .add_extension(address, critical=False)
        .sign(private, hashes.SHA256())
    )
    given, key = tmp_path / "old.pem", tmp_path / "old.key"
    given.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    url, asked = served((given, key))
    with pytest.raises(StorageError, match="expired"):
        RemoteRegistry(url, str(given)).subjects()
    assert asked == []
