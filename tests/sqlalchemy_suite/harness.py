"""SQLAlchemy's suite for dialects, run on this one: `make test-sqlalchemy`.

A plugin of pytest.  It is not for the other tests' process, since SQLAlchemy's own plugin, which it loads, changes how
pytest collects.

The suite writes rows and reads them again, so its tables are streams with a key (``penstock_kind="stream"``): a plain table
cannot be asked until a query keeps it.  Tests of reflection, which read no rows, get tables.  What the dialect has not is
in `requirements`, with reasons.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy.testing import provision
from sqlalchemy.testing import schema as suite_schema
from sqlalchemy.testing.plugin.pytestplugin import *  # noqa: F403

registry.register(
    "penstock.penstock", "penstock.dbapi.sqlalchemy", "PenstockDialect"
)  # (the suite asks with the driver's name)


@provision.delete_from_all_tables.for_db("penstock")
def delete_from_all_tables(connection: Any, cfg: Any, metadata: sa.MetaData) -> None:
    """Streams forget nothing, so they are made anew."""
    metadata.drop_all(connection)
    metadata.create_all(connection)


@sa.event.listens_for(sa.Table, "before_create")
def leave_out(table: sa.Table, *_: Any, **__: Any) -> None:
    """Leave out what the dialect refuses, since Penstock would not check it: NOT NULL, constraints, indexes.  Tests that are
    about these themselves are not run, see `requirements`.
    """
    for column in table.columns:
        column.nullable = not column.primary_key
        column.server_default = None
    table.constraints = {c for c in table.constraints if isinstance(c, sa.PrimaryKeyConstraint)}
    table.indexes.clear()


@sa.event.listens_for(sa.Engine, "before_execute", retval=True)
def empty(connection: Any, element: Any, many: Any, one: Any, options: Any) -> tuple[Any, Any, Any]:
    """DELETE without WHERE, with which tests empty a table between their cases: the stream is made anew."""
    if not isinstance(element, sa.Delete) or element.whereclause is not None:
        return element, many, one
    element.table.drop(connection)
    element.table.create(connection)
    return sa.select(1), many, one


_SUITE_ASKS_FOR_IT = {
    r"CTETest::test_insert_from_select": "INSERT INTO .. SELECT starts a query that goes on",
    r"CTETest::test_select_recursive": "there is no WITH RECURSIVE",
    r"ComponentReflectionTestExtra::test_nullable_reflection": "nothing checks NOT NULL",
    r"ComponentReflectionTestExtra::test_string_length_reflection": "a STRING has no length",
    r"ComponentReflectionTest::test_get_multi_columns.*Kind\.(ANY|TABLE[^-]*)-ObjectScope\.(ANY|DEFAULT)-None": "NOT NULL",
    r"ComponentReflectionTest::test_get_view_names": "there are no views",
    r"ExpandingBoundInTest::test_null_in_empty_set_is_false": "IN cannot look for NULL",
    r"ExpandingBoundInTest::test_bound_in_heterogeneous_two_tuple_text_bindparam": "IN compares one value",
    r"JoinTest::": "a.id and b.a_id both are A_ID in a join without aliases, as in ksqlDB",
    r"LongNameBlowoutTest::test_long_convention_name\[ix": "there are no indexes",
    r"NormalizedNameTest::test_reflect_lowercase_forced_tables": "there are no foreign keys",
    r"RowFetchTest::test_row_with_dupe_names": "columns of a result have names of their own",
    r"TrueDivTest::test_truediv_divisor\[numeric_(38_digit|tiny)": "a quotient of DECIMAL(38, ..) has more than 76 digits",
    r"TrueDivTest::test_truediv_divisor\[numeric_many_decimals-untyped": "a Numeric without digits is DECIMAL(38, 10)",
}
"""What the suite asks of every dialect and this one has not, with reasons.  A test here that passes is told as a failure."""
_CANNOT_BEGIN = {
    r"HasTableTest::": "its tables come with a view, whatever the requirements say",
    r"QuotedNameArgumentTest::": "names have letters, digits, _ and -",
    r"TableViaSelectTest::": "CREATE TABLE .. AS SELECT starts a query that goes on",
}
"""Classes whose tables cannot be made."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of what the dialect has not."""
    for item in items:
        name = item.nodeid.split("::")[-2].partition("_penstock+")[0] + "::" + item.name
        for pattern, reason in _SUITE_ASKS_FOR_IT.items():
            if re.match(pattern, name):
                item.add_marker(pytest.mark.xfail(strict=True, reason=reason))
        for pattern, reason in _CANNOT_BEGIN.items():
            if re.match(pattern, name):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True, scope="class")
def kind(request: pytest.FixtureRequest) -> Iterator[None]:
    """What the class's tables are in Penstock."""
    reflects = any("test_reflection" in base.__module__ for base in request.cls.__mro__)
    if not reflects:
        suite_schema.table_options["penstock_kind"] = "stream"
    yield
    suite_schema.table_options.clear()
