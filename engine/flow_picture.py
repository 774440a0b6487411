"""Draws a flow as a picture and as text: a flow graph (`FlowGraph.picture`), or the operators of a plan.

The picture is one SVG that needs no other file.  Its description, for screen readers, is the text.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal

from ..paths import named_path
from .flow_layout import lay_out, layers
from .plan.explain import describe
from .plan.tree import PlanNode

__all__ = ["Flow", "FlowBox", "flow_of_plan"]

Kind = Literal["stream", "table", "query", "operator"]

_CHARACTER_PX = 7.3
"""The width in pixels of a character in a fixed-width font of 12 px."""
_LINE_PX = 16
_PADDING_PX = 10
_TEXT_WIDTH = 38
"""The number of characters in a line of a box."""


@dataclass(frozen=True, slots=True)
class FlowBox:
    """A box.

    Attributes:
        name: unique in the flow.
        kind: the box's shape shows it, and its first line says it, for people who cannot see the shape.
        details: further lines.
    """

    name: str
    title: str
    kind: Kind
    details: tuple[str, ...] = ()


class Flow:
    """Boxes, and the arrows between them.

    Attributes:
        nodes: in an order in which arrows lead forward, except in cycles.
        edges: (from, to), by name.
    """

    def __init__(self, nodes: Iterable[FlowBox], edges: Iterable[tuple[str, str]]) -> None:
        found = {node.name: node for node in nodes}
        self.edges = tuple(dict.fromkeys(edge for edge in edges if edge[0] in found and edge[1] in found))
        depth = layers(list(found), self.edges)
        self.nodes = tuple(sorted(found.values(), key=lambda node: depth[node.name]))

    def inputs(self, name: str) -> list[str]:
        """The names of the boxes with an arrow to this one."""
        return [before for before, after in self.edges if after == name]

    def text(self) -> str:
        """One line for each box: what it is, and its inputs."""
        titles = {node.name: node.title for node in self.nodes}
        lines = []
        for node in self.nodes:
            details = "".join(f", {detail}" for detail in node.details)
            before = [titles[name] for name in self.inputs(node.name)]
            lines.append(f"{node.title} ({node.kind}{details})" + (f" <- {', '.join(before)}" if before else ""))
        return "\n".join(lines) or "(nothing flows)"

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        twin = f"<details><summary>In words</summary><pre>{escape(self.text())}</pre></details>"
        return f'<div style="overflow-x: auto">{self.svg()}</div>{twin}'

    def to_svg(self, path: str | Path) -> Path:
        """Write the picture to a file, and return the path.

        Raises:
            OSError: it cannot be written.
        """
        target = named_path(path)
        target.write_text(self.svg() + "\n", encoding="utf-8")
        return target

    def svg(self) -> str:
        """The picture: layers from left to right."""
        boxes = {node.name: _Box(node) for node in self.nodes}
        drawing = lay_out({name: (box.width, box.height) for name, box in boxes.items()}, self.edges)
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{drawing.width:.0f}" height="{drawing.height:.0f}" '
            f'viewBox="0 0 {drawing.width:.0f} {drawing.height:.0f}" role="img" aria-label="flow of queries" '
            'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="12">',
            f"<desc>{escape(self.text())}</desc>",
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0 L8 4 L0 8 z" fill="#555555"/></marker></defs>',
        ]
        parts += [_arrow(way) for way in drawing.ways.values()]
        parts += [box.svg(drawing.boxes[name].x, drawing.boxes[name].y) for name, box in boxes.items()]
        return "\n".join([*parts, "</svg>"])


_FILLS: dict[Kind, str] = {"stream": "#e3f0fb", "table": "#fdf1d7", "query": "#f1f1f1", "operator": "#f1f1f1"}


class _Box:
    """A box with its size in px."""

    def __init__(self, node: FlowBox) -> None:
        self.kind: Kind = node.kind
        self.head = node.title if node.kind == "operator" else f"{node.kind} {node.title}"
        self.lines = [part for detail in node.details for part in textwrap.wrap(detail, _TEXT_WIDTH) or [""]]
        longest = max(len(self.head), *map(len, self.lines), 0) if self.lines else len(self.head)
        self.width = longest * _CHARACTER_PX + 2 * _PADDING_PX
        self.height = (1 + len(self.lines)) * _LINE_PX + _PADDING_PX

    def svg(self, x: float, y: float) -> str:
        radius = 14 if self.kind in ("query", "operator") else 3
        place = f'x="{x:.1f}" y="{y:.1f}" width="{self.width:.1f}" height="{self.height:.1f}"'
        parts = [f'<g><rect {place} rx="{radius}" fill="{_FILLS[self.kind]}" stroke="#333333"/>']
        if self.kind == "table":  # a second border
            inner = f'x="{x + 3:.1f}" y="{y + 3:.1f}" width="{self.width - 6:.1f}" height="{self.height - 6:.1f}"'
            parts.append(f'<rect {inner} fill="none" stroke="#333333"/>')
        for number, line in enumerate([self.head, *self.lines]):
            base = y + _PADDING_PX / 2 + (number + 1) * _LINE_PX - 4
            weight = ' font-weight="bold"' if number == 0 else ""
            parts.append(
                f'<text x="{x + _PADDING_PX:.1f}" y="{base:.1f}" fill="#111111"{weight} xml:space="preserve">'
                f"{escape(line)}</text>"
            )
        return "".join(parts) + "</g>"


def _arrow(way: Sequence[tuple[float, float]]) -> str:
    """A line through the points of a path, curved at both ends."""
    (x, y), *others = way
    steps = [f"M{x:.1f} {y:.1f}"]
    for to_x, to_y in others:
        bend = (to_x - x) / 2
        steps.append(f"C{x + bend:.1f} {y:.1f} {to_x - bend:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y
    return f'<path d="{" ".join(steps)}" fill="none" stroke="#555555" marker-end="url(#tip)"/>'


def flow_of_plan(plan: PlanNode) -> Flow:
    """The flow of a plan's operators, from its sources to its sinks."""
    nodes: list[FlowBox] = []
    edges: list[tuple[str, str]] = []

    def walk(node: PlanNode) -> str:
        name = str(len(nodes))
        title, _, rest = describe(node).split(" [", 1)[0].partition(" ")
        nodes.append(FlowBox(name, title, "operator", (rest,) if rest else ()))
        edges.extend((walk(below), name) for below in node.inputs)
        return name

    walk(plan)
    return Flow(reversed(nodes), edges)
