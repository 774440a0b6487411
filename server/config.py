"""How a server is set up: where it listens, whom it lets in, and the bounds of what one client can ask of it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import StatementError

DEFAULT_PORT = 8088


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """See ``penstock serve --help``.

    Attributes:
        host, port: where it listens; port 0 takes a free one.
        users: the file of accounts; without it nobody is asked who they are.
        insecure: lets it listen beyond this machine although nobody is asked who they are, or without TLS.
        certificate, private_key: PEM files: HTTPS.
        hosts: names under which clients may address it, besides its address and localhost: other Host headers are refused.
        origins: origins of web pages that may call it (CORS), ``*`` for all; none by default.
        body_bytes_max: of one request's body, where it is read as a whole.
        arrow_bytes_max: of one Arrow stream that is inserted.
        statement_chars_max: of the SQL in one request.
        push_queries_max: open push queries, over all clients.
        requests_max: pieces of work that the threads have and that wait for one, over all clients: while there are so many,
            new requests are refused.  Open push queries take no thread.
        requests_per_second: of one account (or address) over some seconds; 0: no bound.
        request_timeout_s: how long a request's statements may take, and how long its body may take to arrive.
        command_timeout_s: how long a request waits for the command it says it follows.
        shutdown_s: how long the server takes to stop at most.
        advertised: where the other processes of a service on Kafka reach it (``http://host:port``); by default the address
            that it listens on, if that is one.
        audit: a file that every request that is refused or changes something gets a line in.
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

    def check(self) -> None:
        """Raises: StatementError, for what makes no sense or would be open to everybody by mistake."""
        if not 0 <= self.port <= 65_535:
            raise StatementError(f"a port is a number from 0 to 65535, not {self.port}")
        if (self.certificate is None) != (self.private_key is None):
            raise StatementError("TLS takes both: a certificate and its private key")
        for path in (self.certificate, self.private_key):
            if path is not None and not path.is_file():
                raise StatementError(f"there is no file {path}")
        if not is_loopback(self.host) and not self.insecure:
            if self.users is None:
                raise StatementError(
                    f"the server would listen on {self.host} for everybody, without asking who they are",
                    suggestion="Give it --users FILE, or say --insecure if the network is your own.",
                )
            if self.certificate is None:
                raise StatementError(
                    f"passwords would cross the network to {self.host} in clear text",
                    suggestion="Give it --certificate and --private-key, or say --insecure if a proxy before it has TLS.",
                )
        if self.advertised is not None and urlsplit(self.advertised).scheme not in ("http", "https"):
            raise StatementError(f"the advertised address is a URL, http://host:port, not {self.advertised!r}")
        for name, value in (
            ("body_bytes_max", self.body_bytes_max),
            ("statement_chars_max", self.statement_chars_max),
            ("push_queries_max", self.push_queries_max),
            ("requests_max", self.requests_max),
            ("request_timeout_s", self.request_timeout_s),
        ):
            if value <= 0:
                raise StatementError(f"{name} must be positive, not {value}")


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


__all__ = ["DEFAULT_PORT", "ServerConfig", "is_loopback"]
