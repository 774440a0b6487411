"""Tables as bytes: Arrow's IPC stream format (a schema, then record batches)."""

from __future__ import annotations

import pyarrow as pa


def to_arrow_stream(table: pa.Table) -> bytes:
    """A table as one Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def from_arrow_stream(data: bytes) -> pa.Table:
    """The table of the Arrow stream with which ``data`` begins.

    Raises:
        pyarrow.ArrowInvalid: there is none.
    """
    return pa.ipc.open_stream(data).read_all()
