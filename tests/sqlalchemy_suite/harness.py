"""SQLAlchemy's suite for dialects, run on this one: `make test-sqlalchemy`.

A plugin of pytest.  It is not for the other tests' process, since SQLAlchemy's own plugin, which it loads, changes how
pytest collects.

The suite writes rows and reads them again, so its tables are streams with a key (``penstock_kind="stream"``): a plain table
cannot be asked until a query keeps it.  Tests of reflection, which read no rows, get tables.  What the dialect has not is
in `requirements`, with reasons.
"""

from __future__ import annotations

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


@pytest.fixture(autouse=True, scope="class")
def kind(request: pytest.FixtureRequest) -> Iterator[None]:
    """What the class's tables are in Penstock."""
    reflects = any("test_reflection" in base.__module__ for base in request.cls.__mro__)
    if not reflects:
        suite_schema.table_options["penstock_kind"] = "stream"
    yield
    suite_schema.table_options.clear()
