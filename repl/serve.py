"""``penstock serve``: a database over HTTP until Ctrl-C or SIGTERM; ``penstock password``: lines for its file of users."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .. import connect
from ..errors import StatementError
from . import render
from .opening import opened


def run_password(options: argparse.Namespace, print_: Callable[[str], None]) -> int:
    """``penstock password``."""
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
            raise StatementError("the two are not the same")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise StatementError("a password cannot be empty")
    print_(f'password = "{hash_password(password)}"')
    return 0


def run_serve(options: argparse.Namespace, settings: Mapping[str, str], print_: Callable[[str], None]) -> int:
    """``penstock serve``.

    Raises:
        StatementError: the script or an option is wrong.
        StorageError: the data directory or the address cannot be had.
    """
    from ..server.config import ServerConfig
    from ..server.serving import serve

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
        audit=options.audit,
    )
    config.check()
    script = None if options.script is None else Path(options.script)
    text = None if script is None else _read(script)
    if options.log:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        logging.getLogger("penstock.server").addHandler(handler)
        logging.getLogger("penstock.server").setLevel(logging.INFO)
    stop = threading.Event()
    before = {n: signal.signal(n, lambda *_: stop.set()) for n in (signal.SIGINT, signal.SIGTERM)}
    chosen = {"ksql.max.push.queries": str(options.push_queries), **settings}

    def opening(progress: Callable[[Any], None] | None) -> Any:
        return connect(options.data, settings=chosen, progress=progress)

    try:
        with opened(opening, sys.stderr, lambda: 120) as database:
            if script is not None and text is not None:
                for outcome in database.submit(text, script.name, path=script).results:
                    print_(render.result(outcome, 120))
            with serve(database, config=config) as server:
                print_(f"{database.describe_state()}; listening on {server.url}")
                while not stop.is_set() and not server.wait(0.2):
                    pass
                print_("stopping")
    finally:
        for number, handler_ in before.items():
            signal.signal(number, handler_)
    return 0


def _read(script: Path) -> str:
    try:
        return script.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise StatementError(f"cannot read the script {script}: {problem}") from problem


__all__ = ["run_password", "run_serve"]
