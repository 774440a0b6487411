"""The arguments of ``penstock serve`` and ``penstock password``, apart from `serve`, which imports the engine."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any


def add_commands(commands: Any, common: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add the arguments of both sub-commands."""
    serve = commands.add_parser(
        "serve",
        help="serve a database over HTTP: ksqlDB's API, a schema registry, metrics",
        description="Serve a database over HTTP until Ctrl-C or SIGTERM. A script's statements are submitted first, each of "
        "them once, however often the server is started.",
    )
    serve.add_argument("script", nargs="?", help="a file of statements to submit before the server listens")
    common(serve)
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen on (127.0.0.1: this machine only)")
    serve.add_argument("--port", type=int, default=8088, help="the port (8088; 0: a free one, which is printed)")
    serve.add_argument(
        "--kafka", metavar="HOST:PORT", help="let Kafka clients reach its topics, too, at 127.0.0.1:9092 for example"
    )
    serve.add_argument(
        "--kafka-advertised", metavar="HOST:PORT", help="where Kafka clients are told to reach it (where it listens)"
    )
    serve.add_argument("--users", metavar="FILE", type=Path, help="accounts: who may come in, and what they may do")
    serve.add_argument("--certificate", metavar="PEM", type=Path, help="a certificate (chain): HTTPS")
    serve.add_argument("--private-key", metavar="PEM", type=Path, help="the certificate's key")
    serve.add_argument(
        "--insecure", action="store_true", help="listen beyond this machine although anybody could come in, or without TLS"
    )
    serve.add_argument("--allow-host", metavar="NAME", action="append", default=[], help="a further name of this server")
    serve.add_argument(
        "--advertised",
        metavar="URL",
        help="where other processes of a service on Kafka reach it (where it listens)",
    )
    serve.add_argument("--cors", metavar="ORIGIN", action="append", default=[], help="an origin whose pages may call it")
    serve.add_argument("--audit", metavar="FILE", type=Path, help="gets a line for all that is changed or refused")
    serve.add_argument("--requests-per-second", type=float, default=0.0, metavar="N", help="of one account (no bound)")
    serve.add_argument("--push-queries", type=int, default=2_000, metavar="N", help="open push queries at most (2000)")
    serve.add_argument("--requests-max", type=int, default=2_000, metavar="N", help="requests in hand at most (2000)")
    serve.add_argument(
        "--request-timeout", type=float, default=60.0, metavar="SECONDS", help="a request's statements may take so long (60)"
    )
    for name, what in (("producer", "send"), ("consumer", "read")):
        serve.add_argument(
            f"--{name}-byte-rate", type=float, metavar="BYTES", help=f"that each Kafka client may {what} a second (no bound)"
        )
    serve.add_argument(
        "--log", action="store_true", help="lines of JSON on stderr: every request, and what the server warns of"
    )
    password = commands.add_parser(
        "password",
        help="hash a password for the file of users, or make a token",
        description="Reads a password from the terminal (or the first line of standard input) and prints what the file of "
        "users keeps of it. With --token, makes a token and prints it with its line.",
    )
    password.add_argument("--token", action="store_true", help="make a token instead")


__all__ = ["add_commands"]
