"""The same value gives the same stored value, or the same refusal, in whatever container it is handed over."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import math
import sqlite3
import types
import uuid
from collections import namedtuple
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.engine.catalog import DataSource, FormatInfo
from penstock.engine.intake.rows import columns_of
from penstock.engine.schema import Column, Schema
from penstock.engine.types import (
    BIGINT,
    BOOLEAN,
    BYTES,
    DATE,
    DOUBLE,
    INTEGER,
    STRING,
    TIME,
    TIMESTAMP,
    Array,
    Decimal,
    Map,
    SqlType,
    Struct,
)
from penstock.errors import StatementError
from penstock.runtime.batch import python_values

TYPES: list[SqlType] = [
    BOOLEAN,
    INTEGER,
    BIGINT,
    DOUBLE,
    Decimal(10, 2),
    Decimal(38, 0),
    Decimal(5, 5),
    Decimal(60, 20),
    STRING,
    BYTES,
    DATE,
    TIME,
    TIMESTAMP,
    Array(INTEGER),
    Array(STRING),
    Map(STRING, DOUBLE),
    Struct((("X", INTEGER), ("Y", Array(TIMESTAMP)))),
]

instants = st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2250, 1, 1))
numbers = st.one_of(
    st.integers(-3, 3),
    st.integers(-(2**70), 2**70),
    st.sampled_from([2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, 2**63, 10**8, 86_399_999, 86_400_000]),
    st.floats(),
    st.integers(-(10**6), 10**6).map(lambda n: n / 100),
    st.integers(-50, 50).map(float),
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**9), max_value=10**9),
    st.decimals(allow_nan=False, allow_infinity=False, places=0, min_value=-(10**30), max_value=10**30),
)
times = st.one_of(
    instants,
    instants.map(lambda moment: moment.replace(tzinfo=datetime.UTC)),
    st.dates(datetime.date(1700, 1, 1), datetime.date(2250, 1, 1)),
    st.dates(datetime.date(1700, 1, 1), datetime.date(2250, 1, 1)).map(
        lambda day: datetime.datetime.combine(day, datetime.time())
    ),
    st.times(),
)
texts = st.one_of(
    st.text(max_size=5),
    st.sampled_from(["1", "1.50", "true", "2024-01-01", "2024-01-01T00:00Z", "2024-01-01 10:00:00.1234", "10:11:12", "nan"]),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, times, texts, st.binary(max_size=4), st.uuids())
values = st.one_of(
    scalars,
    st.lists(st.one_of(st.integers(-5, 2**33), st.none()), max_size=3),
    st.lists(texts, max_size=2),
    st.dictionaries(st.sampled_from(["x", "Y", "z"]), st.one_of(numbers, st.lists(instants, max_size=2)), max_size=2),
)


def outcome(rows: Any, type_: SqlType) -> Any:
    """The stored values, or "refused"."""
    source = DataSource("S", "STREAM", Schema((Column("V", type_),)), "s", FormatInfo("NONE"), FormatInfo("ARROW"))
    try:
        arrays, stamps = columns_of(rows, source, 0)
    except StatementError as error:
        assert "row " in str(error) and "column V" in str(error), str(error)
        return "refused"
    assert len(stamps) == len(arrays["V"])
    arrays["V"].validate(full=True)
    return [_comparable(value) for value in python_values(arrays["V"])]


def _comparable(value: Any) -> Any:
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


Row = namedtuple("Row", "v")


def python_containers(given: list[Any]) -> list[tuple[str, Any]]:
    return [
        ("tuples", [(value,) for value in given]),
        ("named tuples", [Row(value) for value in given]),
        ("columns", {"v": list(given), "rowtime": [0] * len(given)}),
    ]


def made(make: Any) -> Any:
    """A frame, or None where the library cannot hold these values."""
    try:
        return make()
    except Exception:
        return None


def same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and repr(left) == repr(right)  # (of Decimals the scale, too)


def kept(given: list[Any], back: list[Any]) -> bool:
    """Whether a library holds the very values (it may turn 1 into 1.0, or a key that is missing into one that is None)."""
    return len(given) == len(back) and all(same(a, b) for a, b in zip(given, back, strict=True))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(values, min_size=1, max_size=3), st.sampled_from(TYPES))
def test_every_container_gives_the_same(given: list[Any], type_: SqlType) -> None:
    """Rows, columns, Arrow, pandas and polars: values that a library keeps as they are end alike."""
    wanted = outcome([{"v": value} for value in given], type_)
    for name, rows in python_containers(given):
        assert outcome(rows, type_) == wanted, name
    alone = [outcome([{"v": value}], type_) for value in given]
    joined: Any = "refused" if "refused" in alone else [one[0] for one in alone]
    assert joined == wanted, "a row depends on the others"
    arrow = made(lambda: pa.table({"v": pa.array(given)}))
    dates = arrow is not None and pa.types.is_temporal(arrow.column(0).type) and any(isinstance(v, int) for v in given)
    if arrow is not None and not dates and kept(given, python_values(arrow.column(0))):
        assert outcome(arrow, type_) == wanted, arrow.schema
    frame = made(lambda: pd.DataFrame({"v": pd.Series(given, dtype=object)}))
    if frame is not None and not any(isinstance(value, float) and value != value for value in given):
        assert outcome(frame, type_) == wanted, "pandas"
    polars = made(lambda: pl.DataFrame({"v": given}))
    if polars is not None and kept(given, polars["v"].to_list()):
        assert outcome(polars, type_) == wanted, polars.schema


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.sampled_from(TYPES))
def test_every_arrow_type_gives_the_same(data: st.DataObject, type_: SqlType) -> None:
    """A column is converted as its values are one by one, whatever its Arrow type, in one chunk or several."""
    arrow_type, elements = data.draw(st.sampled_from(ARROW_TYPES))
    given = data.draw(st.lists(st.one_of(st.none(), elements), min_size=1, max_size=80))
    try:
        array = pa.array(given, arrow_type)
    except (pa.ArrowException, ValueError, OverflowError):
        return
    wanted = outcome([{"v": value} for value in array.to_pylist()], type_)
    assert outcome(pa.table({"v": array}), type_) == wanted
    middle = len(array) // 2
    chunks = pa.chunked_array([array.slice(0, middle), array.slice(middle)], array.type)
    assert outcome(pa.table({"v": chunks}), type_) == wanted
    if not pa.types.is_nested(array.type):
        encoded = made(array.dictionary_encode)
        if encoded is not None:
            assert outcome(pa.table({"v": encoded}), type_) == wanted


reals = st.one_of(st.floats(), st.integers(-(10**7), 10**7).map(lambda n: n / 100), st.integers(-99, 99).map(float))
ARROW_TYPES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (pa.bool_(), st.booleans()),
    (pa.int8(), st.integers(-128, 127)),
    (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    (pa.int64(), st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-(10**8), 10**8))),
    (pa.uint64(), st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 100))),
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), reals),
    (pa.decimal128(10, 3), st.decimals(places=3, min_value=-(10**6), max_value=10**6)),
    (pa.decimal256(50, 10), st.decimals(places=10, min_value=-(10**30), max_value=10**30)),
    (pa.string(), texts),
    (pa.large_string(), texts),
    (pa.string_view(), texts),
    (pa.binary(), st.binary(max_size=3)),
    (pa.binary_view(), st.binary(max_size=3)),
    (pa.binary(2), st.binary(min_size=2, max_size=2)),
    (pa.date32(), st.dates()),
    (pa.timestamp("s"), instants.map(lambda moment: moment.replace(microsecond=0))),
    (pa.timestamp("ms"), instants.map(lambda moment: moment.replace(microsecond=0))),
    (pa.timestamp("us"), instants),
    (pa.timestamp("us", "Asia/Tokyo"), instants),
    (pa.time32("s"), st.times().map(lambda time: time.replace(microsecond=0))),
    (pa.time64("us"), st.times()),
    (pa.list_(pa.int64()), st.lists(st.integers(-5, 2**33), max_size=3)),
    (pa.large_list(pa.float64()), st.lists(reals, max_size=3)),
    (pa.list_(pa.string()), st.lists(texts, max_size=3)),
    (pa.map_(pa.string(), pa.float64()), st.dictionaries(texts, reals, max_size=2).map(lambda d: list(d.items()))),
    (
        pa.struct([("x", pa.int64()), ("Y", pa.list_(pa.timestamp("us")))]),
        st.fixed_dictionaries({"x": st.integers(-5, 2**33), "Y": st.lists(instants, max_size=2)}),
    ),
    (pa.list_(pa.struct([("x", pa.int64())])), st.lists(st.fixed_dictionaries({"x": st.integers(0, 9)}), max_size=2)),
    (pa.duration("s"), st.timedeltas(min_value=datetime.timedelta(0), max_value=datetime.timedelta(days=1))),
    (pa.null(), st.none()),
]

NUMPY: list[tuple[Any, SqlType]] = [
    (np.int8(5), INTEGER),
    (np.uint64(2**64 - 1), BIGINT),
    (np.float32(0.5), Decimal(10, 2)),
    (np.float16(1.5), INTEGER),
    (np.bool_(True), BOOLEAN),
    (np.str_("x"), STRING),
    (np.bytes_(b"x"), BYTES),
    (np.datetime64("2024-01-01T00:00:00.123456789"), TIMESTAMP),
    (np.datetime64("1969-12-31T23:59:59.9999"), TIMESTAMP),
    (np.datetime64("2024-01-01"), DATE),
    (np.datetime64("2024-01"), DATE),
    (np.datetime64("NaT", "ms"), TIMESTAMP),
    (np.complex128(1), DOUBLE),
    (np.timedelta64(5, "s"), TIME),
]


@pytest.mark.parametrize(("value", "type_"), NUMPY, ids=str)
def test_numpy_scalars_and_arrays_give_the_same(value: Any, type_: SqlType) -> None:
    """A scalar in a row, an array as a column, a structured array and a frame of that dtype."""
    wanted = outcome([{"v": value}], type_)
    array = np.array([value])
    assert outcome({"v": array}, type_) == wanted
    structured = np.zeros(1, dtype=[("v", array.dtype)])
    structured["v"] = array
    assert outcome(structured, type_) == wanted
    if array.dtype.kind not in "US":
        assert outcome(pd.DataFrame({"v": array}), type_) == wanted


def test_what_is_refused_and_what_is_cut() -> None:
    """The rules by example: a value, its type, what is stored."""
    moment = datetime.datetime(2024, 1, 1)
    rules: list[tuple[Any, SqlType, Any]] = [
        (5, Decimal(10, 2), [decimal.Decimal("5.00")]),
        (19.99, Decimal(10, 2), [decimal.Decimal("19.99")]),
        (1.005, Decimal(10, 2), "refused"),
        (10**8, Decimal(10, 2), "refused"),
        (1.9, INTEGER, "refused"),
        (2.0, INTEGER, [2]),
        (2**53 + 1, DOUBLE, "refused"),
        (True, INTEGER, "refused"),
        (1, BOOLEAN, "refused"),
        (1_700_000_000.5, TIMESTAMP, "refused"),
        (1_700_000_000_000, TIMESTAMP, [datetime.datetime(2023, 11, 14, 22, 13, 20)]),
        (moment.replace(microsecond=1999), TIMESTAMP, [moment.replace(microsecond=1000)]),
        ("2024-01-01T00:00:00Z", TIMESTAMP, [moment]),
        ("2024-01-01 00:00:00.0019", TIMESTAMP, [moment.replace(microsecond=1000)]),
        (pd.Timestamp("2024-01-01T00:00:00.001999999"), TIMESTAMP, [moment.replace(microsecond=1000)]),
        (pd.NaT, TIMESTAMP, [None]),
        (pd.NA, INTEGER, [None]),
        (float("nan"), STRING, [None]),
        (float("nan"), DOUBLE, ["NaN"]),
        (uuid.UUID(int=1), STRING, ["00000000-0000-0000-0000-000000000001"]),
        (b"x", STRING, "refused"),
        ("x", BYTES, "refused"),
        ("\ud800", STRING, "refused"),
        (moment.replace(hour=1), DATE, "refused"),
        (moment, DATE, [moment.date()]),
        ({"x": 1, "X": 2}, Struct((("X", INTEGER),)), "refused"),
        ([("a", 1), ("a", 2)], Map(STRING, DOUBLE), "refused"),
        ({None: 1}, Map(STRING, DOUBLE), "refused"),
    ]
    for value, type_, stored in rules:
        assert outcome([{"v": value}], type_) == stored, (value, type_)


def test_frames_of_polars_with_encoded_texts() -> None:
    """Categorical, Enum, string views, Decimal, 128-bit integers and objects."""
    for series, type_, stored in [
        (pl.Series("v", ["a", None, "b"], dtype=pl.Categorical), STRING, ["a", None, "b"]),
        (pl.Series("v", ["a", "b"], dtype=pl.Enum(["a", "b"])), STRING, ["a", "b"]),
        (pl.Series("v", ["1", None]), BIGINT, [1, None]),
        (pl.Series("v", [1, None], dtype=pl.Int128), BIGINT, [1, None]),
        (pl.Series("v", [uuid.UUID(int=0)], dtype=pl.Object), STRING, [str(uuid.UUID(int=0))]),
        (pl.Series("v", [["a"], None], dtype=pl.List(pl.Categorical)), Array(STRING), [["a"], None]),
    ]:
        frame = series.to_frame()
        assert outcome(frame, type_) == stored
        assert outcome({"v": series}, type_) == stored
        assert outcome(frame.lazy(), type_) == stored
        if series.dtype not in (pl.Object, pl.Int128):
            assert outcome(pa.RecordBatchReader.from_stream(frame), type_) == stored


def test_frames_of_pandas_with_all_dtypes() -> None:
    """Nullable, categorical and time dtypes; NaN in a float column is pandas' mark for a missing value."""
    for series, type_, stored in [
        (pd.Series([1, None], dtype="Int64"), BIGINT, [1, None]),
        (pd.Series([1.0, float("nan")]), BIGINT, [1, None]),
        (pd.Series([1.5, float("nan")]), DOUBLE, [1.5, None]),
        (pd.Series([True, None], dtype="boolean"), BOOLEAN, [True, None]),
        (pd.Series(["a", None], dtype="category"), STRING, ["a", None]),
        (pd.Series(["a", float("nan")], dtype=object), STRING, ["a", None]),
        (pd.Series(["a", None], dtype="string"), STRING, ["a", None]),
        (pd.Series([pd.Timestamp("2024-01-01"), pd.NaT]), TIMESTAMP, [datetime.datetime(2024, 1, 1), None]),
        (pd.Series([pd.Timestamp("2024-01-01", tz="Asia/Tokyo")]), TIMESTAMP, [datetime.datetime(2023, 12, 31, 15)]),
        (pd.Series([{"x": 1}, {"y": [datetime.datetime(2024, 1, 1)]}]), Struct((("X", INTEGER), ("Y", Array(DATE)))), None),
        (pd.Series(pd.period_range("2024", periods=1, freq="M")), DATE, "refused"),
    ]:
        found = outcome(pd.DataFrame({"v": series}), type_)
        if stored is not None:
            assert found == stored, series.dtype
        else:
            assert found == [{"X": 1, "Y": None}, {"X": None, "Y": [datetime.date(2024, 1, 1)]}]


def test_deep_nesting_is_refused() -> None:
    """A list 10,000 deep, in every container that can hold it."""
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    for type_ in TYPES:
        assert outcome([{"v": deep}], type_) == "refused"
        assert outcome({"v": [deep], "rowtime": [0]}, type_) == "refused"
        assert outcome(pd.DataFrame({"v": pd.Series([deep])}), type_) == "refused"


@dataclasses.dataclass
class _Reading:
    kind: ClassVar[str] = "a class has it, not a row"
    made_with: dataclasses.InitVar[int] = 3
    v: int = 5


def test_rows_of_other_libraries() -> None:
    """A dataclass with variables of its class, a row of SQLite, of a structured array and of a record array."""
    database = sqlite3.connect(":memory:")
    database.row_factory = sqlite3.Row
    structured = np.array([(5,)], dtype=[("v", "i4")])
    for row in (
        _Reading(),
        database.execute("SELECT 5 AS v").fetchone(),
        structured[0],
        structured.view(np.recarray)[0],
        types.SimpleNamespace(v=5),
        pa.scalar({"v": 5}),
    ):
        assert outcome([row], INTEGER) == [5], row
        assert outcome(row, INTEGER) == [5], row
        assert outcome(iter([row]), INTEGER) == [5], row
    assert outcome(structured.reshape(()), INTEGER) == [5]
    database.close()


def test_structs_of_structured_arrays() -> None:
    """A field that is a row itself is a STRUCT, in an array as in a dict."""
    two = Struct((("X", INTEGER), ("Y", STRING)))
    array = np.array([((1, "a"),)], dtype=[("v", [("x", "i4"), ("y", "U1")])])
    for rows in (array, [array[0]], [{"v": array["v"][0]}], {"v": array["v"]}, [(array["v"][0],)]):
        assert outcome(rows, two) == [{"X": 1, "Y": "a"}]


@pytest.mark.parametrize("type_", TYPES, ids=str)
def test_what_is_masked_is_null(type_: SqlType) -> None:
    """NumPy's mark for a value that is hidden; looking into it went on for ever."""
    assert outcome([{"v": np.ma.masked}], type_) == [None]
    assert outcome([(np.ma.masked,)], type_) == [None]


LISTS = [
    pa.array([[1, 2], None], pa.list_(pa.int32())),
    pa.array([[1, 2], None], pa.large_list(pa.int64())),
    pa.array([[1, 2], None], pa.list_(pa.int32(), 2)),
    pa.array([[1, 2], None], pa.list_view(pa.int32())),
    pa.array([[1, 2], None], pa.large_list_view(pa.int32())),
    pa.array([[1, 2], None], pa.list_(pa.dictionary(pa.int8(), pa.int32()))),
    pa.chunked_array([[[1, 2]], [None]], pa.list_(pa.int32())),
    pa.ExtensionArray.from_storage(
        pa.fixed_shape_tensor(pa.int32(), [2]), pa.array([[1, 2], None], pa.list_(pa.int32(), 2))
    ),
]


@pytest.mark.parametrize("array", LISTS, ids=lambda array: str(array.type))
def test_arrow_lists_alone_in_a_dict_of_columns(array: Any) -> None:
    """The only column, of ARRAYs, is a column: as in a table, and as lists are."""
    assert outcome({"v": array}, Array(INTEGER)) == outcome(pa.table({"v": array}), Array(INTEGER)) == [[1, 2], None]
    assert outcome({"v": [[1, 2], None]}, Array(INTEGER)) == [[1, 2], None]
    assert outcome({"v": pa.array([1, 2])}, Array(INTEGER)) == [[1, 2]]


def test_arrow_maps_alone_in_a_dict_of_columns() -> None:
    """MAPs, structs and lists of pairs."""
    for array in (
        pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int32())),
        pa.array([{"a": 1}]),
        pa.array([[{"key": "a", "value": 1}]]),
    ):
        assert outcome({"v": array}, Map(STRING, DOUBLE)) == [{"a": 1.0}]


def test_a_day_with_a_rest() -> None:
    """A date64 that is no whole day is damaged, in a column and alone."""
    array = pa.array([86_400_001], pa.date64())
    assert outcome({"v": array}, DATE) == outcome([{"v": array[0]}], DATE) == "refused"
