"""The flow graph: what it shows, and that its drawing can be read."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import penstock
from penstock.engine.flow_layout import Drawing, _crossings, lay_out

SCRIPT = """
CREATE STREAM orders (id STRING KEY, customer STRING, euros DOUBLE)
    WITH (kafka_topic = 'orders', partitions = 2, value_format = 'json');
CREATE TABLE customers (id STRING PRIMARY KEY, city STRING)
    WITH (kafka_topic = 'customers', partitions = 2, value_format = 'json');
CREATE STREAM named AS SELECT orders.customer, city, euros FROM orders
    LEFT JOIN customers ON orders.customer = customers.id;
CREATE TABLE spend AS SELECT city, SUM(euros) AS total FROM named GROUP BY city;
"""


def test_what_flows_where() -> None:
    """A join has two edges into it, each with the lag of its own input."""
    with penstock.connect(None) as db:
        db.execute("SET 'auto.offset.reset' = 'earliest';" + SCRIPT)
        db.insert("orders", [{"id": str(i), "customer": "ada", "euros": 1.0} for i in range(5)])
        assert db.wait_idle(20)
        graph = db.graph()
        nodes = {node.id: node for node in graph.nodes}
        edges = {(edge.source, edge.target): edge for edge in graph.edges}
        join = next(i for i in nodes if i.startswith("query:CSAS_NAMED"))
        assert edges["source:ORDERS", join].facts == {"lag": 0, "read": 5}
        assert edges["source:CUSTOMERS", join].facts == {"lag": 0, "read": 0}
        assert edges[join, "topic:NAMED"].facts == {"written": 5}
        assert nodes["topic:orders"].facts == {"partitions": 2, "records": 5}
        assert nodes["source:SPEND"].kind == "table" and nodes["source:SPEND"].box.layer == 7
        assert "source:KSQL_PROCESSING_LOG" not in nodes
        seen = db.graph(lambda source: source.name != "CUSTOMERS")
        assert join not in {node.id for node in seen.nodes}


def test_a_circle_is_drawn() -> None:
    """The edge that closes it leads back, through a place of its own in the layers between."""
    sizes = dict.fromkeys("abc", (80.0, 40.0))
    drawing = lay_out(sizes, [("a", "b"), ("b", "c"), ("c", "a")])
    assert [drawing.boxes[n].layer for n in "abc"] == [0, 1, 2]
    way = drawing.ways["c", "a"]
    assert [x for x, _ in way] == sorted((x for x, _ in way), reverse=True)
    assert all(not (b.y < way[1][1] < b.y + b.height) for b in [drawing.boxes["b"]])


def test_crossings_are_avoided() -> None:
    """Chains that were named in a mixed order stand side by side."""
    names = [f"{chain}{step}" for step in range(4) for chain in "abcdef"]
    random.Random(7).shuffle(names)
    edges = [(f"{chain}{step}", f"{chain}{step + 1}") for chain in "fdbace" for step in range(3)]
    drawing = lay_out(dict.fromkeys(names, (100.0, 40.0)), edges)
    for start, end in edges:
        assert drawing.boxes[start].y == pytest.approx(drawing.boxes[end].y, abs=0.2)


@given(st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=6))
def test_crossings_are_counted(after: list[list[int]]) -> None:
    """As by comparing each pair."""
    left = [f"l{i}" for i in range(len(after))]
    links = {name: [f"r{n}" for n in ends] for name, ends in zip(left, after, strict=True)}
    pairs = [(i, n) for i, ends in enumerate(after) for n in ends]
    expected = sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for a, b in itertools.combinations(pairs, 2))
    assert _crossings([left, [f"r{i}" for i in range(6)]], links) == expected  # type: ignore[list-item, arg-type]


@given(st.integers(1, 14), st.lists(st.tuples(st.integers(0, 13), st.integers(0, 13)), max_size=30))
def test_nothing_covers_anything(count: int, pairs: list[tuple[int, int]]) -> None:
    """Boxes stand apart and inside the drawing; edges begin and end at their nodes; it is the same each time."""
    names = [f"n{i}" for i in range(count)]
    sizes = {name: (60.0 + 10 * i, 40.0) for i, name in enumerate(names)}
    edges = [(names[a % count], names[b % count]) for a, b in pairs]
    drawing = lay_out(sizes, edges)
    _check(drawing, edges)
    assert drawing == lay_out(sizes, edges)


def _check(drawing: Drawing, edges: list[tuple[str, str]]) -> None:
    boxes = list(drawing.boxes.values())
    for one, other in itertools.combinations(boxes, 2):
        apart_x = one.x + one.width <= other.x or other.x + other.width <= one.x
        apart_y = one.y + one.height <= other.y or other.y + other.height <= one.y
        assert apart_x or apart_y
    for box in boxes:
        assert box.x >= 0 and box.y >= 0
        assert box.x + box.width <= drawing.width and box.y + box.height <= drawing.height
    assert set(drawing.ways) == {edge for edge in edges if edge[0] != edge[1]}
    for (start, end), way in drawing.ways.items():
        first, last = drawing.boxes[start], drawing.boxes[end]
        assert way[0][0] in (first.x, first.x + first.width) and way[-1][0] in (last.x, last.x + last.width)
        assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in way)
