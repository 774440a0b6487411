"""The flow graph: topics, streams, tables and queries, how data flows between them, and their places in a drawing.

``GET /v1/graph`` sends it to the console, `Database.graph` returns it, and `Database.flow` draws it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from .analysis.durations import duration_text
from .catalog import DataSource
from .flow_layout import Box, Point, lay_out
from .flow_picture import Flow, FlowBox, Kind
from .opened import PROCESSING_LOG
from .state import Engine

_CHARACTER: Final = 7.4
"""The width of a character in pixels, in the fixed-width font of 12 px that drawings have."""
_NAME_MAX: Final = 32
"""The number of characters of a name that are shown."""
_NODE_HEIGHT: Final = 46.0
_NODE_WIDTH_MIN: Final = 124.0
_PADDING: Final = 30.0


@dataclass(frozen=True, slots=True)
class FlowNode:
    """A topic, stream, table or query.

    Attributes:
        id: unique in the graph: ``topic:orders``, ``source:ORDERS``, ``query:CTAS_SPEND_1``.
        kind: ``topic``, ``stream``, ``table`` or ``query``.
        label: the name, shortened to fit into the box.
        facts: of a topic: ``partitions`` and ``records`` (written to it so far).  Of a source: its ``topic``, and if it has
            them ``key`` (names of columns) and ``windows`` (in words).  Of a query: its ``state``, ``statement``, ``lag``,
            ``read``, ``written``, ``late`` and ``bad``.
        box: its place in the drawing.
    """

    id: str
    kind: str
    name: str
    label: str
    facts: Mapping[str, Any]
    box: Box


@dataclass(frozen=True, slots=True)
class FlowEdge:
    """Records flow from ``source`` to ``target`` (ids of nodes).

    Attributes:
        facts: of an edge into a query: ``lag``, the number of records of this input that it has not read, and ``read``, the
            sum of its offsets over all partitions.  Of an edge from a query: ``written``.
        points: its path in a drawing.
    """

    source: str
    target: str
    facts: Mapping[str, Any]
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class FlowGraph:
    """The whole graph.  ``width`` and ``height`` are those of the drawing in pixels."""

    nodes: tuple[FlowNode, ...]
    edges: tuple[FlowEdge, ...]
    width: float
    height: float

    def json(self) -> dict[str, Any]:
        """The graph as ``GET /v1/graph`` returns it."""
        nodes = [
            {
                "id": n.id,
                "kind": n.kind,
                "name": n.name,
                "label": n.label,
                **n.facts,
                "layer": n.box.layer,
                "x": n.box.x,
                "y": n.box.y,
                "width": n.box.width,
                "height": n.box.height,
            }
            for n in self.nodes
        ]
        edges = [{"from": e.source, "to": e.target, **e.facts, "points": e.points} for e in self.edges]
        return {"nodes": nodes, "edges": edges, "width": self.width, "height": self.height}

    def picture(self) -> Flow:
        """A picture of streams, tables, and the queries that write them.

        Topics are left out: a query points to the sources over its topic.
        """
        filled = {edge.source for edge in self.edges}
        over: dict[str, list[str]] = {}
        for edge in self.edges:
            over.setdefault(edge.source, []).append(edge.target)
        boxes, arrows = [], []
        for node in self.nodes:
            if node.kind == "topic" or (node.kind == "query" and node.id not in filled):
                continue
            key, windows = node.facts.get("key"), node.facts.get("windows")
            details = [f"key {', '.join(key)}"] if key else []
            boxes.append(FlowBox(node.id, node.name, cast(Kind, node.kind), (*details, *([windows] if windows else []))))
        for edge in self.edges:
            if not edge.source.startswith("topic:"):
                through = edge.target.startswith("topic:")
                arrows += [(edge.source, target) for target in (over.get(edge.target, ()) if through else [edge.target])]
        return Flow(boxes, arrows)


def flow_graph(engine: Engine, sees: Callable[[DataSource], bool] = lambda source: True) -> FlowGraph:
    """The graph of the present state.

    Args:
        sees: decides which sources are shown.  A query is shown if all its sources and its sink are.
    """
    catalog = engine.catalog
    read = {name for query in catalog.queries.values() for name in query.sources}
    own_log = {PROCESSING_LOG} - read  # every database has it, so it is only shown if a query reads it
    shown = {s.name: s for s in catalog.sources.values() if s.name not in own_log and sees(s)}
    nodes: dict[str, tuple[str, str, dict[str, Any]]] = {}
    edges: dict[tuple[str, str], dict[str, Any]] = {}
    for source in shown.values():
        topic, own = f"topic:{source.topic}", f"source:{source.name}"
        nodes[topic] = ("topic", source.topic, {"partitions": source.partitions, "records": _written(engine, source.topic)})
        nodes[own] = (source.kind.lower(), source.name, {"topic": source.topic, **_shape(source)})
        edges[topic, own] = {}
    for query in catalog.queries.values():
        if query.sink not in shown or not all(name in shown for name in query.sources):
            continue
        run = engine.host.run(query.id)
        progress, positions = run.status.progress, run.status.positions
        account = progress.account
        own = f"query:{query.id}"
        counts = {"read": account.read, "written": account.written, "late": account.late, "bad": account.bad}
        facts = {"state": progress.state, "statement": query.statement, "lag": progress.lag, **counts}
        nodes[own] = ("query", query.id, facts)
        for name in query.sources:
            places = {place: at for place, at in positions.items() if place[0] == shown[name].topic}
            unread = sum(max(0, engine.log.end_offset(*place) - at) for place, at in places.items())
            edges[f"source:{name}", own] = {"lag": unread, "read": sum(places.values())}
        if query.kind != "CST":
            edges[own, f"topic:{shown[query.sink].topic}"] = {"written": account.written}
    labels = {i: _label(name) for i, (_, name, _) in nodes.items()}
    sizes = {i: _size(label) for i, label in labels.items()}
    drawing = lay_out(sizes, list(edges), [edge for edge, facts in edges.items() if facts])
    return FlowGraph(
        tuple(FlowNode(i, kind, name, labels[i], facts, drawing.boxes[i]) for i, (kind, name, facts) in nodes.items()),
        tuple(FlowEdge(*edge, facts, drawing.ways.get(edge, ())) for edge, facts in edges.items()),
        drawing.width,
        drawing.height,
    )


def _shape(source: DataSource) -> dict[str, Any]:
    """The key and the windows of a source."""
    found: dict[str, Any] = {}
    if source.schema.keys:
        found["key"] = [column.name for column in source.schema.keys]
    if (window := source.window) is not None:
        size = "" if window.size_ms is None else f" of {duration_text(window.size_ms)}"
        found["windows"] = f"{window.type.lower()} windows{size}"
    return found


def _written(engine: Engine, topic: str) -> int:
    config = engine.topic(topic)
    return 0 if config is None else sum(engine.log.end_offset(topic, p) for p in range(config.partitions))


def _label(name: str) -> str:
    return name if len(name) <= _NAME_MAX else name[: _NAME_MAX - 1] + "…"


def _size(label: str) -> tuple[float, float]:
    return max(_NODE_WIDTH_MIN, round(_PADDING + _CHARACTER * len(label))), _NODE_HEIGHT


__all__ = ["FlowEdge", "FlowGraph", "FlowNode", "flow_graph"]
