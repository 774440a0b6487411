"""The state that all handlers of a server share: the database, threads, bounds, and open queries."""

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
    """The state that all handlers share.

    Attributes:
        address: the server's name in answers, ``host:port``.
        open_queries: id -> reader of the push queries that clients read.
        query_texts: id -> SQL of these queries.
        stopping: set when the server stops; push queries end then.
        terminated: whether ``/ksql/terminate`` has ended all queries.
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
        """Add a push query to the open ones."""
        self.open_queries[query_id] = reader
        if text:
            self.query_texts[query_id] = text

    def ended(self, query_id: str) -> None:
        """Remove a push query from the open ones."""
        self.open_queries.pop(query_id, None)
        self.query_texts.pop(query_id, None)

    def pushed(self, account: Account) -> list[tuple[str, str]]:
        """The open push queries that an account may see, as pairs of id and SQL: its own, or, for an admin, all."""
        texts, readers = dict(self.query_texts), dict(self.open_queries)
        return [
            (query_id, texts[query_id])
            for query_id, reader in readers.items()
            if query_id in texts and (account.is_admin or reader.account == account.name)
        ]

    def close(self) -> None:
        """End the threads and close the audit log.  Call it after the last request."""
        self.closed = True
        for call in self.on_stop:
            call()
        self.workers.close()
        self.audit.close()


__all__ = ["Service"]
