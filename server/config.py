"""The configuration of a server: its address, who may connect, and bounds for requests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ..addresses import is_loopback
from ..arguments import check_fields
from ..certificates import server_context
from ..errors import StatementError
from ..paths import named_path

DEFAULT_PORT = 8088


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """The configuration of a server; see ``penstock serve --help``.

    Attributes:
        host, port: the address to listen on; port 0 takes a free one.
        users: the file of accounts; without it there is no login.  A path may be given as text.
        insecure: allow an address that other machines can reach, even without a login or without TLS.
        certificate, private_key: PEM files, for HTTPS.
        hosts: names by which clients may address the server, besides its address and localhost.  Requests with another
            Host header are refused.
        origins: origins of web pages that may call the server (CORS), ``*`` for all; none by default.
        body_bytes_max: the largest body of a request that is read as a whole, in bytes.
        arrow_bytes_max: the largest Arrow stream that is inserted, in bytes.
        statement_chars_max: the largest number of characters of SQL in one request.
        push_queries_max: the largest number of open push queries of all clients together.
        requests_max: the largest number of calls of all clients that run on threads or wait for one; further requests are
            refused.  Open push queries take no thread.
        requests_per_second: the largest rate of one account (or address), averaged over some seconds; 0: no bound.
        request_timeout_s: the longest time in seconds for a request's statements, and for its body to arrive.
        command_timeout_s: the longest time in seconds that a request waits for the command which it names
            (``commandSequenceNumber``).
        shutdown_s: the longest time in seconds that the server takes to stop.
        advertised: the address (``http://host:port``) by which other processes of a service on Kafka reach the server; by
            default the one where it listens, unless it listens on all addresses.
        audit: the file of the audit log, which gets a line for each request that was refused or changed something.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    users: Path | None = None
    insecure: bool = False
    certificate: Path | None = None
    private_key: Path | None = None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    body_bytes_max: int = 64 * 1024 * 1024
    arrow_bytes_max: int = 512 * 1024 * 1024
    statement_chars_max: int = 1_000_000
    push_queries_max: int = 2_000
    requests_max: int = 2_000
    requests_per_second: float = 0.0
    request_timeout_s: float = 60.0
    command_timeout_s: float = 10.0
    shutdown_s: float = 10.0
    audit: Path | None = None
    advertised: str | None = None

    def __post_init__(self) -> None:
        """Check the types of the fields.  Raises: StatementError: a field has the wrong type."""
        check_fields(self)
        for name in ("users", "certificate", "private_key", "audit"):
            if (path := getattr(self, name)) is not None:
                object.__setattr__(self, name, named_path(path))
        for name in ("hosts", "origins"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def check(self) -> None:
        """Check the configuration.

        Raises:
            StatementError: a field is not valid; or other machines could reach the server without a login or without TLS,
                and ``insecure`` is false.
            StorageError: the certificate and its key cannot be used.
        """
        if not 0 <= self.port <= 65_535:
            raise StatementError(f"a port must be a number from 0 to 65535, not {self.port}")
        if (self.certificate is None) != (self.private_key is None):
            raise StatementError("TLS takes both: a certificate and its private key")
        for path in (self.certificate, self.private_key):
            if path is not None and not path.is_file():
                raise StatementError(f"there is no file {path}")
        server_context(self.certificate, self.private_key)
        if not is_loopback(self.host) and not self.insecure:
            if self.users is None:
                raise StatementError(
                    f"{self.host} can be reached from elsewhere, and nobody has to log in",
                    suggestion="Give it --users FILE, or say --insecure if the network is your own.",
                )
            if self.certificate is None:
                raise StatementError(
                    f"{self.host} can be reached from elsewhere, and passwords would be sent in clear text",
                    suggestion="Give it --certificate and --private-key, or say --insecure if a proxy before it has TLS.",
                )
        if self.advertised is not None and urlsplit(self.advertised).scheme not in ("http", "https"):
            raise StatementError(f"the advertised address must be a URL such as http://host:port, not {self.advertised!r}")
        for name, value in (
            ("body_bytes_max", self.body_bytes_max),
            ("statement_chars_max", self.statement_chars_max),
            ("push_queries_max", self.push_queries_max),
            ("requests_max", self.requests_max),
            ("request_timeout_s", self.request_timeout_s),
        ):
            if value <= 0:
                raise StatementError(f"{name} must be positive, not {value}")


__all__ = ["DEFAULT_PORT", "ServerConfig"]
