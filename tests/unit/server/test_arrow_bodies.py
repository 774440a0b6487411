"""Arrow streams that come over HTTP: few bytes do not become many, however they are folded."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.limits import INSERTED_BYTES_MAX
from penstock.server.arrow_bodies import read_row, read_tables

from .conftest import Api

ROWS = 100_000


def stream(*batches: pa.RecordBatch, compression: str | None = None) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, batches[0].schema, options=options) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def zeros(count: int = ROWS) -> pa.RecordBatch:
    return pa.record_batch({"v": pa.array(np.zeros(count, np.int64))})


def dictionary() -> pa.RecordBatch:
    """The values of the dictionary are what can be compressed."""
    texts = pa.array([f"{n:0200}" for n in range(5000)])
    return pa.record_batch({"t": pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int16()), texts)})


@pytest.mark.parametrize(("batch", "bound"), [(zeros(), 4_500_000), (dictionary(), 2_900_000)], ids=["rows", "dictionary"])
@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_what_is_compressed_has_a_bound(batch: pa.RecordBatch, bound: int, compression: str) -> None:
    """That of all batches of all streams together; it is known before they are decompressed."""
    body = stream(batch, batch, compression=compression)
    assert read_tables(body * 3, 3)[2].num_rows == 2 * batch.num_rows
    assert len(body) < 100_000
    with pytest.raises(ValueError, match="decompressed"):
        read_tables(body * 3, 3, bound)
    read_tables(stream(batch, batch) * 3, 3, 0)  # without a compression it is as large as it is


@pytest.mark.parametrize("cut", [1, 8, 30, 100, 1000])
def test_a_body_that_is_cut_off(cut: int) -> None:
    """It is an error of the body's, whatever is missing."""
    body = stream(zeros(), compression="zstd")
    for damaged in (body[:cut], body[: max(1, len(body) - cut)], body[cut:]):
        with pytest.raises((ValueError, OSError, pa.ArrowException)):
            read_tables(damaged, 2)


@pytest.mark.parametrize(
    "columns",
    [
        {"v": pa.nulls(2**31 - 1)},
        {"v": pa.RunEndEncodedArray.from_arrays(pa.array([2**31 - 1]), pa.array([1]))},
        {"a": pa.ListArray.from_arrays(pa.array([0, 2**31 - 1], pa.int32()), pa.nulls(2**31 - 1))},
    ],
    ids=["nulls", "runs", "a list of nulls"],
)
def test_one_row_is_one_row(columns: Any) -> None:
    """Before it becomes Python objects."""
    with pytest.raises(ValueError, match="not one row"):
        read_row(stream(pa.record_batch(columns)))


def test_bombs_over_http(shop: Api) -> None:
    """They are refused, and the server goes on."""
    columns: list[dict[str, Any]] = [
        {"id": pa.nulls(2**31 - 1)},
        {"customer": pa.DictionaryArray.from_arrays(pa.array(np.zeros(ROWS, np.int8)), pa.array(["x" * 100_000]))},
        {"euros": pa.RunEndEncodedArray.from_arrays(pa.array([2**31 - 1]), pa.array([1]))},
    ]
    for column in columns:
        answer = shop.http.post("/v1/arrow/orders", content=stream(pa.record_batch(column)))
        assert answer.status_code == 400, answer.text
        assert "INSERTED_BYTES_MAX" in answer.json()["message"]
    claimed = bytearray(stream(zeros(), compression="zstd"))
    place = claimed.find((ROWS * 8).to_bytes(8, "little"), claimed.find(b"\x28\xb5\x2f\xfd") - 8)
    claimed[place : place + 8] = (INSERTED_BYTES_MAX * 1000).to_bytes(8, "little")
    answer = shop.http.post("/v1/arrow/orders", content=bytes(claimed))
    assert (answer.status_code, "decompressed" in answer.json()["message"]) == (400, True)
    row = base64.b64encode(stream(pa.record_batch({"v": pa.nulls(2**31 - 1)}))).decode()
    assert shop.http.post("/v1/topics/orders/records", json={"columns": row}).status_code // 100 == 4
    assert shop.http.get("/info").status_code == 200
