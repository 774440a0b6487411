"""Reads Arrow streams in the bodies of requests.  Their size in memory is checked before they are decompressed."""

from __future__ import annotations

import pyarrow as pa

from ..engine.intake.unfolded import unfolded_bytes
from ..limits import INSERTED_BYTES_MAX
from ..storage.log.local.segments.unpacking import unpacked_bytes_of

__all__ = ["read_row", "read_tables"]


def read_tables(body: bytes, count: int, bytes_max: int = INSERTED_BYTES_MAX) -> list[pa.Table]:
    """Read a body of several Arrow streams in sequence.

    Args:
        count: the number of streams.
        bytes_max: the bytes that their buffers may take together when they are decompressed.

    Raises:
        ValueError, OSError, pyarrow.ArrowException: the body is not ``count`` streams, is damaged, or becomes too large.
    """
    source, unpacked = pa.BufferReader(body), 0
    for _ in range(count):
        for message in pa.ipc.MessageReader.open_stream(source):
            unpacked += unpacked_bytes_of(memoryview(message.metadata), memoryview(message.body or b""))
            if unpacked > bytes_max:
                raise ValueError(f"it becomes more than {bytes_max:,} bytes when it is decompressed")
    source.seek(0)
    tables = [pa.ipc.open_stream(source).read_all() for _ in range(count)]
    for table in tables:
        table.validate()
    return tables


def read_row(body: bytes) -> dict[str, object]:
    """Read an Arrow stream of one row: column name -> value.  Raises: see `read_tables`."""
    (table,) = read_tables(body, 1)
    size = sum(unfolded_bytes(column) for column in table.columns)
    if table.num_rows != 1 or size > INSERTED_BYTES_MAX:
        raise ValueError(f"it has {table.num_rows} rows of {int(size)} bytes, not one row")
    table.validate(full=True)
    (row,) = table.to_pylist(maps_as_pydicts="strict")
    return dict(row)
