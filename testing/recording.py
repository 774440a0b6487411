"""Writes the records of a topic to a file that people can read and edit, and replays them as input for tests.

The file has one JSON object per record, each on a line: ``partition``, ``timestamp`` (ms since 1970), ``key``, ``value`` and
``headers``.  Bytes are a JSON string if they are UTF-8, else ``{"base64": ".."}``.  The values of a typed topic are JSON
objects, in which times are ISO 8601 strings and DECIMALs strings.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..engine.database import Database
from ..engine.types import BYTES, Array, Map, SqlType, Struct, from_arrow
from ..errors import StatementError

__all__ = ["record_topic", "replay_topic"]


def record_topic(database: Database, topic: str, path: str | Path) -> int:
    """Write all records of a topic to a file, see the module's text for its format.

    Returns:
        the number of records.

    Raises:
        StatementError: there is no such topic.
    """
    count = 0
    with open(path, "w", encoding="utf-8") as file:
        for record in database.consume(topic):
            line = {
                "partition": record.partition,
                "timestamp": record.timestamp,
                "key": _written(record.key),
                "value": _written(record.value),
                "headers": [[name, _written(value)] for name, value in record.headers],
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            count += 1
    return count


def replay_topic(database: Database, path: str | Path, topic: str, *, times: bool = True) -> int:
    """Append the records of a file to a topic.  A missing topic is created.

    A record goes to the partition that the file says, or, if the topic lacks that one, to the partition of its key.

    Args:
        times: keep the timestamps of the file; if false, records get the current time.

    Returns:
        the number of records.

    Raises:
        StatementError: a line is not a record as `record_topic` writes it, or its value does not fit the topic's type.
    """
    lines = []
    for number, text in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        if text.strip():
            try:
                line = json.loads(text)
                lines.append((number, int(line["partition"]), line))
            except (KeyError, TypeError, ValueError, RecursionError) as error:
                raise StatementError(f"line {number} of {path} is not a record: {error!r}") from error
    config = database._engine.topic(topic)
    if config is None:
        database.create_topic(topic, partitions=max((partition for _, partition, _ in lines), default=0) + 1)
        config = database._engine.topic(topic)
        assert config is not None
    type_ = None if config.value_type is None else from_arrow(config.value_type)
    for number, _, line in lines:
        try:
            value = _read(line["value"]) if type_ is None else _typed(line["value"], type_)
            database.produce(
                topic,
                key=_read(line["key"]),
                value=value,
                timestamp=line["timestamp"] if times else None,
                headers=[(name, _read(content)) for name, content in line.get("headers", ())],
                partition=line["partition"] if line["partition"] < config.partitions else None,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StatementError(f"line {number} of {path} is not a record: {error!r}") from error
    return len(lines)


def _written(value: Any) -> Any:
    match value:
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return {"base64": base64.b64encode(value).decode()}
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case decimal.Decimal():
            return format(value, "f")
        case Mapping():
            return {str(name): _written(item) for name, item in value.items()}
        case list() | tuple():
            return [_written(item) for item in value]
    return value


def _read(value: Any) -> bytes | None:
    if value is None:
        return None
    return base64.b64decode(value["base64"]) if isinstance(value, Mapping) else str(value).encode()


def _typed(value: Any, type_: SqlType) -> Any:
    """Convert a value of the file to the Python object of its SQL type, as `insert` does for types that JSON lacks."""
    from ..engine.intake.values import stored

    if value is None:
        return None
    match type_:
        case Struct(fields):
            return {name: _typed(value.get(name), field) for name, field in fields}
        case Array(item):
            return [_typed(part, item) for part in value]
        case Map(key, item):
            return {stored(name, key): _typed(part, item) for name, part in value.items()}
    return _read(value) if type_ == BYTES else stored(value, type_)
