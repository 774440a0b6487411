"""Creates streams and tables from existing data (a frame, an Arrow table, a file), with its columns and types."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import pyarrow as pa

from ..errors import PenstockError, StatementError, unwritable
from .analysis.with_clause import CREATE_SOURCE, unknown_property
from .delimited import delimiter_of, inferred
from .intake.containers import columns_in
from .long_work import tell
from .results import Message, Result
from .types import STRING, Array, Map, SqlType, Struct, from_arrow, quoted

if TYPE_CHECKING:
    from ..runtime.host import Token

__all__ = ["as_arrow", "column_name", "create_from", "read_file"]

ROWS_PER_COMMIT = 100_000
"""The number of rows of a file in one commit."""
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEPTH_MAX = 64
"""The levels of nested lists and dicts up to which types are inferred."""


class Session(Protocol):
    """The part of a session that this module uses."""

    def execute(self, text: str) -> list[Result]: ...

    def insert(self, source: str, rows: Any, *, durable: bool | None = None) -> Token: ...


def create_from(
    session: Session,
    kind: Literal["STREAM", "TABLE"],
    name: str,
    data: Any,
    *,
    key: str | Sequence[str] | None = None,
    properties: Mapping[str, object] | None = None,
    if_not_exists: bool = False,
) -> Message:
    """Create a source from data: its columns, then its rows.  If a row is refused, the source is dropped again.

    Args:
        name: as in the catalog.
        data: the path of a file, anything that `Database.insert` takes and that has column names, or an `Iterator` of rows
            or of Arrow tables with one schema.
        key: the columns of the key, under their names in the data.  A table needs them.
        properties: of the WITH clause.

    Raises:
        StatementError: there is no such property; the file cannot be read; the data has no columns, or a column has no SQL
            type; the source exists; a row is refused.
    """
    unknown = next((str(known) for known in properties or () if str(known).upper() not in CREATE_SOURCE), None)
    if unknown is not None:  # checked before a long file is read
        raise unknown_property(unknown, CREATE_SOURCE)
    if isinstance(data, Path):
        data = read_file(data)
    parts = data if isinstance(data, Iterator) else iter([as_arrow(data)])
    first = next(parts, None)
    if first is not None and not isinstance(first, (pa.Table, pa.RecordBatch)):  # a generator of rows
        parts = iter([as_arrow(chain([first], parts))])
        first = next(parts)
    if first is None or not first.num_columns:
        raise StatementError(f"{name} cannot be made from data without columns")
    keys = [key] if isinstance(key, str) else list(key or ())
    columns = _columns(first.schema, keys, kind)
    given = {"KAFKA_TOPIC": name, "PARTITIONS": 1, **{str(k).upper(): v for k, v in (properties or {}).items()}}
    listed = ", ".join(f"{k} = {_literal(v)}" for k, v in given.items())
    once = "IF NOT EXISTS " if if_not_exists else ""
    (made,) = session.execute(f"CREATE {kind} {once}{quoted(name)} ({', '.join(columns)}) WITH ({listed});")
    assert isinstance(made, Message)
    if made.warning:
        return made
    count, total = 0, getattr(parts, "total", None)
    try:
        part: Any = first
        while part is not None:
            part = part.rename_columns([column_name(column) for column in part.column_names])
            session.insert(quoted(name), part, durable=None)
            count += part.num_rows
            tell(count, total)
            part = next(parts, None)
    except (PenstockError, pa.ArrowException, OSError) as error:
        session.execute(f"DROP {kind} {quoted(name)} DELETE TOPIC;")
        if isinstance(error, PenstockError):
            raise
        raise StatementError(f"the data of {name} cannot be read: {error}") from error
    details = {**made.details, "rows": count}
    return Message(
        made.kind, f"{made.text}, {count:,} {'row' if count == 1 else 'rows'} loaded", made.statement, details=details
    )


def _columns(schema: Any, keys: list[str], kind: str) -> list[str]:
    """The columns for CREATE, first those of the key."""
    names = [column_name(field.name) for field in schema]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        places = " and ".join(str(place) for place, name in enumerate(names, 1) if name == twice)
        raise StatementError(
            f"the data has several columns of the name {twice}: the columns {places}",
            suggestion="Rename them in the data: names must differ by more than upper and lower case.",
        )
    wanted = [column_name(key) for key in keys]
    for key in wanted:
        if key not in names:
            raise StatementError(f"the data has no column {key} for the key", suggestion=f"It has {', '.join(names)}.")
    if kind == "TABLE" and not wanted:
        raise StatementError("a table needs a key", suggestion=f"Name one of {', '.join(names)} as its key.")
    role = " PRIMARY KEY" if kind == "TABLE" else " KEY"
    types = {name: _type(field) for name, field in zip(names, schema, strict=True)}
    rest = [name for name in names if name not in wanted]
    return [*(f"{quoted(n)} {types[n]}{role}" for n in wanted), *(f"{quoted(n)} {types[n]}" for n in rest)]


def column_name(name: Any) -> str:
    """The SQL name of a file's or frame's column.  It becomes upper case if it can stand without quotes, otherwise it
    stays.
    """
    text = str(name)
    return text.upper() if _PLAIN.fullmatch(text) else text


def _type(field: Any) -> SqlType:
    if pa.types.is_null(field.type):
        return STRING
    try:
        return _folded(from_arrow(field.type))
    except StatementError as error:
        raise StatementError(
            f"the column {field.name} cannot be stored: {error.message}",
            suggestion="Leave it out, or convert it first: a duration to int64 of milliseconds, for example.",
        ) from None


def _folded(type_: SqlType) -> SqlType:
    """The type, with the names of fields changed as `column_name` changes the names of columns."""
    match type_:
        case Array(item):
            return Array(_folded(item))
        case Map(key, item):
            return Map(key, _folded(item))
        case Struct(fields):
            return Struct(tuple((column_name(name), _folded(field)) for name, field in fields))
    return type_


def _literal(value: object) -> str:
    if isinstance(value, (bool, int)):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def as_arrow(data: Any) -> Any:
    """Convert rows in any container to an Arrow table.  Types are inferred if the container has none.

    Raises:
        StatementError: the data has no columns, or a column has no type.
    """
    given = columns_in(data, {})
    arrays: list[Any] = []
    for name, values in given.columns:
        if (refused := unwritable(str(name))) is not None:
            raise StatementError(f"the name of a column holds {refused}")
        if isinstance(values, list):
            _check_depth(values, name)
            try:
                values = pa.array([None if type(v).__name__ == "Absent" else v for v in values], from_pandas=True)
            except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
                raise StatementError(f"no type holds all values of the column {name}: {error}") from None
        arrays.append(values)
    return pa.table(arrays, names=[str(name) for name, _ in given.columns])


def _check_depth(values: list[Any], name: Any) -> None:
    """Check how deep values are nested, before Arrow recurses into them.

    Raises:
        StatementError: they are too deep.
    """
    level: list[Any] = values
    for _ in range(_DEPTH_MAX):
        level = [
            item
            for value in level
            if isinstance(value, (list, tuple, dict))
            for item in (value.values() if isinstance(value, dict) else value)
            if isinstance(item, (list, tuple, dict))
        ]
        if not level:
            return
    raise StatementError(f"the column {name} is nested more than {_DEPTH_MAX} levels deep")


# --- files -----------------------------------------------------------------------------------


def read_file(path: Path) -> Iterator[Any]:
    """Read a file as Arrow tables.

    Its ending says the format: Parquet, CSV, TSV, JSON lines or Arrow.  ``.gz`` may follow the ending.

    Raises:
        StatementError: it cannot be read, or has another ending.
    """
    ending = next((e for e in reversed(path.suffixes) if e.lower() not in (".gz", ".zst", ".bz2")), "").lower()
    try:
        match ending:
            case ".parquet" | ".pq":
                import pyarrow.parquet

                file = pyarrow.parquet.ParquetFile(path)
                return _Parts(_batches(file.iter_batches(ROWS_PER_COMMIT), file.schema_arrow), file.metadata.num_rows)
            case ".csv" | ".tsv":
                return _pieces(inferred(path, delimiter_of(ending) or ","))
            case ".json" | ".jsonl" | ".ndjson":
                import pyarrow.json

                return _pieces(pyarrow.json.read_json(path, pyarrow.json.ReadOptions(block_size=64 * 1024 * 1024)))
            case ".arrow" | ".feather" | ".ipc":
                import pyarrow.feather

                return _pieces(pyarrow.feather.read_table(path))
    except FileNotFoundError as error:
        several = any(mark in path.name for mark in "*?[")
        hint = f"It was sought as {path.absolute()}."
        if several:
            hint = "A statement takes one file: load the others by penstock import."
        raise StatementError(f"there is no file {path}", suggestion=hint) from error
    except (OSError, pa.ArrowException) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise StatementError(f"{path} cannot be read: {reason}") from error
    raise StatementError(
        f"the name of {path} does not say what format it has",
        suggestion="Its name ends in .parquet, .csv, .tsv, .jsonl, .ndjson or .arrow.",
    )


class _Parts(Iterator[Any]):
    """The parts of a table, and the number of rows of all parts."""

    def __init__(self, parts: Iterator[Any], total: int) -> None:
        self._parts = parts
        self.total = total

    def __next__(self) -> Any:
        return next(self._parts)


def _pieces(table: Any) -> Iterator[Any]:
    starts = range(0, max(table.num_rows, 1), ROWS_PER_COMMIT)
    return _Parts((table.slice(start, ROWS_PER_COMMIT) for start in starts), table.num_rows)


def _batches(batches: Iterator[Any], schema: Any) -> Iterator[Any]:
    some = False
    for batch in batches:
        some = True
        yield pa.Table.from_batches([batch])
    if not some:
        yield schema.empty_table()
