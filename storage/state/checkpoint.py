"""Checkpoints: a whole store as one immutable file.

A file is named by the store, the partition, and the changelog offset that it stands for (the changes from there on are
not in it): ``state/CTAS_SPEND_1/Aggregate-groups-0-00000000000000004096.checkpoint``.  All integers are little-endian::

    bytes  0..7    "PSTKCHK1"
           8..15   the offset, uint64
          16..23   the length of the body, uint64
          24..27   crc32c of the body, uint32
          28..31   crc32c of bytes 0..27, uint32
          32..     the body: an Arrow IPC stream (lz4), whose schema's metadata names query, store and partition

A file is written beside its place, made durable, and renamed: a crash leaves the older checkpoint whole, and at most a
``*.tmp`` file that nobody reads.  Older checkpoints are removed once a newer one is durable.
"""

from __future__ import annotations

import struct
from typing import Final
from urllib.parse import quote, unquote

import pyarrow as pa
from crc32c import crc32c

from ...errors import StorageError
from ..files import Files
from ..layout import STATE, state_directory

_MAGIC: Final = b"PSTKCHK1"
_HEADER: Final = struct.Struct("<8sQQI")
_CHECKSUM: Final = struct.Struct("<I")
_BODY: Final = _HEADER.size + _CHECKSUM.size
_SUFFIX: Final = ".checkpoint"
_ACTION: Final = "restore the file from a backup, or delete it and create the query again, which reads its sources anew"


def _owner(query_id: str, name: str, partition: int) -> dict[bytes, bytes]:
    return {b"query": query_id.encode(), b"store": name.encode(), b"partition": b"%d" % partition}


def encode(offset: int, table: pa.Table, owner: dict[bytes, bytes]) -> tuple[bytes, pa.Buffer]:
    """The header and the body of a checkpoint's file."""
    table = table.replace_schema_metadata(owner)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table)
    body = sink.getvalue()
    header = _HEADER.pack(_MAGIC, offset, len(body), crc32c(memoryview(body)))
    return header + _CHECKSUM.pack(crc32c(header)), body


def decode(data: memoryview, path: str) -> tuple[int, pa.Table]:
    """The offset and the table of a checkpoint's file.

    Raises:
        StorageError: the file is damaged; nothing of it is used.
    """
    if len(data) < _BODY:
        raise StorageError("the checkpoint is cut off", path=path, offset=len(data), action=_ACTION)
    header = bytes(data[: _HEADER.size])
    (checksum,) = _CHECKSUM.unpack(data[_HEADER.size : _BODY])
    magic, offset, length, body_checksum = _HEADER.unpack(header)
    if crc32c(header) != checksum or magic != _MAGIC:
        raise StorageError("the checkpoint's header is damaged", path=path, offset=0, action=_ACTION)
    body = data[_BODY:]
    if len(body) > length:
        raise StorageError("the checkpoint has bytes behind its end", path=path, offset=_BODY + length, action=_ACTION)
    if len(body) < length:
        raise StorageError("the checkpoint is cut off", path=path, offset=len(data), action=_ACTION)
    if crc32c(body) != body_checksum:
        raise StorageError("the checkpoint's body is damaged", path=path, offset=_BODY, action=_ACTION)
    with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
        return offset, reader.read_all()


class CheckpointFiles:
    """The checkpoints of a database, in its ``state`` directory.  Thread-safe for different stores."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def _found(self, query_id: str, name: str, partition: int) -> list[str]:
        """The names of a store's checkpoints, oldest first."""
        prefix = _prefix(name, partition)
        return [
            n
            for n in self._files.list(state_directory(query_id))
            if n.endswith(_SUFFIX) and n[: -len(_SUFFIX)].rpartition("-")[0] + "-" == prefix
        ]

    def save(self, query_id: str, name: str, partition: int, offset: int, table: pa.Table) -> None:
        """Write a store's contents as of changelog offset ``offset`` durably, then remove older checkpoints of it.

        Raises:
            StorageError: the disk is full or failing; older checkpoints are as they were.
        """
        directory = state_directory(query_id)
        self._files.make_directory(directory)
        file_name = f"{_prefix(name, partition)}{offset:020d}{_SUFFIX}"
        self._files.replace(f"{directory}/{file_name}", *encode(offset, table, _owner(query_id, name, partition)))
        for older in self._found(query_id, name, partition):
            if older < file_name:
                self._files.remove(f"{directory}/{older}")

    def newest(self, query_id: str, name: str, partition: int) -> tuple[int, pa.Table] | None:
        """The newest checkpoint of a store, None if there is none.

        Raises:
            StorageError: it is damaged.  An older one is no way out: the changelog between them may be gone.
        """
        found = self._found(query_id, name, partition)
        if not found:
            return None
        return self._read(f"{state_directory(query_id)}/{found[-1]}", _owner(query_id, name, partition))

    def check(self, path: str) -> None:
        """Read a checkpoint by its path.

        Raises:
            StorageError: it is damaged, or another's, or no checkpoint.
        """
        directory, _, file_name = path.rpartition("/")
        store, _, partition = file_name.rpartition("-")[0].rpartition("-")
        if not file_name.endswith(_SUFFIX) or not partition.isdigit():
            raise StorageError(
                "this is no checkpoint", path=f"{self._files.root}/{path}", action="none: nobody reads it; delete it"
            )
        self._read(path, _owner(unquote(directory.rpartition("/")[2]), unquote(store), int(partition)))

    def _read(self, path: str, expected: dict[bytes, bytes]) -> tuple[int, pa.Table]:
        file = self._files.open(path)
        full = f"{self._files.root}/{path}"
        try:
            offset, table = decode(file.read(0, file.size()), full)
        finally:
            file.close()
        owner = table.schema.metadata or expected
        if owner != expected or path.rpartition("-")[2] != f"{offset:020d}{_SUFFIX}":
            words = ", ".join(f"{key.decode()} {value.decode(errors='replace')}" for key, value in owner.items())
            raise StorageError(
                f"this is the checkpoint of {words} at offset {offset}: a file was put in the place of another",
                path=full,
                offset=0,
                action=_ACTION,
            )
        return offset, table.replace_schema_metadata(None)

    def queries(self) -> list[str]:
        """The queries that have checkpoints, or had some."""
        return [unquote(name) for name in self._files.list(STATE)]

    def delete(self, query_id: str) -> None:
        """Remove all checkpoints of a query."""
        self._files.remove_directory(state_directory(query_id))


def _prefix(name: str, partition: int) -> str:
    return f"{quote(name, safe='')}-{partition}-"
