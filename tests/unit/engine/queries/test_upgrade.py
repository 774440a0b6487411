"""CREATE OR REPLACE: what may change."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.engine.statements.upgrade import check_upgrade
from penstock.errors import Span, StatementError

HERE = Span(0, 1)


@pytest.fixture
def sources(bench: Any) -> Any:
    """A stream and two tables."""
    bench.source("CREATE STREAM A (ID INT KEY, X INT, Y INT)")
    bench.source("CREATE STREAM B (ID INT KEY, X INT, Y INT)")
    bench.source("CREATE TABLE T (ID INT PRIMARY KEY, X INT)")
    return bench


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("STREAM O AS SELECT * FROM A", "STREAM O AS SELECT * FROM A WHERE X > 0"),
        ("STREAM O AS SELECT ID, X FROM A", "STREAM O AS SELECT ID, X + 1 AS X, Y FROM A"),
        ("TABLE O AS SELECT * FROM T", "TABLE O AS SELECT * FROM T WHERE X > 0"),
        (
            "TABLE O AS SELECT X, COUNT(*) AS N FROM A WHERE X >= 0 GROUP BY X",
            "TABLE O AS SELECT X, COUNT(*) AS N, AS_VALUE(X) AS X2 FROM A WHERE X > 1 GROUP BY X HAVING COUNT(*) > 1",
        ),
        ("STREAM O AS SELECT * FROM A PARTITION BY X", "STREAM O AS SELECT *, 1 AS Z FROM A PARTITION BY X"),
    ],
)
def test_filters_and_projections_may_change(sources: Any, old: str, new: str) -> None:
    """WHERE, HAVING, and columns that are added at the end."""
    check_upgrade("O", sources.resolve(f"CREATE {old}"), sources.resolve(f"CREATE OR REPLACE {new}"), HERE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("STREAM O AS SELECT * FROM A", "STREAM O AS SELECT * FROM B"),
        ("STREAM O AS SELECT * FROM A", "STREAM O AS SELECT * FROM A PARTITION BY X"),
        ("TABLE O AS SELECT X, COUNT(*) AS N FROM A GROUP BY X", "TABLE O AS SELECT X, COUNT(Y) AS N FROM A GROUP BY X"),
        (
            "TABLE O AS SELECT ID, COUNT(*) AS N FROM A GROUP BY ID",
            "TABLE O AS SELECT ID, COUNT(*) AS N FROM A WHERE X > 0 GROUP BY ID",
        ),
        ("TABLE O AS SELECT X, COUNT(*) AS N FROM T GROUP BY X", "TABLE O AS SELECT X, COUNT(*) + 1 AS N FROM T GROUP BY X"),
        (
            "TABLE O AS SELECT ID, COUNT(*) AS N FROM A WINDOW TUMBLING (SIZE 1 SECOND) GROUP BY ID",
            "TABLE O AS SELECT ID, COUNT(*) AS N FROM A WINDOW TUMBLING (SIZE 1 SECOND) WHERE X > 1 GROUP BY ID",
        ),
        (
            "STREAM O AS SELECT A.ID, T.X FROM A JOIN T ON A.ID = T.ID",
            "STREAM O AS SELECT A.ID, T.X FROM A JOIN T ON A.ID = T.ID WHERE A.X > 1",
        ),
    ],
)
def test_what_has_state_may_not(sources: Any, old: str, new: str) -> None:
    """Sources, keys and aggregates; joins, windows and aggregated tables at all."""
    with pytest.raises(StatementError):
        check_upgrade("O", sources.resolve(f"CREATE {old}"), sources.resolve(f"CREATE OR REPLACE {new}"), HERE)
