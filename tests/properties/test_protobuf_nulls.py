"""What nulls become in protobuf: the rule, against writing and reading."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from penstock.errors import StatementError
from penstock.storage.formats import EmbeddedRegistry, make_serde
from penstock.storage.formats.base import SerdeOptions
from penstock.storage.formats.protobuf_nulls import read_back
from penstock.storage.formats.values import from_rows, to_rows

LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    pa.bool_(): st.booleans(),
    pa.int32(): st.integers(-3, 3),
    pa.string(): st.sampled_from(["", "x"]),
    pa.binary(): st.sampled_from([b"", b"x"]),
    pa.float64(): st.sampled_from([0.0, 1.5]),
    pa.date32(): st.integers(-3, 3),
    pa.time32("ms"): st.integers(0, 3),
    pa.timestamp("ms"): st.integers(-3, 3),
    pa.decimal128(5, 2): st.sampled_from([Decimal("0.00"), Decimal("-1.25")]),
}
TYPES = st.recursive(
    st.sampled_from(list(LEAVES)),
    lambda inner: st.one_of(
        inner.map(pa.list_),
        inner.map(lambda type_: pa.map_(pa.string(), type_)),
        st.lists(inner, min_size=1, max_size=2).map(lambda found: pa.struct(list(zip("AB", found)))),
    ),
    max_leaves=4,
)


def values(type_: Any) -> st.SearchStrategy[Any]:
    """Values of a type, null among them at every level."""
    if type_ in LEAVES:
        return st.none() | LEAVES[type_]
    if pa.types.is_map(type_):
        return st.none() | st.dictionaries(st.sampled_from("ab"), values(type_.item_type), max_size=2)
    if pa.types.is_list(type_):
        return st.none() | st.lists(values(type_.value_type), max_size=2)
    return st.none() | st.fixed_dictionaries({field.name: values(field.type) for field in type_})


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(st.data(), TYPES, st.sampled_from(["NONE", "OPTIONAL", "WRAPPER"]))
def test_read_back_equals_writing_and_reading(data: Any, type_: Any, nullable: Any) -> None:
    """The rule gives what a reader of the topic finds."""
    column = from_rows(data.draw(st.lists(values(type_), min_size=1, max_size=4)), type_)
    schema = pa.schema([("C", type_)])
    serde = make_serde(
        "PROTOBUF", SerdeOptions(topic="t", properties={"nullableRepresentation": nullable}), EmbeddedRegistry()
    )
    try:
        encoded = serde.encode([column], schema, None)
    except StatementError:
        assume(False)
    assert encoded.malformed is None
    decoded = serde.decode(encoded.data, schema)
    assert decoded.malformed is None
    assert to_rows(read_back(column, nullable)) == to_rows(decoded.columns[0])
