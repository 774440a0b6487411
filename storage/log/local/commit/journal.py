"""The commit journal: the file that records which commits have happened.

A journal is named by its number (the highest counts): ``log/journal/00000000000000000007.journal``.  It starts with
16 bytes, then come records, each at a multiple of 8; zeros follow up to the end of the file, which grows in steps so
that a commit need not change the file's size::

     0  8s   "PENJRNL1"
     8  u64  number

     0  u32  magic        0x4a4e4550
     4  u32  crc          crc32c of bytes 8..32 and the payload
     8  u32  length       bytes in the payload
    12  u32  previous     the crc of the record before (0 for the first): a chain, so that what a failed write left behind a
                          good record is not taken for the next record
    16  u64  durable_to   the length of this file that was known to be durable when the record was written
    24  u64  write        the number of this write, failed ones included: an entry that is written again has another crc
    32       payload      msgpack: a `Manifest` in the first record, entries in the others; see `manifest`

Behind the last record is a trailer.  The next record overwrites it::

     0  u32  magic        0x4d4e4550
     4  u32  crc          crc32c of bytes 8..32
     8  u32  closed       1 if the log was closed in order: no segment has bytes that the journal does not know
    12  u32  previous     the crc of the last record
    16  u64  durable_to   the trailer's own place: all bytes before it are durable
    24  u64  write        as in a record

The trailer is written after each sync, and synced when the log is closed (docs/decisions/journal-trailer.md).

After a crash the disk may have any part of what was written since the last sync.  So a record with a wrong crc is a torn
tail, which is cut off.  But if a whole record or the trailer behind it says that this place was durable, the wrong record
is damage, which is reported.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec
import numpy as np
from crc32c import crc32c

from .....errors import StorageError
from ....file_protocol import checked_size
from ....files import File, Files
from ....layout import JOURNALS, journal_path
from ..manifest import Committed, Entry, GroupDeleted, Manifest, ProducerOpened, SegmentsReplaced, TopicDefined, TopicDeleted

__all__ = ["CommitJournal", "JournalRecord", "newest_journal", "read_records", "stray_entries"]

_FILE = struct.Struct("<8sQ")
_FILE_MAGIC = b"PENJRNL1"
_RECORD = struct.Struct("<IIIIQQ")
_MAGIC = 0x4A4E4550
_MAGIC_BYTES = struct.pack("<I", _MAGIC)
_TRAILER_MAGIC = 0x4D4E4550
_TRAILER_MAGIC_BYTES = struct.pack("<I", _TRAILER_MAGIC)
_GROW_MIN = 256 * 1024
"""The smallest size of a journal file."""
_GROW_MAX = 4 * 1024 * 1024

_encoder = msgspec.msgpack.Encoder()
_manifest_decoder = msgspec.msgpack.Decoder(Manifest)
_entry_decoder: msgspec.msgpack.Decoder[Entry] = msgspec.msgpack.Decoder(
    Committed | TopicDefined | TopicDeleted | GroupDeleted | ProducerOpened | SegmentsReplaced
)

_ACTION = "restore the database from a backup; nothing after this place can be trusted"


def newest_journal(files: Files) -> int | None:
    """The number of the newest journal, which is the one that counts; None in a new database.

    Raises:
        StorageError: the name of a journal is not a number.
    """
    numbers = []
    for name in files.list(JOURNALS):
        number = name.removesuffix(".journal")
        if number == name:
            continue
        if not number.isdigit() or journal_path(int(number)) != f"{JOURNALS}/{name}":
            raise StorageError(
                "this is not the name of a commit journal",
                path=f"{files.root}/{JOURNALS}/{name}",
                action="give the file its old name, or move it elsewhere if it does not belong here",
            )
        numbers.append(int(number))
    return max(numbers, default=None)


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """A record and its place in the file; ``length`` is that of its payload, in bytes."""

    position: int
    length: int
    durable_to: int
    value: Manifest | Entry


def read_records(data: memoryview) -> list[JournalRecord]:
    """Read a journal's records up to the first one that is not whole.  Only `CommitJournal.load` reports damage."""
    records: list[JournalRecord] = []
    position, previous = _FILE.size, 0
    while (found := _record_at(data, position)) is not None and found[1] == previous:
        previous, payload = found[0], found[4]
        try:
            value = (_entry_decoder if records else _manifest_decoder).decode(payload)
        except msgspec.DecodeError:
            break
        records.append(JournalRecord(position, len(payload), found[2], value))
        position += _padded(_RECORD.size + len(payload))
    return records


def stray_entries(data: memoryview) -> list[tuple[int, Entry]]:
    """Find all whole entries in a journal's bytes, also outside of the chain of records, as pairs of place and entry."""
    found: list[tuple[int, Entry]] = []
    raw = bytes(data)
    place = raw.find(_MAGIC_BYTES, _FILE.size)
    while place >= 0:
        record = _record_at(data, place) if place % 8 == 0 else None
        if record is not None:
            with suppress(msgspec.DecodeError):
                found.append((place, _entry_decoder.decode(record[4])))
        place = raw.find(_MAGIC_BYTES, place + 1)
    return found


class CommitJournal:
    """One journal file, open for appending.  The caller holds the log's write lock."""

    def __init__(self, file: File, number: int) -> None:
        self.number = number
        self.end = _FILE.size
        """The place of the next record."""
        self.closed = False
        """Whether the log was closed in order after the last record."""
        self._file = file
        self._capacity = 0
        self._previous = 0
        self._durable_to = 0
        self._writes = 0
        self._before = (0, _FILE.size)
        """The crc of the record before the last write, and the place where that write began; see `withdraw`."""

    @classmethod
    def create(cls, files: Files, number: int, manifest: Manifest) -> CommitJournal:
        """Create a journal that starts with ``manifest``.  On return it is durable, and it is the one that counts.

        Raises:
            StorageError: there is no new journal; the old one still counts.
        """
        path = journal_path(number)
        temporary = path + ".tmp"
        file = files.open(temporary, create=True)
        try:
            file.truncate(0)
            journal = cls(file, number)
            file.write(0, _FILE.pack(_FILE_MAGIC, number))
            journal._write([_encoder.encode(manifest)])
            file.sync()
        finally:
            file.close()
        files.rename(temporary, path)
        files.sync_directory(JOURNALS)
        journal._file = files.open(path)
        journal._durable_to = journal.end
        return journal

    @classmethod
    def load(cls, files: Files, number: int) -> tuple[CommitJournal, Manifest, list[Entry], int]:
        """Read a journal.

        Returns:
            the journal, the manifest that it starts with, the entries behind that, and the number of bytes cut off as a
            torn tail.

        Raises:
            StorageError: the journal is damaged.
        """
        file = files.open(journal_path(number))
        size = checked_size(file)
        data = file.read(0, size)
        if len(data) < _FILE.size or _FILE.unpack_from(data) != (_FILE_MAGIC, number):
            raise StorageError("the commit journal's start is damaged", path=file.path, offset=0, action=_ACTION)
        if size < _GROW_MIN:  # it was made with this many bytes, before it had its name
            raise StorageError("the commit journal is cut off", path=file.path, offset=size, action=_ACTION)
        journal = cls(file, number)
        journal._capacity = size
        payloads: list[memoryview] = []
        while True:
            found = _record_at(data, journal.end)
            if found is None or found[1] != journal._previous:
                break
            crc, _, durable_to, write, payload = found
            payloads.append(payload)
            journal._previous = crc
            journal._writes = write
            journal._durable_to = durable_to
            journal.end += _padded(_RECORD.size + len(payload))
        torn = journal._check_tail(data)
        if not payloads:
            raise StorageError(
                "the commit journal's first record is damaged", path=file.path, offset=journal.end, action=_ACTION
            )
        try:
            manifest = _manifest_decoder.decode(payloads[0])
            entries = [_entry_decoder.decode(p) for p in payloads[1:]]
        except msgspec.DecodeError as error:
            raise StorageError(
                f"the commit journal cannot be understood ({error})",
                path=file.path,
                action="open it with the Penstock that wrote it",
            ) from error
        return journal, manifest, entries, torn

    def _check_tail(self, data: memoryview) -> int:
        """The number of bytes from the end of the last whole record to the last byte that is not zero.

        Raises:
            StorageError: a later record says that these bytes were durable, so they are damaged.
        """
        trailer = _trailer_at(data, self.end)
        if trailer is not None and trailer[1] == self._previous and trailer[2] == self.end:
            self.closed = bool(trailer[0])
            self._writes = max(self._writes, trailer[3])
            return _used(data[self.end + _RECORD.size :])
        tail = bytes(data[self.end : self.end + _used(data[self.end :])])
        for magic, read in ((_MAGIC_BYTES, _record_at), (_TRAILER_MAGIC_BYTES, _trailer_at)):
            place = tail.find(magic)
            while place >= 0:
                # every record and the trailer stand at multiples of 8
                found = read(data, self.end + place) if (self.end + place) % 8 == 0 else None
                if found is not None and found[2] > self.end and (magic is _MAGIC_BYTES or found[2] == self.end + place):
                    raise StorageError(
                        "a record of the commit journal is damaged, and what was written later says it was durable",
                        path=self._file.path,
                        offset=self.end,
                        action=_ACTION,
                    )
                place = tail.find(magic, place + 1)
        return len(tail)

    def append(self, entries: Sequence[Entry]) -> None:
        """Write entries without a sync.  After an error none of them is read again.

        Raises:
            StorageError: the disk is full or failing.
        """
        self._write([_encoder.encode(e) for e in entries])

    def _write(self, payloads: Sequence[bytes]) -> None:
        self._writes += 1
        previous, end = self._previous, self.end
        chunks: list[bytes] = []
        for payload in payloads:
            rest = struct.pack("<IIQQ", len(payload), previous, self._durable_to, self._writes)
            previous = crc32c(payload, crc32c(rest))
            chunks += (_MAGIC_BYTES, struct.pack("<I", previous), rest, payload)
            length = _RECORD.size + len(payload)
            chunks.append(bytes(_padded(length) - length))
            end += _padded(length)
        self._reserve(end + _RECORD.size)
        self._before = self._previous, self.end
        try:
            self._file.write(self.end, b"".join(chunks))
        except BaseException:
            if self._durable_to:  # the first of several records may lie there whole: it shall not be read
                with suppress(StorageError):
                    self._write_trailer(closed=False)
            raise
        self._previous, self.end = previous, end

    def withdraw(self) -> None:
        """Take back the last write, which is not synced: the next record overwrites it.

        Raises:
            StorageError: recovery may still read what was written.
        """
        self._previous, self.end = self._before
        self._write_trailer(closed=False)

    def _reserve(self, end: int) -> None:
        """Extend the file with zeros to ``end`` or beyond, since a sync is cheaper if the file's size has not changed."""
        if end > self._capacity:
            capacity = max(end, self._capacity + min(max(self._capacity, _GROW_MIN), _GROW_MAX))
            start = max(self._capacity, self.end)
            self._file.write(start, bytes(capacity - start))
            self._capacity = capacity

    def sync(self) -> None:
        """Make all that was written durable.

        Raises:
            StorageError: it is unknown whether it is durable.
        """
        self._file.sync()
        self._durable_to = self.end
        with suppress(StorageError):  # it happened, with or without the trailer; the next commit meets the disk again
            self._write_trailer(closed=False)

    def seal(self, *, closed: bool) -> None:
        """Write and sync a trailer that says that the log is closed and all its bytes are durable.

        Args:
            closed: no segment has bytes that the journal does not know.

        Raises:
            StorageError: it is unknown whether the disk has the trailer.
        """
        self._write_trailer(closed=closed)
        self._file.sync()

    def reopen(self) -> None:
        """Write and sync a trailer that says that a closed log is open for writing again.

        Raises:
            StorageError: the disk is full or failing.
        """
        if self.closed:
            self._write_trailer(closed=False)
            self._file.sync()

    def _write_trailer(self, *, closed: bool) -> None:
        rest = struct.pack("<IIQQ", closed, self._previous, self.end, self._writes)
        self._reserve(self.end + _RECORD.size)
        self._file.write(self.end, _TRAILER_MAGIC_BYTES + struct.pack("<I", crc32c(rest)) + rest)
        self.closed = closed

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _used(data: memoryview) -> int:
    """The length up to the last byte that is not zero.

    A journal is mostly zeros: ``bytes.rstrip`` takes a millisecond for one, NumPy half of that on bytes, and next to nothing
    on booleans.
    """
    places = np.flatnonzero(np.frombuffer(data, np.uint8) != 0)
    return int(places[-1]) + 1 if len(places) else 0


def _padded(length: int) -> int:
    return -(-length // 8) * 8


def _record_at(data: memoryview, position: int) -> tuple[int, int, int, int, memoryview] | None:
    """Return (crc, previous, durable_to, write, payload) of the whole record at ``position``; None if there is none."""
    if position + _RECORD.size > len(data):
        return None
    magic, crc, length, previous, durable_to, write = _RECORD.unpack_from(data, position)
    if magic != _MAGIC or position + _RECORD.size + length > len(data):
        return None
    if crc32c(data[position + 8 : position + _RECORD.size + length]) != crc:
        return None
    return crc, previous, durable_to, write, data[position + _RECORD.size : position + _RECORD.size + length]


def _trailer_at(data: memoryview, position: int) -> tuple[int, int, int, int] | None:
    """Return (closed, previous, durable_to, write) of the whole trailer at ``position``; None if there is none."""
    if position + _RECORD.size > len(data):
        return None
    magic, crc, closed, previous, durable_to, write = _RECORD.unpack_from(data, position)
    if magic != _TRAILER_MAGIC or crc32c(data[position + 8 : position + _RECORD.size]) != crc:
        return None
    return closed, previous, durable_to, write
