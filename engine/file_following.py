"""Follows files that grow: their new lines become rows of a stream while the database is open.

A file is read up to its last complete line.  The rows of one read are one commit, whose sequence number is the offset in the
file after them.  So after a crash, or when the database is opened again, reading continues exactly where it stopped.  The
catalog says which file a stream follows (`FileToFollow`).  Dropping the stream, or FOLLOW = FALSE, ends it.
"""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from ..errors import PenstockError, StatementError
from ..paths import open_regular
from .catalog import Catalog, DataSource, FileToFollow
from .delimited import delimiter_of, inferred, of_schema
from .loading import column_name
from .long_work import tell
from .results import Message
from .state import Engine
from .types import quoted, to_arrow

__all__ = ["ENDINGS", "FileFollower", "columns_of_lines", "first_lines", "follow_again", "follow_file"]

ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson")
"""The endings of files that can be followed: in these files one line is one row."""
LOOK_S = 0.25
"""The time between two checks of a file, in seconds."""
READ_BYTES = 8 << 20
"""The number of bytes read from a file for one commit."""
_LOG = logging.getLogger("penstock.following")


class Session(Protocol):
    """The part of a session that this module uses."""

    @property
    def catalog(self) -> Catalog: ...

    def insert(self, source: str, rows: Any, *, producer: str | None = None, sequence: int | None = None) -> Any: ...

    def last_sequence(self, producer: str) -> int | None: ...


def _producer_of(session: Session, source: str, path: Path, fresh: bool) -> str:
    """The producer id for the rows that a file adds to a source.

    Args:
        fresh: the topic is new, so the id must be one that has never written.
    """
    first = made = f"file {path.resolve()} into {quoted(source)}"
    number = 1
    while fresh and session.last_sequence(made) is not None:
        number += 1
        made = f"{first} ({number})"
    return made


class FileFollower:
    """Follows one file on a thread, until it is closed, fails (which is logged), or the stream does not follow the file any
    more.

    Args:
        source: the stream's name.
        remembered: the catalog says that the stream follows the file, so this ends when the catalog does not say it any
        more.

    Attributes:
        path: of the file.
        error: why it has stopped; None while it runs.
    """

    def __init__(self, session: Session, source: str, followed: FileToFollow, *, remembered: bool) -> None:
        self._session = session
        self._source = source
        self._followed = followed
        self._remembered = remembered
        self.path = Path(followed.path)
        self._schema: pa.Schema | None = None
        """The names and Arrow types of the file's columns; None before the first read."""
        self._stop = threading.Event()
        self.error: str | None = None
        self._offset = session.last_sequence(followed.producer) or 0
        self._thread = threading.Thread(target=self._run, name=f"penstock-following-{source}", daemon=True)

    def start(self) -> None:
        """Start the thread, unless it runs already."""
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        """Stop after the current commit, without waiting for it."""
        self._stop.set()

    def close(self) -> None:
        """Stop, and wait for the current commit.  Trap: the caller must not hold the engine's lock."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def wanted(self) -> bool:
        """Whether the stream still follows this file."""
        source = self._session.catalog.sources.get(self._source)
        return source is not None and (not self._remembered or source.followed == self._followed)

    def _run(self) -> None:
        try:
            while True:
                while self.wanted and self.step() is not None:
                    if self._stop.is_set():
                        return
                if not self.wanted or self._stop.wait(LOOK_S):
                    return
        except (PenstockError, OSError, pa.ArrowException) as error:
            if not self._stop.is_set() and self.wanted:
                self.error = f"{self.path} is no longer followed, after {self._offset} bytes: {error}"
                _LOG.error("%s", self.error)

    def step(self) -> int | None:
        """Insert the new lines, at most `READ_BYTES`.

        Returns:
            the number of rows; None if there are no new lines.

        Raises:
            StatementError: a row does not fit the stream, the stream is gone, or the file has become shorter.
            OSError: the file cannot be read.
        """
        with open_regular(self.path) as file:
            size = file.seek(0, io.SEEK_END)
            if size < self._offset:
                raise StatementError(
                    f"the file has become shorter: {size} bytes",
                    suggestion="Follow files that only grow, and give a new file another name.",
                )
            head = self._head(file)
            start = max(self._offset, head)
            file.seek(start)
            data = file.read(READ_BYTES)
        end = data.rfind(b"\n") + 1
        if end == 0 and len(data) == READ_BYTES:
            raise StatementError(f"a line has more than {READ_BYTES} bytes, which is the limit")
        lines = data[:end]
        if not lines.strip():
            return None
        rows = self._rows(lines)
        if self._thread.ident is not None and not self.wanted:
            return None  # the lines may have been added after following ended
        self._session.insert(
            quoted(self._source),
            rows.rename_columns([column_name(name) for name in rows.column_names]),
            producer=self._followed.producer,
            sequence=start + end,
        )
        self._offset = start + end
        return int(rows.num_rows)

    def _head(self, file: Any) -> int:
        """The length of the header line in bytes; 0 for files of JSON lines."""
        if delimiter_of(self.path.suffix) is None:
            return 0
        file.seek(0)
        line = file.readline(READ_BYTES)
        if len(line) == READ_BYTES:
            raise StatementError(f"its first line has more than {READ_BYTES} bytes, which is the limit")
        return len(line)

    def _rows(self, lines: bytes) -> pa.Table:
        if self._schema is None:
            self._schema = columns_of_lines(self.path, self._session.catalog.source(self._source))
        return _table(self.path, lines, self._schema)


def follow_file(
    engine: Engine, session: Session, name: str, path: Path, made: Message, *, fresh: bool
) -> tuple[Message, FileToFollow]:
    """Insert the lines of a file, and make the follower that inserts the lines that are added.

    Args:
        session: a session that only the follower uses.
        name: of the existing stream.
        made: the message of the statement that created it.
        fresh: the topic was created with the stream, so it holds no rows of the file yet.

    Returns:
        the message, and what the catalog must store.

    Raises:
        StatementError: a line does not fit the stream.
    """
    before, known = engine.followers.get(name), engine.catalog.source(name).followed
    if known is None or known.path != str(path.resolve()):
        known = FileToFollow(str(path.resolve()), _producer_of(session, name, path, fresh))
    if before is not None:
        if before.error is None and before.path == Path(known.path) and before.wanted:
            return made, known
        before.stop()
    follower = FileFollower(session, name, known, remembered=not engine.log.capabilities.shared)
    rows = 0
    while (count := follower.step()) is not None:
        rows += count
        tell(rows, None)
    engine.followers[name] = follower
    done = f"stream {name} {'was there' if made.warning else 'created'}, {rows} {'row' if rows == 1 else 'rows'} loaded"
    text = f"{done}; {path} is followed while the database is open"
    return Message(made.kind, text, made.statement, details={**made.details, "source": name, "rows": rows}), known


def follow_again(engine: Engine, session: Callable[[], Session]) -> None:
    """Follow the files of all streams again, after a database was opened.

    Args:
        session: makes a session that only one follower uses.
    """
    for name, source in engine.catalog.sources.items():
        if source.followed is not None:
            engine.followers[name] = follower = FileFollower(session(), name, source.followed, remembered=True)
            follower.start()


def first_lines(path: Path) -> Iterator[pa.Table]:
    """An empty table with the columns of a file's first lines.

    Raises:
        StatementError: the file cannot be read or followed.
    """
    return iter([_begin(path).schema.empty_table()])


def columns_of_lines(path: Path, source: DataSource) -> pa.Schema:
    """A file's columns, with the types of the stream's columns.  Lists and structs keep the file's types.

    Raises:
        StatementError: the stream lacks one of the columns.
    """
    fields = []
    for field in _begin(path).schema:
        column = source.schema.find(column_name(field.name))
        if column is None:
            raise StatementError(
                f"{source.name} has no column {column_name(field.name)}, which {path} has",
                suggestion=f"It has {', '.join(source.schema.names)}.",
            )
        nested = pa.types.is_nested(field.type)
        fields.append(pa.field(field.name, field.type if nested else to_arrow(column.type)))
    return pa.schema(fields)


def _begin(path: Path) -> pa.Table:
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise StatementError(
            f"{path} cannot be followed: only files with a row per line can", suggestion=f"They end in {', '.join(ENDINGS)}."
        )
    try:
        with open_regular(path) as file:
            data = file.read(READ_BYTES)
        lines = data[: data.rfind(b"\n") + 1]
        if not lines.strip():
            raise StatementError(
                f"{path} has no line yet, so its columns are not known",
                suggestion="CREATE STREAM name (columns); first, then CREATE STREAM IF NOT EXISTS name FROM the file.",
            )
        return _table(path, lines, None)
    except (OSError, pa.ArrowException) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise StatementError(f"{path} cannot be read: {reason}") from error


def _table(path: Path, lines: bytes, schema: pa.Schema | None) -> pa.Table:
    """Read complete lines as columns: those of a schema or, at the start of a file, with inferred types."""
    delimiter = delimiter_of(path.suffix)
    if delimiter is not None:
        return inferred(path, delimiter, lines) if schema is None else of_schema(lines, delimiter, schema)
    import pyarrow.json as json

    return json.read_json(
        io.BytesIO(lines),
        json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
        json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="infer" if schema is None else "ignore"),
    )
