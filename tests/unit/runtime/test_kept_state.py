"""State that was written with other columns: what is taken over, and what is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from penstock.errors import StorageError
from penstock.runtime.query.recovery import as_schema

MONEY = pa.decimal128(9, 2)


def kept(type_: Any, value: Any) -> Any:
    """A table of state with one column."""
    return pa.table({"STATE": pa.array([value], type_)})


@pytest.mark.parametrize(
    ("type_", "value", "wanted"),
    [
        (MONEY, Decimal("1.00"), pa.int64()),
        (pa.list_(MONEY), [Decimal("1.00")], pa.list_(pa.int64())),
        (pa.list_(pa.struct([("VALUE", MONEY)])), [], pa.struct([("VALUES", pa.list_(pa.int64()))])),
        (pa.list_(pa.int64()), [1], pa.int64()),
    ],
)
def test_what_was_kept_in_another_way_is_refused(type_: Any, value: Any, wanted: Any) -> None:
    """1.00 would be taken for one hundredth."""
    with pytest.raises(StorageError, match="another version of Penstock"):
        as_schema(kept(type_, value), pa.schema([("STATE", wanted)]))


def test_columns_that_are_missing_are_null() -> None:
    """As in a query that was replaced by one with more columns."""
    made = as_schema(kept(pa.list_(MONEY), [Decimal("1.00")]), pa.schema([("STATE", pa.list_(MONEY)), ("MORE", pa.int32())]))
    assert made.to_pylist() == [{"STATE": [Decimal("1.00")], "MORE": None}]
