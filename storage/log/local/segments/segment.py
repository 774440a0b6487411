"""Segments: files of frames.

A segment is named by the offset of its first record and by its generation (0 as appended, one more with each rewrite):
``00000000000000004096-0.segment``.  It starts with a header, little-endian, then come frames, see `record`::

     0  8s   "PENSEGM1"
     8  u32  crc            crc32c of bytes 12..header_length
    12  u32  header_length  a multiple of 64
    16  i64  base_offset
    24  u32  schema_length
    28  u32  zero
    32       an Arrow IPC schema message: one field ``value``, binary or the struct of the topic's values when the segment
             was started; its metadata names topic, partition and generation, so that a file in another's place is not
             taken for it.  Zeros follow up to header_length.

The commit journal says how long a segment is, never the file.  A crash leaves a file that is longer (appends that were
not committed: cut on open) or shorter or older than that (appends whose bytes the journal carries: written again on open).
Anything else is damage and is reported with the file and the byte.
"""

from __future__ import annotations

import struct
import threading
from contextlib import suppress
from typing import Any

import pyarrow as pa
from crc32c import crc32c

from .....errors import StorageError
from .....limits import FRAME_UNPACKED_BYTES_MAX
from ....files import File, Files, discard
from ....layout import index_path
from .index import FrameIndex
from .record import HEADER_BYTES, KNOWN_FLAGS, Flags, FrameHeader, frame_schema, parse_header
from .sums import message_of
from .unpacking import unpacked_bytes

__all__ = ["Segment", "segment_header"]

_MAGIC = b"PENSEGM1"
_FIXED = struct.Struct("<8sIIqII")
_PAGE = 4096
RESTORE = "restore the file from a backup, or delete the topic; the records before the damage can still be read"


def segment_header(topic: str, partition: int, base_offset: int, generation: int, value_type: Any | None) -> bytes:
    """The bytes a segment starts with."""
    field = pa.field("value", pa.binary() if value_type is None else value_type)
    schema = pa.schema([field], metadata=_owner(topic, partition, generation)).serialize().to_pybytes()
    length = -(-(_FIXED.size + len(schema)) // 64) * 64
    packed = bytearray(_FIXED.pack(_MAGIC, 0, length, base_offset, len(schema), 0) + schema)
    packed.extend(bytes(length - len(packed)))
    struct.pack_into("<I", packed, 8, crc32c(memoryview(packed)[12:]))
    return bytes(packed)


def _owner(topic: str, partition: int, generation: int) -> dict[bytes | str, bytes | str]:
    return {b"topic": topic.encode(), b"partition": b"%d" % partition, b"generation": b"%d" % generation}


_COPIED_BYTES_MAX = 64 * 1024
"""Smaller bodies are copied out of the memory map, which costs less than their checksum.  Otherwise a few kept rows would
keep the map and its file descriptor, and a step may take records of thousands of partitions."""


class Segment:
    """One segment.  Thread-safe for readers; one writer appends beyond ``committed`` and then moves it."""

    def __init__(
        self, files: Files, path: str, topic: str, partition: int, base_offset: int, generation: int, committed: int
    ) -> None:
        self.path = path
        self.topic = topic
        self.partition = partition
        self.base_offset = base_offset
        self.generation = generation
        self.committed = committed
        """Bytes that readers may see."""
        self._files = files
        self._file: File | None = None
        self._value_type: Any = None
        self._header_read = False
        self._index: FrameIndex | None = None
        self._index_stored = 0
        """How many frames the index file covers."""
        self._guard = threading.RLock()

    @property
    def file(self) -> File:
        """The file.  It is opened when first needed."""
        with self._guard:
            if self._file is None:
                self._file = self._files.open(self.path)
            return self._file

    def create(self, value_type: Any | None) -> File:
        """Open the file of a new segment.  Its header is written together with the first frames."""
        with self._guard:
            self._file = self._files.open(self.path, create=True)
            self._value_type = value_type
            return self._file

    def close(self) -> None:
        """Give up the handle; memory that readers hold stays valid."""
        with self._guard:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _damage(self, what: str, position: int) -> StorageError:
        return StorageError(what, path=self.file.path, offset=position, action=RESTORE)

    def _read_header(self) -> int:
        """Take the value type from the header; returns the header's length."""
        data = self.file.read(0, _PAGE)
        if len(data) < _FIXED.size:
            raise self._damage("the header of a segment is missing", 0)
        magic, crc, length, base_offset, schema_length, _ = _FIXED.unpack_from(data)
        if magic != _MAGIC:
            raise self._damage("this is not a segment", 0)
        if length > len(data):
            data = self.file.read(0, min(length, self.committed))
        if length > len(data) or length < _FIXED.size or crc32c(data[12:length]) != crc:
            raise self._damage("the header of a segment is damaged", 8)
        if base_offset != self.base_offset:
            raise self._damage(f"the segment starts at offset {base_offset}, its name says {self.base_offset}", 16)
        try:
            schema = pa.ipc.read_schema(pa.py_buffer(data[_FIXED.size : _FIXED.size + schema_length]))
        except (pa.ArrowException, OSError) as error:
            raise self._damage(f"the header of a segment cannot be decoded ({str(error).splitlines()[0]})", 32) from error
        owner = _owner(self.topic, self.partition, self.generation)
        named = {key: value for key, value in (schema.metadata or {}).items() if key in owner}
        if any(owner[key] != value for key, value in named.items()):
            words = ", ".join(f"{key.decode()} {value.decode(errors='replace')}" for key, value in named.items())
            raise self._damage(f"this is the segment of {words}: a file was put in the place of another", _FIXED.size)
        kind = schema.field(0).type
        self._value_type = None if kind == pa.binary() else kind
        self._header_read = True
        return int(length)

    @property
    def value_type(self) -> Any | None:
        """The type of the values inside: None for bytes."""
        with self._guard:
            if not self._header_read and self.committed:
                self._read_header()
            return self._value_type

    def index(self) -> FrameIndex:
        """The index of all visible frames: from the index file, and behind that from the frames themselves.

        Raises:
            StorageError: a header is damaged.
        """
        with self._guard:
            if self._index is None:
                position = self._read_header()
                self._index = self._load_index(position) or FrameIndex(position)
            index = self._index
            committed = self.committed
            if index.end_position < committed:
                self._extend(index, committed)
            return index

    def _load_index(self, position: int) -> FrameIndex | None:
        path = index_path(self.path)
        if not self._files.exists(path):
            return None
        try:
            stored = self._files.read_bytes(path)
        except StorageError:
            return None  # the frames say all that it could
        index = FrameIndex.decode(stored, self.base_offset, self.generation, position, self.data())
        self._index_stored = 0 if index is None else len(index)
        return index

    def rebuild_index(self) -> None:
        """Build the index from the frames, since the file was wrong about one.

        Raises:
            StorageError: a header is damaged.
        """
        with self._guard:
            self._index = FrameIndex(self._read_header())
            self._index_stored = 0
            self.index()

    def store_index(self, frames_min: int) -> None:
        """Write the index file, if there are enough frames and the file lacks some.  If that fails, there is no file."""
        with self._guard:
            index = self._index
            if index is None or len(index) < max(1, frames_min) or self._index_stored == len(index):
                return
            self._index_stored = len(index)
            with suppress(StorageError):
                stored = index.encode(self.base_offset, self.generation, self.data())
                if stored is None:
                    return
                file = self._files.open(index_path(self.path), create=True)
                try:
                    file.truncate(0)
                    file.write(0, stored)
                finally:
                    file.close()

    def remove(self) -> None:
        """Remove the file and its index.  If that fails, the next opening of the log removes them."""
        discard(self._files, self.path)
        discard(self._files, index_path(self.path))

    def _extend(self, index: FrameIndex, committed: int) -> None:
        file = self.file
        data = file.read(0, committed)
        if len(data) < committed:
            raise self._damage(f"the file ends, the journal says {committed} bytes", len(data))
        previous = index.base_offsets[-1] if len(index) else self.base_offset - 1
        while index.end_position < committed:
            position = index.end_position
            header = parse_header(data, position)
            if header is None or header.base_offset <= previous or position + HEADER_BYTES + header.body_length > committed:
                raise self._damage("the header of a frame is damaged", position)
            previous = header.base_offset
            index.add(header)

    def data(self) -> memoryview:
        """All visible bytes, mapped, not read."""
        return self.file.read(0, self.committed)

    def frame(self, position: int, data: memoryview, fields: frozenset[str] | None = None) -> tuple[FrameHeader, Any]:
        """The frame at ``position`` in `data`: its header and its body as an Arrow record batch, if large without a copy.

        Args:
            fields: those of the value that will be read; the checksums of others may be skipped.  None: all.

        Raises:
            StorageError: a checksum is wrong.
        """
        header = parse_header(data, position)
        if header is None:
            raise self._damage("the header of a frame is damaged", position)
        start = position + HEADER_BYTES
        body = data[start : start + header.body_length]
        message: memoryview | None = None
        if len(body) == header.body_length and header.flags & Flags.SUMS:
            message = self._summed(header, body, fields)
        elif len(body) == header.body_length and crc32c(body) == header.body_crc:
            message = body
        if message is None:
            raise self._damage("the checksum of a frame is wrong", position + HEADER_BYTES)
        if header.flags & ~KNOWN_FLAGS:
            raise StorageError(
                f"a frame has columns that this Penstock does not know (flags {header.flags:#x})",
                path=self.file.path,
                offset=position,
                action="open the database with the Penstock that wrote it, or a later one",
            )
        self._check_unpacked(message, position)
        kept = bytes(message) if header.body_length <= _COPIED_BYTES_MAX else message
        try:
            return header, pa.ipc.read_record_batch(pa.py_buffer(kept), frame_schema(self.value_type, *header.shape))
        except (pa.ArrowException, OSError) as error:  # its checksum is right: it was written like this
            raise StorageError(
                f"a frame cannot be decoded ({str(error).splitlines()[0]})",
                path=self.file.path,
                offset=position + HEADER_BYTES,
                action="open the database with the Penstock that wrote it, or a later one",
            ) from error

    def _summed(self, header: FrameHeader, body: memoryview, fields: frozenset[str] | None) -> memoryview | None:
        """The message of a body that has checksums per column; None if one that was checked is wrong."""
        kind = self.value_type
        count = len(frame_schema(kind, *header.shape))
        asked = None
        if kind is not None and fields is not None:
            first = count - kind.num_fields
            asked = {*range(first), *(first + i for i in range(kind.num_fields) if kind.field(i).name in fields)}
        return message_of(body, header.body_crc, count, asked)

    def _check_unpacked(self, body: memoryview, position: int) -> None:
        """Raises: StorageError, if the frame would take more memory than frames have."""
        try:
            size = unpacked_bytes(body)
        except ValueError as error:
            raise self._damage(f"a frame cannot be decoded ({error})", position + HEADER_BYTES) from None
        if size > FRAME_UNPACKED_BYTES_MAX:
            raise self._damage(
                f"a compressed frame says that it has {size:,} bytes, above {FRAME_UNPACKED_BYTES_MAX:,}",
                position + HEADER_BYTES,
            )

    @property
    def indexed(self) -> tuple[int, ...]:
        """The positions of the frames that were found so far."""
        with self._guard:
            return () if self._index is None else tuple(self._index.positions)

    def examine(self, position: int, data: memoryview) -> tuple[FrameHeader, StorageError | None]:
        """The header at an indexed place, and the fault of its body, if it has one.  The whole body is decoded."""
        header = parse_header(data, position)
        assert header is not None, "the index has whole headers only"
        try:
            _, batch = self.frame(position, data)
            batch.validate(full=True)
            if batch.num_rows != header.rows:
                raise pa.ArrowInvalid(f"{batch.num_rows} rows, the header says {header.rows}")
        except StorageError as error:
            return header, error
        except pa.ArrowException as error:
            return header, self._damage(f"a frame cannot be decoded ({error})", position + HEADER_BYTES)
        return header, None
