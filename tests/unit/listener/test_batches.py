"""Record batches: what is encoded is decoded, in every compression, and nothing malformed is taken for a record."""

from __future__ import annotations

import gzip
import struct

import crc32c
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("kio")

from penstock.limits import KAFKA_BATCH_BYTES_MAX
from penstock.listener import batches
from penstock.listener.batches import InvalidBatch, decode_batch, encode_batch
from penstock.listener.protocol import ErrorCode
from penstock.storage.log.protocol import HEADERS, FetchedRecords

VALUES = st.none() | st.binary(max_size=40)
RECORDS = st.lists(
    st.tuples(
        VALUES,
        VALUES,
        st.integers(0, 2**45),
        st.none() | st.lists(st.fixed_dictionaries({"KEY": st.text(max_size=5), "VALUE": VALUES}), max_size=3),
    ),
    min_size=1,
    max_size=30,
)


def fetched(rows: list[tuple[object, ...]], first: int = 0) -> FetchedRecords:
    keys, values, times, headers = zip(*rows, strict=True)
    return FetchedRecords(
        pa.array(keys, pa.binary()),
        pa.array(values, pa.binary()),
        np.array(times, np.int64),
        pa.array(headers, HEADERS),
        offsets=np.arange(len(rows)) + first,
    )


def compressed(batch: bytes, codec: int, body: bytes) -> bytes:
    """The batch with another body, whose compression is said to be ``codec``."""
    head = bytearray(batch[:61])
    struct.pack_into(">h", head, 21, codec)
    struct.pack_into(">i", head, 8, 61 - 12 + len(body))
    struct.pack_into(">I", head, 17, crc32c.crc32c(bytes(head[21:]) + body))
    return bytes(head) + body


def xerial(body: bytes, block: int) -> bytes:
    """Snappy as Java's library frames it."""
    parts = [b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)]
    for at in range(0, len(body), block):
        piece = pa.compress(body[at : at + block], codec="snappy", asbytes=True)
        parts.append(struct.pack(">i", len(piece)) + piece)
    return b"".join(parts)


def streamed(body: bytes, codec: str) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, codec) as stream:
        stream.write(body)
    return sink.getvalue().to_pybytes()


@given(RECORDS, st.integers(0, 2**40), st.integers(0, 29))
def test_what_is_encoded_is_decoded(rows: list[tuple[object, ...]], base: int, cut: int) -> None:
    """Keys, values, timestamps and headers, with nulls and empty ones, also from a slice of longer columns."""
    cut = min(cut, len(rows) - 1)
    whole = fetched(rows, base)
    part = FetchedRecords(
        None if whole.keys is None else whole.keys.slice(cut),
        whole.values.slice(cut),
        whole.timestamps[cut:],
        None if whole.headers is None else whole.headers.slice(cut),
        offsets=whole.offsets[cut:],
    )
    data = encode_batch(part)
    assert struct.unpack_from(">q", data)[0] == base + cut
    batch = decode_batch(data, 0)
    read = batch.records
    assert (read.keys.to_pylist() if read.keys is not None else [None] * len(read)) == [r[0] for r in rows[cut:]]
    assert read.values.to_pylist() == [r[1] for r in rows[cut:]]
    assert read.timestamps.tolist() == [r[2] for r in rows[cut:]]
    heads = [[]] * len(read) if read.headers is None else [h or [] for h in read.headers.to_pylist()]
    assert heads == [r[3] or [] for r in rows[cut:]]


@pytest.mark.parametrize(
    ("codec", "compress"),
    [
        (1, gzip.compress),
        (2, lambda b: pa.compress(b, codec="snappy", asbytes=True)),
        (2, lambda b: xerial(b, 50)),
        (3, lambda b: streamed(b, "lz4")),
        (4, lambda b: streamed(b, "zstd")),
    ],
    ids=["gzip", "snappy", "snappy of Java", "lz4", "zstd"],
)
def test_every_compression_is_read(codec: int, compress: object) -> None:
    """As each of Kafka's clients writes it."""
    data = encode_batch(fetched([(b"k", b"v" * n, n, None) for n in range(100)]))
    batch = decode_batch(compressed(data, codec, compress(data[61:])), 0)  # type: ignore[operator]
    assert batch.records.values.to_pylist() == [b"v" * n for n in range(100)]


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_a_bomb_is_not_unpacked(codec: str) -> None:
    """What a few bytes become has a bound."""
    data = encode_batch(fetched([(None, b"v", 0, None)]))
    bomb = streamed(bytes(KAFKA_BATCH_BYTES_MAX + 10), codec)
    number = {"gzip": 1, "lz4": 3, "zstd": 4}[codec]
    with pytest.raises(InvalidBatch) as raised:
        decode_batch(compressed(data, number, bomb), 0)
    assert raised.value.code == ErrorCode.message_too_large


def test_a_bomb_of_snappy_is_not_unpacked() -> None:
    """Its length is in front, and may lie."""
    data = encode_batch(fetched([(None, b"v", 0, None)]))
    with pytest.raises(InvalidBatch) as raised:
        decode_batch(compressed(data, 2, b"\xff\xff\xff\xff\x0f" + b"\0" * 10), 0)
    assert raised.value.code == ErrorCode.message_too_large


def test_of_several_batches_none_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition has one in a request: thousands of small ones could become anything."""
    data = encode_batch(fetched([(None, b"v", 0, None)]))
    batch = compressed(data, 4, streamed(data[61:], "zstd"))
    monkeypatch.setattr(batches, "_decompressed", lambda *arguments: pytest.fail("unpacked"))
    with pytest.raises(InvalidBatch, match="further batch") as raised:
        decode_batch(batch * 2, 0)
    assert raised.value.code == ErrorCode.invalid_record


@pytest.mark.parametrize("codec", [0, 1, 3, 4, 2])
@pytest.mark.parametrize("rows", [1, 100])
def test_room_that_a_request_has_left(codec: int, rows: int) -> None:
    """What a batch takes fits, and one byte less does not."""
    data = encode_batch(fetched([(b"k", b"v" * 100, 0, None)] * rows))
    names = {1: "gzip", 3: "lz4", 4: "zstd"}
    body = data[61:] if codec == 0 else xerial(data[61:], 50) if codec == 2 else streamed(data[61:], names[codec])
    size = decode_batch(compressed(data, codec, body), 0).size
    assert size > len(data) - 61
    assert len(decode_batch(compressed(data, codec, body), 0, size)) == rows
    for room in (size - 1, len(body), 0, -5):
        with pytest.raises(InvalidBatch) as raised:
            decode_batch(compressed(data, codec, body), 0, room)
        assert raised.value.code == ErrorCode.message_too_large


@given(st.data())
def test_damage_is_found(data: st.DataObject) -> None:
    """A bit that is flipped anywhere, or an end that is cut: never other records."""
    batch = encode_batch(fetched([(b"key", b"value", 5, [{"KEY": "h", "VALUE": None}]), (None, None, 6, None)]))
    bit = data.draw(st.integers(8 * 8, len(batch) * 8 - 1))  # (the base offset is the broker's to write)
    if 12 * 8 <= bit < 16 * 8:
        return  # the leader epoch is outside of the checksum: brokers write it
    flipped = bytearray(batch)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(InvalidBatch):
        decode_batch(bytes(flipped), 0)
    with pytest.raises(InvalidBatch):
        decode_batch(batch[: data.draw(st.integers(1, len(batch) - 1))], 0)


@given(st.binary(max_size=300), st.integers(0, 40))
def test_bytes_that_are_no_records_are_refused(body: bytes, count: int) -> None:
    """With a right checksum, too: the kernel stays inside of what it is given."""
    head = bytearray(encode_batch(fetched([(None, b"v", 0, None)]))[:61])
    struct.pack_into(">i", head, 23, count - 1)
    struct.pack_into(">i", head, 57, count)
    try:
        batch = decode_batch(compressed(bytes(head), 0, body), 0)
    except InvalidBatch:
        return
    batch.records.values.validate(full=True)
    if batch.records.keys is not None:
        batch.records.keys.validate(full=True)


def test_older_formats_are_refused() -> None:
    """Formats 0 and 1, of clients before Kafka 0.11."""
    data = bytearray(encode_batch(fetched([(None, b"v", 0, None)])))
    data[16] = 1
    with pytest.raises(InvalidBatch) as raised:
        decode_batch(bytes(data), 0)
    assert raised.value.code == ErrorCode.unsupported_for_message_format
