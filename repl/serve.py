"""``penstock serve``: serves a database over HTTP until Ctrl-C or SIGTERM.

``penstock password``: lines for its users file.
"""

from __future__ import annotations

import argparse
import base64
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from .. import connect
from ..errors import StatementError
from ..grammar.script_files import read_script
from . import render
from .opening import opened


def run_password(options: argparse.Namespace, print_: Callable[[str], None]) -> int:
    """Run ``penstock password``."""
    from ..server.accounts import hash_password, new_token

    if options.token:
        token, kept = new_token()
        print_(f"token, to give away once: {token}")
        print_(f'token = "{kept}"')
        return 0
    if sys.stdin.isatty():
        import getpass

        password = getpass.getpass("password: ")
        if getpass.getpass("once more: ") != password:
            raise StatementError("the two passwords are not the same")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise StatementError("a password cannot be empty")
    print_(f'password = "{hash_password(password)}"')
    return 0


def run_serve(options: argparse.Namespace, settings: Mapping[str, str], print_: Callable[[str], None]) -> int:
    """Run ``penstock serve``.

    Raises:
        StatementError: the script or an option is wrong, or the extra ``server`` or ``broker`` is not installed.
        StorageError: the data directory or the address is not available.
    """
    from .. import ServerConfig, serve

    if options.kafka is not None:
        from .. import KafkaListener  # noqa: F401 (what is not installed is said before anything is opened)

    config = ServerConfig(
        host=options.host,
        port=options.port,
        users=options.users,
        insecure=options.insecure,
        certificate=options.certificate,
        private_key=options.private_key,
        hosts=tuple(options.allow_host),
        origins=tuple(options.cors),
        push_queries_max=options.push_queries,
        requests_per_second=options.requests_per_second,
        requests_max=options.requests_max,
        request_timeout_s=options.request_timeout,
        audit=options.audit,
        advertised=options.advertised,
    )
    config.check()
    script = None if options.script is None else Path(options.script)
    text = None if script is None else _read(script)
    if options.log:
        from ..server.json_log import log_json

        log_json(sys.stderr)
    stop = threading.Event()
    before = {n: signal.signal(n, lambda *_: stop.set()) for n in (signal.SIGINT, signal.SIGTERM)}
    chosen = {"ksql.max.push.queries": str(options.push_queries), **settings}

    def opening(progress: Callable[[Any], None] | None) -> Any:
        return connect(options.data, settings=chosen, progress=progress)

    try:
        with opened(opening, sys.stderr, lambda: 120) as database:
            if script is not None and text is not None:
                for result in database.submit(text, script.name, path=script).results:
                    print_(render.result(result, 120))
            with ExitStack() as doors:
                server = doors.enter_context(serve(database, config=config))
                print_(f"{database.describe_state()}; listening on {server.url}")
                print_(f"console: {server.url}/console/")
                if options.kafka is not None:
                    listener = doors.enter_context(_kafka(database, options))
                    print_(f"Kafka clients: {listener.address}")
                while not stop.is_set() and not server.wait(0.2):
                    pass
                print_("stopping")
    finally:
        for number, handler_ in before.items():
            signal.signal(number, handler_)
    return 0


def _password_check(users: Any) -> Callable[[str, str], Any]:
    """Asks the server's file of users for a name and a password."""
    from ..server.accounts import Accounts

    accounts = Accounts(users)

    def check(name: str, password: str) -> Any:
        accounts.refresh()
        return accounts.check("Basic " + base64.b64encode(f"{name}:{password}".encode()).decode())

    return check


def _kafka(database: Any, options: argparse.Namespace) -> Any:
    """The listener for Kafka clients, with the users, the certificate and the caution of the server."""
    from ..listener.broker import BrokerOptions
    from ..listener.kafka_listener import KafkaListener
    from ..listener.security import Security

    address = _host_and_port("--kafka", options.kafka)
    advertised: tuple[str | None, int | None] = (None, None)
    if options.kafka_advertised is not None:
        advertised = _host_and_port("--kafka-advertised", options.kafka_advertised)
    check = None if options.users is None else _password_check(options.users)
    files = [None if path is None else str(path) for path in (options.certificate, options.private_key)]
    security = Security(check, None, *files)
    chosen = BrokerOptions(
        *advertised, producer_byte_rate=options.producer_byte_rate, consumer_byte_rate=options.consumer_byte_rate
    )
    return KafkaListener(database, *address, options=chosen, security=security, insecure=options.insecure)


def _host_and_port(argument: str, given: str) -> tuple[str, int]:
    host, _, port = given.rpartition(":")
    if not port.isdigit():
        raise StatementError(f"{argument} takes HOST:PORT, not {given!r}")
    return host.strip("[]") or "127.0.0.1", int(port)


def _read(script: Path) -> str:
    return read_script(script, named_by_person=True)


__all__ = ["run_password", "run_serve"]
