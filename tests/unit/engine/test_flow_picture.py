"""What flows into what, as a picture and in words."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import penstock
from penstock.engine.flow_picture import Flow, FlowBox

SCRIPT = """
CREATE STREAM orders (id INT KEY, item STRING, price DOUBLE);
CREATE TABLE items (item STRING PRIMARY KEY, name STRING);
CREATE STREAM named AS SELECT o.item AS item, i.name AS name, o.price AS price FROM orders o JOIN items i ON o.item = i.item;
CREATE TABLE hourly AS SELECT name, SUM(price) AS total FROM named WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY name;
"""


def test_the_flow_of_a_database(tmp_path: Path) -> None:
    """Sources and queries in the order of the flow; the picture holds the words and every name."""
    with penstock.connect(threads=0) as db:
        db.execute(SCRIPT)
        flow = db.flow()
    assert flow.text().splitlines() == [
        "ORDERS (stream, key ID)",
        "ITEMS (table, key ITEM)",
        "CSAS_NAMED_2 (query) <- ORDERS, ITEMS",
        "NAMED (stream, key ITEM) <- CSAS_NAMED_2",
        "CTAS_HOURLY_3 (query) <- NAMED",
        "HOURLY (table, key NAME, tumbling windows of 1 hour) <- CTAS_HOURLY_3",
    ]
    root = ElementTree.fromstring(flow.to_svg(tmp_path / "flow.svg").read_text(encoding="utf-8"))
    texts = "".join(root.itertext())
    assert flow.text() in texts and "stream NAMED" in texts and len(list(root.iterfind("{*}g"))) == 6
    assert "<svg" in flow._repr_html_() and "In words" in flow._repr_html_()


def test_boxes_do_not_lie_on_each_other() -> None:
    """Whatever flows where: circles, boxes without arrows, names that markup would misread."""
    nodes = [FlowBox(str(i), f"<n{i}>", "operator", ("x" * 90,)) for i in range(9)]
    edges = [("0", "3"), ("1", "3"), ("3", "4"), ("4", "0"), ("4", "5"), ("2", "5"), ("5", "8"), ("1", "8")]
    root = ElementTree.fromstring(Flow(nodes, edges).svg())
    boxes = [tuple(float(r.get(k, "0")) for k in ("x", "y", "width", "height")) for r in root.iterfind("{*}g/{*}rect")]
    assert len(boxes) == 9
    for number, (x, y, w, h) in enumerate(boxes):
        for x2, y2, w2, h2 in boxes[number + 1 :]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y


def test_explain_has_the_flow_of_its_plan() -> None:
    """From the scan to the sink, as data beside the text."""
    with penstock.connect(threads=0) as db:
        db.execute(SCRIPT)
        (found,) = db.execute("EXPLAIN SELECT item, COUNT(*) FROM orders GROUP BY item EMIT CHANGES;")
        assert isinstance(found, penstock.Description)
        flow = found.details["flow"]
        titles = [node.title for node in flow.nodes]
        assert titles[0] == "Scan" and titles[-1] == "Output" and "Aggregate" in titles
