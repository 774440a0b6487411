"""Nodes of plans: which there are, and which are of meaning alone."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_args

import pytest

from penstock.engine.expressions.nodes import text as text_of
from penstock.engine.plan.logical.build import build
from penstock.engine.plan.logical.nodes import LogicalNode
from penstock.engine.plan.optimise import LOGICAL, optimise
from penstock.engine.plan.physical.nodes import Materialise, PhysicalNode, StoredScan
from penstock.engine.plan.tree import Binary, PlanNode, Unary, walk
from tests.unit.engine.queries.conftest import Bench

STATEMENTS = (
    "CREATE TABLE X AS SELECT * FROM T WHERE V > 1",
    "CREATE TABLE X AS SELECT V, COUNT(*) AS N FROM T GROUP BY V",
    "CREATE TABLE X AS SELECT T.ID, T.V, U.V AS W FROM T JOIN U ON T.ID = U.ID",
    "CREATE TABLE X AS SELECT T.ID, U.V AS W FROM T JOIN U ON T.V = U.ID",
    "CREATE TABLE X AS SELECT UCASE(CAST(V AS STRING)) AS U, LATEST_BY_OFFSET(ABS(ID)) AS L FROM S "
    "GROUP BY UCASE(CAST(V AS STRING))",
    "CREATE STREAM X AS SELECT S.V, S.ID, T.V AS W FROM S JOIN T ON S.V = T.ID WHERE S.V > 3",
)


def names(kinds: Iterable[type[PlanNode]]) -> set[str]:
    return {kind.__qualname__ for kind in kinds}


def below(kind: type[PlanNode]) -> set[str]:
    """The names of all classes of nodes below one (slots make each class twice)."""
    return {name for sub in kind.__subclasses__() for name in (sub.__qualname__, *below(sub))}


def test_every_class_of_nodes_is_in_the_union() -> None:
    """What is not in it would pass by the checks that no case is missing."""
    assert names(get_args(PhysicalNode)) == below(PlanNode) - names((Unary, Binary))
    assert set(get_args(LogicalNode)) == {c for c in get_args(PhysicalNode) if c.__module__.endswith("logical.nodes")}


@pytest.fixture
def tables(bench: Bench) -> Bench:
    for text in (
        "CREATE STREAM S (ID INT KEY, V INT)",
        "CREATE TABLE T (ID INT PRIMARY KEY, V INT)",
        "CREATE TABLE U (ID INT PRIMARY KEY, V INT)",
    ):
        bench.source(text)
    return bench


@pytest.mark.parametrize("text", STATEMENTS)
def test_a_logical_plan_says_nothing_of_stores(tables: Bench, text: str) -> None:
    """Until the rules of execution choose them, which they do where tables are read."""
    plan = build(tables.resolve(text))
    for rule in LOGICAL:
        plan = rule(plan)
        assert {type(node) for node in walk(plan)} <= set(get_args(LogicalNode))
    stores = [node for node in walk(optimise(build(tables.resolve(text)))) if isinstance(node, StoredScan | Materialise)]
    assert bool(stores) is ("FROM T" in text)


@pytest.mark.parametrize(
    ("text", "only"),
    [
        ("SELECT * FROM T WHERE ID = 3 EMIT CHANGES", "(ID = 3)"),
        ("SELECT V FROM T WHERE V > 1 AND ID < 5 AND ID > 2 EMIT CHANGES", "((ID < 5) AND (ID > 2))"),
        ("SELECT * FROM T WHERE ID = V EMIT CHANGES", None),
        ("SELECT * FROM T WHERE ID = 3 OR V = 1 EMIT CHANGES", None),
        ("SELECT * FROM T WHERE ID = 3 AND 6 / V > 1 EMIT CHANGES", None),  # it may fail, which is reported whatever the key
        ("CREATE TABLE X AS SELECT * FROM T WHERE ID = 3", None),  # pull queries read the store
    ],
)
def test_a_store_keeps_only_the_keys_that_a_push_query_asks_for(tables: Bench, text: str, only: str | None) -> None:
    (scan,) = [node for node in walk(optimise(build(tables.resolve(text)))) if isinstance(node, StoredScan)]
    assert (None if scan.only is None else text_of(scan.only)) == only


@pytest.mark.parametrize("text", STATEMENTS)
def test_a_logical_plan_is_plain_data(tables: Bench, text: str) -> None:
    """Nothing in it can be called, so another process could run it."""
    plan = build(tables.resolve(text))
    for rule in LOGICAL:
        plan = rule(plan)
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert [value for value in parts(plan) if callable(value)] == []


def parts(value: Any) -> Iterator[Any]:
    """All that is in a tree of dataclasses."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from (*parts(key), *parts(item))
    elif isinstance(value, tuple | list | frozenset | set):
        for item in value:
            yield from parts(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from parts(getattr(value, field.name))
    else:
        yield value
