"""Properties of formats: fast paths equal the rule, and decoding undoes encoding."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from penstock.storage.formats import FORMATS, EmbeddedRegistry, make_serde
from penstock.storage.formats.base import Decoded, SerdeOptions
from penstock.storage.formats.delimited import DelimitedSerde
from penstock.storage.formats.json import JsonSerde
from penstock.storage.formats.values import from_rows, to_rows

PRIMITIVES: dict[Any, st.SearchStrategy[Any]] = {
    pa.bool_(): st.booleans(),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_nan=False, allow_infinity=False),
    pa.string(): st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    pa.binary(): st.binary(max_size=8),
    pa.date32(): st.integers(-(2**31), 2**31 - 1),
    pa.time32("ms"): st.integers(0, 86_399_999),
    pa.timestamp("ms"): st.integers(-(2**63), 2**63 - 1),
    pa.decimal128(9, 3): st.integers(-(10**9) + 1, 10**9 - 1).map(lambda n: Decimal(n).scaleb(-3)),
    pa.decimal256(50, 10): st.integers(-(10**49), 10**49).map(lambda n: Decimal(f"{n}E-10")),
}
NAMES = st.sampled_from(["A", "B", "C", "a", "b", "é", 'q"'])


def types(nested: bool = True) -> st.SearchStrategy[Any]:
    """Types of columns; maps have STRING keys."""
    base = st.sampled_from(list(PRIMITIVES))
    if not nested:
        return base
    return st.recursive(
        base,
        lambda inner: st.one_of(
            inner.map(pa.list_),
            inner.map(lambda t: pa.map_(pa.string(), t)),
            st.lists(st.tuples(NAMES, inner), min_size=1, max_size=3, unique_by=lambda f: f[0]).map(pa.struct),
        ),
        max_leaves=4,
    )


def values(type_: Any) -> st.SearchStrategy[Any]:
    """Values of rows of a type, null among them."""
    if type_ in PRIMITIVES:
        return st.none() | PRIMITIVES[type_]
    if pa.types.is_map(type_):
        keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
        return st.none() | st.dictionaries(keys, values(type_.item_type), max_size=3)
    if pa.types.is_list(type_):
        return st.none() | st.lists(values(type_.value_type), max_size=3)
    return st.none() | st.fixed_dictionaries({field.name: values(field.type) for field in type_})


@st.composite
def tables(draw: st.DrawFn, nested: bool = True, max_rows: int = 6) -> tuple[pa.Schema, list[Any]]:
    """A schema and its columns."""
    fields = draw(st.lists(st.tuples(NAMES, types(nested)), min_size=1, max_size=4, unique_by=lambda f: f[0]))
    schema = pa.schema(fields)
    count = draw(st.integers(0, max_rows))
    columns = [from_rows(draw(st.lists(values(field.type), min_size=count, max_size=count)), field.type) for field in schema]
    return schema, columns


def comparable(value: Any) -> Any:
    """The value, with a text in the place of each NaN, which equals nothing."""
    if isinstance(value, float) and value != value:
        return "NaN"
    if isinstance(value, list | tuple):
        return [comparable(item) for item in value]
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items()}
    return value


def same(left: Decoded, right: Decoded) -> None:
    """Fails unless both are equal: columns, nulls and which rows are malformed."""
    assert comparable([to_rows(c) for c in left.columns]) == comparable([to_rows(c) for c in right.columns])
    assert (left.nulls is None) == (right.nulls is None)
    if left.nulls is not None and right.nulls is not None:
        assert left.nulls.tolist() == right.nulls.tolist()
    assert (left.malformed is None) == (right.malformed is None)
    if left.malformed is not None and right.malformed is not None:
        assert left.malformed.rows.tolist() == right.malformed.rows.tolist()


FRAGMENTS = st.recursive(
    st.sampled_from(
        ["null", "true", "1", "-0", "1.0", "2.5", "1e3", "1e400", '"7"', '"x"', '"ew=="', "99999999999", "01", "-1"]
    )
    | st.sampled_from(['"\\ud800"', "9" * 20, '"\\u00e9"', '"a\nb"', "", "NaN", "3.1400"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda xs: "[" + ",".join(xs) + "]"),
        st.lists(st.tuples(st.sampled_from(["A", "a", "B", "b", "c", "é", 'q\\"']), inner), max_size=4).map(
            lambda kvs: "{" + ",".join(f'"{k}":{v}' for k, v in kvs) + "}"
        ),
    ),
    max_leaves=6,
)
OBJECTS = st.lists(st.tuples(st.sampled_from(["A", "a", "B", "b", "C", "c", "z"]), FRAGMENTS), max_size=4).map(
    lambda kvs: "{" + ",".join(f'"{k}":{v}' for k, v in kvs) + "}"
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(NAMES, types()), min_size=1, max_size=3, unique_by=lambda f: f[0]).map(pa.schema),
    st.lists(st.one_of(OBJECTS, OBJECTS, OBJECTS, FRAGMENTS, st.none()), max_size=8),
    st.booleans(),
)
def test_json_shapes_equal_the_rule(schema: pa.Schema, texts: list[str | None], wrap: bool) -> None:
    """Decoding by shapes gives what decoding record by record gives, for odd and broken documents too."""
    serde = JsonSerde(wrap)
    data = pa.array([None if t is None else t.encode() for t in texts], pa.binary())
    same(serde.decode(data, schema), serde.decode_slow(data, schema))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables(), st.booleans())
def test_json_round_trip(table: tuple[pa.Schema, list[Any]], wrap: bool) -> None:
    """What JSON encodes it decodes to the same, unless a column's name would be read in upper case by another."""
    schema, columns = table
    serde = JsonSerde(wrap)
    encoded = serde.encode(columns, schema, None)
    assert encoded.malformed is None
    for blob in encoded.data.to_pylist():
        assert blob is None or json.loads(blob) is not None
    decoded = serde.decode(encoded.data, schema)
    assert decoded.malformed is None
    assert [to_rows(c) for c in decoded.columns] == [to_rows(c) for c in columns]


CELLS = st.one_of(
    st.sampled_from(
        ["", "1", "-5", "+5", "true", "2.5", "1e3", "x", '"q"', '"a,b"', '"', " 1", "NaN", "ew==", "9" * 12, "é"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(types(nested=False), min_size=1, max_size=3),
    st.lists(st.none() | st.lists(CELLS, min_size=1, max_size=3).map(",".join), min_size=1, max_size=8),
)
def test_delimited_columns_equal_the_rule(kinds: list[Any], lines: list[str | None]) -> None:
    """Decoding CSV by column gives what decoding it record by record gives, for broken lines too."""
    schema = pa.schema([(f"C{i}", t) for i, t in enumerate(kinds)])
    data = pa.array([None if line is None else line.encode() for line in lines] * 40, pa.binary())
    serde = DelimitedSerde()
    same(serde.decode(data, schema), serde.decode_slow(data, schema))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables(nested=False), st.sampled_from([",", "|", " ", "\t", ";"]))
def test_delimited_round_trip(table: tuple[pa.Schema, list[Any]], delimiter: str) -> None:
    """What DELIMITED encodes it decodes to the same, but that empty texts and bytes after the first value become null."""
    schema, columns = table
    serde = DelimitedSerde(delimiter)
    if len(schema) == 1:  # A line of one null is empty, which is no record.
        columns = [c.drop_null() for c in columns]
    decoded = serde.decode(serde.encode(columns, schema, None).data, schema)
    assert decoded.malformed is None
    expected = [[None if i and v in ("", b"") else v for v in to_rows(c)] for i, c in enumerate(columns)]
    assert [to_rows(c) for c in decoded.columns] == expected


def supported(name: str, type_: Any) -> bool:
    """Whether the format can hold the type, at every depth."""
    return FORMATS[name].unsupported(type_) is None and not (
        # A list of lists or maps, and a map of them, has no counterpart in protobuf.
        name.startswith("PROTOBUF") and _nests_repeated(type_)
    )


def _nests_repeated(type_: Any) -> bool:
    if pa.types.is_struct(type_):
        return any(_nests_repeated(field.type) for field in type_)
    if pa.types.is_map(type_) or pa.types.is_list(type_):
        inner = type_.item_type if pa.types.is_map(type_) else type_.value_type
        return pa.types.is_map(inner) or pa.types.is_list(inner) or _nests_repeated(inner)
    return False


def plain_names(type_: Any) -> bool:
    """Whether all names are ones that Avro and protobuf take."""
    if pa.types.is_struct(type_):
        names = [field.name for field in type_]
        return all(n in "ABC" for n in names) and all(plain_names(field.type) for field in type_)
    if pa.types.is_map(type_):
        return plain_names(type_.item_type)
    return not pa.types.is_list(type_) or plain_names(type_.value_type)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables(max_rows=4), st.sampled_from(["AVRO", "JSON_SR", "PROTOBUF", "PROTOBUF_NOSR"]), st.booleans())
def test_schema_formats_round_trip(table: tuple[pa.Schema, list[Any]], name: str, optional: bool) -> None:
    """What a format with schemas encodes it decodes to the same; protobuf gives defaults for the nulls it cannot hold."""
    schema, columns = table
    assume(all(f.name in "ABC" and plain_names(f.type) and supported(name, f.type) for f in schema))
    properties = {"nullable_representation": "OPTIONAL"} if optional else {}
    serde = make_serde(name, SerdeOptions(topic="t", properties=properties), EmbeddedRegistry())
    encoded = serde.encode(columns, schema, None)
    decoded = serde.decode(encoded.data, schema)
    if name.startswith("PROTOBUF"):
        assume(encoded.malformed is None)  # DATEs outside of years 1 to 9999
    assert encoded.malformed is None and decoded.malformed is None
    before, after = [to_rows(c) for c in columns], [to_rows(c) for c in decoded.columns]
    if name.startswith("PROTOBUF"):
        before = [[defaulted(v, f.type, optional, False) for v in c] for c, f in zip(before, schema)]
    assert after == before


def defaulted(value: Any, type_: Any, optional: bool, inside: bool) -> Any:
    """The value as protobuf gives it back: null is the type's default where there is no presence."""
    if pa.types.is_list(type_):
        return [defaulted(v, type_.value_type, optional, True) for v in value or ()]
    if pa.types.is_map(type_):
        return {k: defaulted(v, type_.item_type, optional, True) for k, v in (value or {}).items()}
    if pa.types.is_struct(type_):
        if value is None and not inside:
            return None
        return {f.name: defaulted((value or {}).get(f.name), f.type, optional, False) for f in type_}
    if value is not None or not (inside or not optional):
        return value
    if pa.types.is_decimal(type_):
        return Decimal(0).scaleb(-type_.scale) if inside else None
    if pa.types.is_temporal(type_):
        return 0 if inside and not pa.types.is_date(type_) else None
    return {pa.bool_(): False, pa.float64(): 0.0, pa.string(): "", pa.binary(): b""}.get(type_, 0)
