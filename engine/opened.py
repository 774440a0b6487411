"""The databases that this process has open.  Each directory is opened once, however often the program connects to it."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakSet

from ..errors import StatementError
from ..runtime import processing_log
from ..runtime.clients.clients import Clients
from ..runtime.clock import SYSTEM_CLOCK, Clock, use_clock
from ..runtime.host import QueryHost
from ..runtime.metrics import RecoveryProgress
from ..runtime.user_clock import checked_clock
from ..storage.files import Files
from ..storage.forks import on_fork
from ..storage.layout import open_directory
from ..storage.log.local.local_log import LocalLog
from ..storage.log.protocol import Log
from ..storage.state.checkpoint import CheckpointFiles
from .catalog import Catalog, DataSource, FormatInfo
from .file_following import follow_again
from .functions import load_built_ins
from .functions.registry import Registry
from .functions.user import USER_FUNCTIONS
from .journal import ChangeJournal
from .kafka_opening import KafkaPlace, check_kafka, open_kafka_log
from .query_options import DatabaseOptions
from .schema import Column, Schema
from .schema_log import open_registry
from .session import Session
from .session_state import SessionState
from .settings import Settings
from .state import Engine
from .statements.carry_out import reopen
from .statements.following import Following
from .types import from_arrow

PROCESSING_LOG = "KSQL_PROCESSING_LOG"


@dataclass(frozen=True, slots=True)
class ConnectArguments:
    """The arguments that a database is opened with, see `connect`."""

    threads: int | None = None
    clock: Clock | None = None
    one_partition: bool = False
    registry: Registry | None = None
    create: bool = True
    progress: Callable[[RecoveryProgress], None] | None = None
    kafka: KafkaPlace | None = None


class Use:
    """Marks that an open database is in use.

    A `Database` has one, and so has everything that was made from it and works without it: sessions, clients, subscriptions.
    When all of them are garbage, the use does not count any more, as if the `Database` had been closed.
    """

    __slots__ = ("__weakref__",)


class Opened:
    """An open database that `Database` objects share.  Closing the last `Use` closes it.

    Garbage collection closes nothing: it runs on any thread and at any moment, but closing takes locks and waits.
    """

    def __init__(self, engine: Engine, clients: Clients, settings: Settings, how: ConnectArguments) -> None:
        self.engine = engine
        self.clients = clients
        self.settings = settings
        self.how = how
        self.process = os.getpid()
        self.following: Following | None = None
        self.directory: Files | None = None
        """The directory that is closed with it, if the log is not in this directory."""
        self.place = _Place()
        self._uses: WeakSet[Use] = WeakSet()

    def use(self) -> Use:
        """Begin a use."""
        made = Use()
        self._uses.add(made)
        return made

    @property
    def used(self) -> bool:
        """Whether there is a use, as far as the garbage collector knows."""
        return len(self._uses) > 0

    def check_same(self, settings: Settings, how: ConnectArguments) -> None:
        """Check that it was opened with the same arguments.

        Raises:
            StatementError: an argument differs.
        """
        mine = self.how
        differing = [
            name
            for name, differs in (
                ("threads", how.threads is not None and how.threads != mine.threads),
                ("clock", how.clock is not None and how.clock is not mine.clock),
                ("one_partition", how.one_partition != mine.one_partition),
                ("kafka", how.kafka is not None and how.kafka != mine.kafka),
                ("registry", how.registry is not None and how.registry is not mine.registry),
            )
            if differs
        ]
        differing += settings.other_than(self.settings)[0]
        if differing:
            raise StatementError(
                f"this process has the database open already, with other {', '.join(differing)}",
                suggestion="Leave these arguments out, or close the other Database first.",
            )

    def release(self, use: Use) -> None:
        """End a use.  The end of the last use closes the queries and the log."""
        with self.place.lock:
            self._uses.discard(use)
            if not self.used:
                self.close()

    def close(self) -> None:
        """Close the queries and the log.  The caller holds the lock of the place."""
        if self.place.opened is self:
            self.place.opened = None
        if self in _PLACES.in_memory:
            _PLACES.in_memory.remove(self)
        self._close()

    def _close(self) -> None:
        engine = self.engine
        for follower in list(engine.followers.values()):
            follower.close()
        with engine.lock:
            if engine.closed:
                return
            engine.closed = True
        if self.following is not None:
            self.following.close()
        try:
            self.clients.close()  # without the engine's lock, because a consumer's listener may wait for it
        finally:
            with engine.lock:
                engine.host.close()
                engine.log.close()
                if self.directory is not None:
                    self.directory.close()


@dataclass(slots=True, eq=False)
class _Place:
    """A directory.  Its lock is held while it is opened and closed."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    opened: Opened | None = None


class _Places:
    """The places where this process has databases open.

    Attributes:
        guard: held while a place is looked up.
        directories: by their real paths.
        in_memory: the databases without a directory.
    """

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.directories: dict[str, _Place] = {}
        self.in_memory: list[Opened] = []
        on_fork(self)

    def forked(self) -> None:
        """Free the locks that threads of the parent process held, and forget its databases, see `on_fork`."""
        self.guard = threading.Lock()
        self.in_memory = []
        for place in self.directories.values():
            place.lock = threading.RLock()


_PLACES = _Places()


def opened(path: Path | None, settings: Settings, how: ConnectArguments) -> tuple[Opened, Use]:
    """Open a database, or share the one that this process has open.

    If a database was dropped without being closed, it is closed here if it is in memory, or if the arguments differ.

    Raises:
        StatementError, StorageError: see `connect`.
    """
    if path is None:
        _close_unused()
        made = _open(None, settings, how)
        use = made.use()
        _PLACES.in_memory.append(made)
        return made, use
    with _PLACES.guard:
        place = _PLACES.directories.setdefault(os.path.realpath(path), _Place())
    with place.lock:
        found = place.opened
        if found is not None and found.process == os.getpid() and not found.engine.closed:
            try:
                found.check_same(settings, how)
            except StatementError:
                gc.collect()  # collects objects that only refer to each other
                if found.used:
                    raise
                found.close()
            else:
                return found, found.use()
        made = _open(path, settings, how)
        made.place, place.opened = place, made
        return made, made.use()


def _close_unused() -> None:
    """Close the databases in memory that nothing refers to any more."""
    for found in list(_PLACES.in_memory):
        with found.place.lock:
            if not found.engine.closed and not found.used:
                found.close()


def _open(path: Path | None, settings: Settings, how: ConnectArguments) -> Opened:
    load_built_ins()
    options = settings.database
    clock = checked_clock(how.clock or SYSTEM_CLOCK)
    functions = how.registry if how.registry is not None else Registry(USER_FUNCTIONS)
    if how.kafka is not None:
        check_kafka(how.kafka)  # checked before a directory is made
    with use_clock(clock), ExitStack() as undo:
        files = open_directory(path, create=how.create)
        undo.callback(files.close)
        checkpoints = None if path is None else CheckpointFiles(files)
        log = _log_of(how, files, path, checkpoints, options, clock)
        if how.kafka is None:
            undo.pop_all()
        undo.callback(log.close)
        schemas = open_registry(log, options.schema_registry_url, options.schema_registry_ca)
        host = QueryHost(
            log,
            checkpoints,
            threads=options.threads if how.threads is None else how.threads,
            rows_max=options.rows_per_step,
            durable=path is not None or how.kafka is not None,
        )
        undo.callback(host.close)
        engine = Engine(log, host, functions, settings, ChangeJournal(log), clock, schemas, how.one_partition)
        refused = lambda topic: engine.catalog.refused_write(topic)  # noqa: E731  # of the catalog of the moment
        clients = Clients(log, clock_ms=clock.now_ms, admit=host.admit, refused=refused)
        engine.catalog = Catalog(result_topics_writable=options.result_topics_writable).with_source(_processing_log())
        with host.recovering(how.progress):
            reopen(engine)
        undo.pop_all()
        made = Opened(engine, clients, settings, how)
        follow_again(engine, lambda: Session(engine, clients, SessionState(engine.settings.for_session({}))))
        if how.kafka is not None:
            made.directory = files
            made.following = Following(engine)
    return made


def _log_of(
    how: ConnectArguments,
    files: Files,
    path: Path | None,
    checkpoints: CheckpointFiles | None,
    options: DatabaseOptions,
    clock: Clock,
) -> Log:
    """Open the log: the one in the directory, or the one in Kafka."""
    if how.kafka is not None:
        return open_kafka_log(how.kafka, path, checkpoints)
    log = LocalLog(files, clock_ms=clock.now_ms, owns_files=True)
    log.settings.relaxed_delay_s = options.relaxed_ms / 1000
    return log


def _processing_log() -> DataSource:
    """The stream over the processing log, which every database has."""
    columns = tuple(Column(f.name, from_arrow(f.type)) for f in processing_log.VALUE_TYPE)
    return DataSource(
        PROCESSING_LOG,
        "STREAM",
        Schema(columns),
        processing_log.TOPIC,
        FormatInfo("NONE"),
        FormatInfo("ARROW"),
        read_only=True,
        statement="(made by the engine)",
    )
