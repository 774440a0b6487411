"""What all handlers of a server share: the database, its threads, its bounds, and the open queries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..engine.database import Database
from .accounts import Account, Accounts
from .audit import Audit
from .commands import Commands
from .config import ServerConfig
from .measures import Measures
from .push import PrintReader, PushReader
from .sessions import Workers


class Service:
    """The shared parts of a server; see the module's text.

    Attributes:
        address: the server's name in answers, ``host:port``.
        open_queries: the push queries being read, by id.
        query_texts: their SQL.
        stopping: set when the server stops; push queries end then.
        terminated: whether ``/ksql/terminate`` has ended everything.
    """

    def __init__(self, database: Database, config: ServerConfig, address: str) -> None:
        self.database = database
        self.config = config
        self.address = address
        self.accounts = None if config.users is None else Accounts(config.users)
        self.audit = Audit(config.audit)
        self.commands = Commands()
        self.measures = Measures()
        self.workers = Workers(config.request_timeout_s)
        self.open_queries: dict[str, PushReader | PrintReader] = {}
        self.query_texts: dict[str, str] = {}
        self.stopping = asyncio.Event()
        self.terminated = False
        self.closed = False
        self.on_stop: list[Callable[[], None]] = []

    def opened(self, query_id: str, reader: PushReader | PrintReader, text: str = "") -> None:
        """Note that a push query is being read."""
        self.open_queries[query_id] = reader
        if text:
            self.query_texts[query_id] = text

    def ended(self, query_id: str) -> None:
        """Note that a push query is not read any more."""
        self.open_queries.pop(query_id, None)
        self.query_texts.pop(query_id, None)

    def pushed(self, account: Account) -> list[tuple[str, str]]:
        """The open push queries that an account may see, as id and text: its own; for an admin all."""
        texts, readers = dict(self.query_texts), dict(self.open_queries)
        return [
            (query_id, texts[query_id])
            for query_id, reader in readers.items()
            if query_id in texts and (account.is_admin or reader.account == account.name)
        ]

    def close(self) -> None:
        """Close, after the last request."""
        self.closed = True
        for call in self.on_stop:
            call()
        self.workers.close()
        self.audit.close()


__all__ = ["Service"]
