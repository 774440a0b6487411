"""Checkpoints: a store as one immutable file, or as two: a base, and a delta of what has changed since.

A file is named by the store, the partition, and the changelog offset that it stands for (the changes from there on are
not in it): ``state/CTAS_SPEND_1/Aggregate-groups-0-00000000000000004096.checkpoint`` is a base, ``.. .delta`` a delta.
All integers are little-endian::

    bytes  0..7    "PSTKCHK2"
           8..15   the offset, uint64
          16..23   of a delta: the offset of the base that it belongs to; of a base: its own offset, uint64
          24..31   rows, uint64
          32..39   the length of the body, uint64
          40..43   crc32c of the body, uint32
          44..47   crc32c of bytes 0..43, uint32
          48..     the body: an Arrow IPC stream (lz4), whose schema's metadata names query, store and partition

Files of the version before are bases: "PSTKCHK1", offset, length, checksum of the body, of bytes 0..27, body.

A delta holds all that has changed since its base, so there is one at most that counts, the newest.  A file is written
beside its place, made durable, and renamed: a crash leaves the older checkpoint whole, and at most a ``*.tmp`` file that
nobody reads.  Files that a newer one replaces are removed once that one is durable; a crash in between leaves files with
lower offsets, which nobody reads and the next checkpoint removes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

import pyarrow as pa
from crc32c import crc32c

from ...errors import StorageError
from ..files import Files, discard
from ..layout import STATE, state_directory

_MAGIC: Final = b"PSTKCHK2"
_MAGIC_BEFORE: Final = b"PSTKCHK1"
_HEADER: Final = struct.Struct("<8sQQQQI")
_HEADER_BEFORE: Final = struct.Struct("<8sQQI")
_CHECKSUM: Final = struct.Struct("<I")
_SUFFIX: Final = ".checkpoint"
_DELTA: Final = ".delta"
SUFFIXES: Final = (_SUFFIX, _DELTA)
"""The suffixes of checkpoint files."""
_ROW_BYTES_ABOUT: Final = 8
"""The estimated bytes per row of files that do not state their rows."""
_ACTION: Final = (
    "restore the file from a backup and RESUME the query, or DROP what it fills and create it again, which reads its "
    "sources from the beginning"
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A store as of ``offset``: the rows of its base, and the changes since then if a delta was written.

    Attributes:
        base: the offset of the base.
    """

    offset: int
    base: int
    table: pa.Table
    delta: pa.Table | None = None


@dataclass(frozen=True, slots=True)
class _Header:
    offset: int
    base: int
    rows: int | None
    """None in files of the previous version."""
    length: int
    checksum: int
    start: int
    """The offset of the body in the file."""


def _owner(query_id: str, name: str, partition: int) -> dict[bytes, bytes]:
    return {b"query": query_id.encode(), b"store": name.encode(), b"partition": b"%d" % partition}


def encode(offset: int, base: int, table: pa.Table, owner: dict[bytes, bytes]) -> tuple[bytes, pa.Buffer]:
    """The header and the body of a checkpoint file."""
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **owner})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table)
    body = sink.getvalue()
    header = _HEADER.pack(_MAGIC, offset, base, table.num_rows, len(body), crc32c(memoryview(body)))
    return header + _CHECKSUM.pack(crc32c(header)), body


def _header(data: memoryview, path: str) -> _Header:
    layout = _HEADER_BEFORE if bytes(data[:8]) == _MAGIC_BEFORE else _HEADER
    start = layout.size + _CHECKSUM.size
    if len(data) < start:
        raise StorageError("the checkpoint is cut off", path=path, offset=len(data), action=_ACTION)
    header = bytes(data[: layout.size])
    (checksum,) = _CHECKSUM.unpack(data[layout.size : start])
    magic, offset, *middle, length, body_checksum = layout.unpack(header)
    if crc32c(header) != checksum or magic not in (_MAGIC, _MAGIC_BEFORE):
        raise StorageError("the checkpoint's header is damaged", path=path, offset=0, action=_ACTION)
    base, rows = middle if middle else (offset, None)
    return _Header(offset, base, rows, length, body_checksum, start)


def decode(data: memoryview, path: str) -> tuple[int, int, pa.Table]:
    """The offset, the base's offset and the table of a checkpoint file.

    Raises:
        StorageError: the file is damaged; nothing of it is used.
    """
    header = _header(data, path)
    body = data[header.start :]
    if len(body) > header.length:
        end = header.start + header.length
        raise StorageError("the checkpoint has bytes behind its end", path=path, offset=end, action=_ACTION)
    if len(body) < header.length:
        raise StorageError("the checkpoint is cut off", path=path, offset=len(data), action=_ACTION)
    if crc32c(body) != header.checksum:
        raise StorageError("the checkpoint's body is damaged", path=path, offset=header.start, action=_ACTION)
    with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
        return header.offset, header.base, reader.read_all()


class CheckpointFiles:
    """The checkpoints of a database, in its ``state`` directory.  Thread-safe for different stores."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def _found(self, query_id: str, name: str, partition: int, suffix: str) -> list[str]:
        """The names of a store's bases or deltas, oldest first."""
        prefix = _prefix(name, partition)
        return [
            n
            for n in self._files.list(state_directory(query_id))
            if n.endswith(suffix) and n[: -len(suffix)].rpartition("-")[0] + "-" == prefix
        ]

    def save(self, query_id: str, name: str, partition: int, offset: int, table: pa.Table, base: int | None = None) -> None:
        """Write a store's contents as of a changelog offset, durably; then remove the files that this replaces.

        Args:
            base: ``table`` is a delta to the base at this offset; None: it is a base.

        Raises:
            StorageError: the disk is full or failing; older checkpoints are as they were.
        """
        directory = state_directory(query_id)
        self._files.make_directory(directory)
        stem = f"{_prefix(name, partition)}{offset:020d}"
        path = f"{directory}/{stem}{_SUFFIX if base is None else _DELTA}"
        self._files.replace(
            path, *encode(offset, offset if base is None else base, table, _owner(query_id, name, partition))
        )
        older = [n for n in self._found(query_id, name, partition, _DELTA) if (n < f"{stem}.") or base is None]
        if base is None:
            older += [n for n in self._found(query_id, name, partition, _SUFFIX) if n < f"{stem}."]
        for file_name in older:
            discard(self._files, f"{directory}/{file_name}")

    def newest(self, query_id: str, name: str, partition: int) -> Checkpoint | None:
        """The newest checkpoint of a store; None without one.

        Raises:
            StorageError: it is damaged.  An older one does not help, since the changelog between the two may be gone.
        """
        bases = self._found(query_id, name, partition, _SUFFIX)
        deltas = self._found(query_id, name, partition, _DELTA)
        if not bases and not deltas:
            return None
        directory = state_directory(query_id)
        if not bases:
            path = f"{self._files.root}/{directory}/{deltas[-1]}"
            raise StorageError("the checkpoint that a delta belongs to is missing", path=path, action=_ACTION)
        owner = _owner(query_id, name, partition)
        offset, base, table = self._read(f"{directory}/{bases[-1]}", owner)
        if not deltas or deltas[-1][: -len(_DELTA)] <= bases[-1][: -len(_SUFFIX)]:
            return Checkpoint(offset, base, table)
        path = f"{directory}/{deltas[-1]}"
        offset, base, delta = self._read(path, owner)
        if not bases[-1].endswith(f"-{base:020d}{_SUFFIX}"):
            raise StorageError(
                f"the checkpoint of offset {base}, which a delta belongs to, is missing",
                path=f"{self._files.root}/{path}",
                action=_ACTION,
            )
        return Checkpoint(offset, base, table, delta)

    def check(self, path: str) -> None:
        """Read a checkpoint by its path.

        Raises:
            StorageError: it is damaged, belongs to another store, or is no checkpoint.
        """
        directory, _, file_name = path.rpartition("/")
        store, _, partition = file_name.rpartition("-")[0].rpartition("-")
        if not file_name.endswith(SUFFIXES) or not partition.isdigit():
            raise StorageError(
                "this is not a checkpoint", path=f"{self._files.root}/{path}", action="none: nobody reads it; delete it"
            )
        self._read(path, _owner(unquote(directory.rpartition("/")[2]), unquote(store), int(partition)))

    def _read(self, path: str, owner: dict[bytes, bytes]) -> tuple[int, int, pa.Table]:
        file = self._files.open(path)
        full = f"{self._files.root}/{path}"
        try:
            offset, base, table = decode(file.read(0, file.size()), full)
        finally:
            file.close()
        metadata = table.schema.metadata or {}
        named = {key: metadata[key] for key in owner if key in metadata} or owner
        if named != owner or path.rpartition("-")[2].partition(".")[0] != f"{offset:020d}":
            words = ", ".join(f"{key.decode()} {value.decode(errors='replace')}" for key, value in named.items())
            raise StorageError(
                f"this is the checkpoint of {words} at offset {offset}: a file was put in the place of another",
                path=full,
                offset=0,
                action=_ACTION,
            )
        left = {key: value for key, value in metadata.items() if key not in owner}
        return offset, base, table.replace_schema_metadata(left or None)

    def rows(self) -> int:
        """The rows of all checkpoints, to show the progress of recovery; estimated for files of the previous version."""
        total = 0
        for query in self._files.list(STATE):
            for name in self._files.list(f"{STATE}/{query}"):
                if name.endswith((_SUFFIX, _DELTA)):
                    total += self._rows_of(f"{STATE}/{query}/{name}")
        return total

    def _rows_of(self, path: str) -> int:
        file = self._files.open(path)
        try:
            header = _header(file.read(0, _HEADER.size + _CHECKSUM.size), f"{self._files.root}/{path}")
        finally:
            file.close()
        return header.length // _ROW_BYTES_ABOUT if header.rows is None else header.rows

    def queries(self) -> list[str]:
        """The queries that have, or had, checkpoints."""
        return [unquote(name) for name in self._files.list(STATE)]

    def delete(self, query_id: str) -> None:
        """Remove all checkpoints of a query."""
        self._files.remove_directory(state_directory(query_id))


def _prefix(name: str, partition: int) -> str:
    return f"{quote(name, safe='')}-{partition}-"
