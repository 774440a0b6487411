"""PRINT: the records of a topic as they are, with a guess at what their bytes mean."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

from ...errors import StatementError, UnsupportedError
from ...grammar import ast
from ...grammar.unparse import unparse
from ..results import Listing
from .context import Engine

_READ_ROWS = 10_000


def print_topic(engine: Engine, statement: ast.Print) -> Listing:
    """The records that a topic holds now, oldest first within each partition.

    Raises:
        StatementError: there is no such topic.
        UnsupportedError: PRINT without FROM BEGINNING, which would wait for records to come.
    """
    config = engine.topic(statement.topic)
    if config is None:
        import difflib

        near = difflib.get_close_matches(statement.topic, engine.log.topics(), 1, 0.5)
        raise StatementError(
            f"there is no topic {statement.topic}",
            span=statement.span,
            suggestion=f"Did you mean {near[0]}?" if near else "SHOW TOPICS; lists them.",
        )
    if not statement.from_beginning:
        raise UnsupportedError(
            "PRINT shows what a topic holds, so it needs FROM BEGINNING",
            span=statement.span,
            suggestion="For records to come, use SELECT .. EMIT CHANGES.",
        )
    wanted = statement.interval or 1
    rows: list[tuple[Any, ...]] = []
    seen = 0
    for partition in range(config.partitions):
        offset, end = engine.log.start_offset(statement.topic, partition), engine.log.end_offset(statement.topic, partition)
        while offset < end and (statement.limit is None or len(rows) < statement.limit):
            records = engine.log.read(statement.topic, partition, offset, rows_max=_READ_ROWS)
            keys = [None] * len(records) if records.keys is None else records.keys.to_pylist()
            values = records.values.to_pylist()
            for place, time_ms, key, value in zip(
                records.offsets.tolist(), records.timestamps.tolist(), keys, values, strict=True
            ):
                seen += 1
                if (seen - 1) % wanted == 0:
                    rows.append((time_ms, key, value, partition, place))
            offset = records.next_offset
    rows = rows[: statement.limit]
    key_format, value_format = guess([r[1] for r in rows]), guess([r[2] for r in rows])
    shown = tuple((t, readable(k, key_format), readable(v, value_format), p, o) for t, k, v, p, o in rows)
    columns = ("rowtime", f"key ({key_format})", f"value ({value_format})", "partition", "offset")
    return Listing("print topic", columns, shown, unparse(statement))


def guess(values: Sequence[Any]) -> str:
    """What the bytes probably are: JSON, KAFKA_STRING, KAFKA_INT, KAFKA_BIGINT, BYTES, or ARROW for typed values."""
    present = [v for v in values if v is not None]
    if not present:
        return "none"
    if not all(isinstance(v, bytes) for v in present):
        return "ARROW"
    texts = [_text(v) for v in present]
    if all(t is not None and t.isprintable() for t in texts):
        return "JSON" if all(_is_document(t or "") for t in texts) else "KAFKA_STRING"
    if all(len(v) == 4 for v in present):
        return "KAFKA_INT"
    if all(len(v) == 8 for v in present):
        return "KAFKA_BIGINT"
    return "KAFKA_STRING" if all(t is not None for t in texts) else "BYTES"


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _is_document(text: str) -> bool:
    try:
        return isinstance(json.loads(text), (dict, list))
    except ValueError:
        return False


def readable(value: Any, format_: str) -> Any:
    """A key or value as it is printed."""
    if not isinstance(value, bytes):
        return value
    match format_:
        case "KAFKA_INT":
            return struct.unpack(">i", value)[0]
        case "KAFKA_BIGINT":
            return struct.unpack(">q", value)[0]
        case "JSON" | "KAFKA_STRING":
            return value.decode()
    return "0x" + value.hex()
