"""Lays out a flow graph from left to right: in layers, with few crossings and straight edges.

These are the usual four steps of Sugiyama, Tagawa and Toda (1981).

1. Reverse the edges that close a cycle.
2. Give each node a layer, by its longest path.
3. Order the nodes in each layer by the places of their neighbours.
4. Move each node as near to the middle of its neighbours as its layer allows.

An edge over several layers passes through a point in each of them.

The functions depend only on names and sizes, so the console and ``penstock graph`` draw the same places.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

LAYER_GAP: Final = 44.0
"""The distance between two layers in pixels.  An edge can bend in it."""
LABEL_GAP: Final = 86.0
"""The distance between two layers in pixels if edges have labels."""
NODE_GAP: Final = 28.0
"""The distance between two nodes of a layer in pixels.  The labels of their edges fit into it."""
MARGIN: Final = 16.0
_WAY: Final = 12.0
"""The height reserved for an edge that passes through a layer."""
_SWEEPS: Final = 12
"""The number of sweeps.  Each orders all layers by their neighbours; after a few sweeps nothing changes any more."""

Edge = tuple[str, str]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """The place of a node: its upper left corner and its size, in pixels."""

    layer: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """The places of all nodes, the path of each edge from border to border of its nodes, and the size of the whole."""

    boxes: dict[str, Box]
    ways: dict[Edge, tuple[Point, ...]]
    width: float
    height: float


def lay_out(sizes: Mapping[str, tuple[float, float]], edges: Sequence[Edge], labelled: Collection[Edge] = ()) -> Drawing:
    """Lay out a graph.

    Args:
        sizes: the width and height of each node.  The order decides between equal nodes.
        edges: (from, to).  Both ends are nodes.
        labelled: the edges that have a label at one of their ends.
    """
    edges = list(dict.fromkeys(edge for edge in edges if edge[0] != edge[1]))
    back = _closing(list(sizes), edges)
    forward = [(b, a) if (a, b) in back else (a, b) for a, b in edges]
    layer_of = layers(list(sizes), forward)
    columns, links, chains = _with_ways(sizes, edges, back, layer_of)
    columns = _ordered(columns, links)
    heights = {item: sizes[item][1] if isinstance(item, str) else _WAY for column in columns for item in column}
    middles = _placed(columns, links, heights)
    top = min((middles[i] - heights[i] / 2 for i in middles), default=0.0) - MARGIN

    widths = [max((sizes[i][0] for i in column if isinstance(i, str)), default=0.0) for column in columns]
    gaps = [LAYER_GAP] * len(columns)
    for edge in labelled:
        low, high = sorted((layer_of[edge[0]], layer_of[edge[1]]))
        if low < high:
            gaps[low] = gaps[high - 1] = LABEL_GAP
    boxes: dict[str, Box] = {}
    left = MARGIN
    lefts = []
    for number, column in enumerate(columns):
        lefts.append(left)
        for item in column:
            if isinstance(item, str):
                width, height = sizes[item]
                y = round(middles[item] - top - height / 2, 1)
                boxes[item] = Box(number, round(left + (widths[number] - width) / 2, 1), y, width, height)
        left += widths[number] + gaps[number]
    ways = {}
    for edge, chain in chains.items():
        passing = [(x, round(middles[i] - top, 1)) for i in chain for x in (lefts[i[0]], lefts[i[0]] + widths[i[0]])]
        ways[edge] = _way(boxes, edge, passing, turned=edge in back)
    height = max((b.y + b.height for b in boxes.values()), default=0.0)
    height = max([height, *(y for way in ways.values() for _, y in way)]) + MARGIN
    return Drawing(
        {name: boxes[name] for name in sizes}, ways, round((left - gaps[-1] if columns else left) + MARGIN, 1), height
    )


def _way(boxes: Mapping[str, Box], edge: Edge, passing: list[Point], *, turned: bool) -> tuple[Point, ...]:
    """The path of an edge from the right side of its first node to the left side of its second one.

    The path of an edge that was reversed also goes from left to right.
    """
    first, last = boxes[edge[0]], boxes[edge[1]]
    start = (first.x if turned else first.x + first.width, first.y + first.height / 2)
    end = (last.x + last.width if turned else last.x, last.y + last.height / 2)
    return (start, *(reversed(passing) if turned else passing), end)


# --- layers --------------------------------------------------------------------------------


def layers(nodes: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """The length of the longest path to each node.  Edges that close a cycle do not count.

    >>> layers(["a", "b", "c"], [("a", "b"), ("b", "c"), ("a", "c"), ("c", "a")])
    {'a': 0, 'b': 1, 'c': 2}
    """
    back = _closing(nodes, edges)
    after = _neighbours(nodes, [edge for edge in edges if edge not in back])
    found = dict.fromkeys(nodes, 0)
    for node in reversed(_finished(nodes, after)):
        for following in after[node]:
            found[following] = max(found[following], found[node] + 1)
    return found


def _neighbours(nodes: Sequence[str], edges: Sequence[Edge]) -> dict[str, list[str]]:
    after: dict[str, list[str]] = {node: [] for node in nodes}
    for start, end in edges:
        after[start].append(end)
    return after


def _finished(nodes: Sequence[str], after: Mapping[str, Sequence[str]], closing: set[Edge] | None = None) -> list[str]:
    """The nodes in the order in which a depth-first search leaves them.

    Args:
        closing: gets the edges that lead back to the current path of the search.
    """
    order: list[str] = []
    state: dict[str, int] = {}
    for root in nodes:
        stack: list[tuple[str, Iterator[str]]] = [(root, iter(after[root]))] if root not in state else []
        state.setdefault(root, 1)
        while stack:
            node, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                state[node] = 2
                order.append(node)
                stack.pop()
            elif following not in state:
                state[following] = 1
                stack.append((following, iter(after[following])))
            elif state[following] == 1 and closing is not None:
                closing.add((node, following))
    return order


def _closing(nodes: Sequence[str], edges: Sequence[Edge]) -> set[Edge]:
    """The edges that close a cycle."""
    found: set[Edge] = set()
    _finished(nodes, _neighbours(nodes, edges), found)
    return found


# --- order within layers -------------------------------------------------------------------

Item = str | tuple[int, int]
"""A node, or the point where an edge passes through a layer: the number of the layer and the edge."""
Links = tuple[dict[Item, list[Item]], dict[Item, list[Item]]]
"""The neighbours of each item in the layer before and in the layer after."""


def _with_ways(
    sizes: Mapping[str, object], edges: Sequence[Edge], back: set[Edge], layer_of: Mapping[str, int]
) -> tuple[list[list[Item]], Links, dict[Edge, list[tuple[int, int]]]]:
    """Add to the layers a point for each edge that passes through.

    Returns:
        the layers, the neighbours of each item, and the points of each edge.
    """
    columns: list[list[Item]] = [[] for _ in range(max(layer_of.values(), default=-1) + 1)]
    before: dict[Item, list[Item]] = {}
    after: dict[Item, list[Item]] = {}
    for node in sizes:
        columns[layer_of[node]].append(node)
        before[node], after[node] = [], []
    chains: dict[Edge, list[tuple[int, int]]] = {}
    for number, edge in enumerate(edges):
        start, end = (edge[1], edge[0]) if edge in back else edge
        chain = [(layer, number) for layer in range(layer_of[start] + 1, layer_of[end])]
        path: list[Item] = [start, *chain, end]
        for item in chain:
            columns[item[0]].append(item)
            before[item], after[item] = [], []
        for left, right in pairwise(path):
            after[left].append(right)
            before[right].append(left)
        chains[edge] = chain
    return columns, (before, after), chains


def _ordered(columns: list[list[Item]], links: Links) -> list[list[Item]]:
    """The order with the fewest crossings of those that sweeps in both directions find."""
    best, fewest = columns, _crossings(columns, links[1])
    columns = [list(column) for column in columns]
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        forth = sweep % 2 == 0
        near = links[0] if forth else links[1]
        numbers = range(1, len(columns)) if forth else range(len(columns) - 2, -1, -1)
        for number in numbers:
            fixed = {item: place for place, item in enumerate(columns[number - 1 if forth else number + 1])}
            columns[number] = _by_neighbours(columns[number], near, fixed)
        found = _crossings(columns, links[1])
        if found < fewest:
            best, fewest = [list(column) for column in columns], found
    return best


def _by_neighbours(column: list[Item], near: Mapping[Item, Sequence[Item]], fixed: Mapping[Item, int]) -> list[Item]:
    """Order a layer by the mean place of each item's neighbours.  Items without neighbours keep their places."""
    means = {i: sum(fixed[n] for n in near[i]) / len(near[i]) for i in column if near[i]}
    moving = iter(sorted(means, key=lambda item: means[item]))
    return [next(moving) if item in means else item for item in column]


def _crossings(columns: Sequence[Sequence[Item]], after: Mapping[Item, Sequence[Item]]) -> int:
    """The number of crossings of edges between neighbouring layers: pairs of edges whose order differs in the two layers."""
    count = 0
    for left, right in pairwise(columns):
        place = {item: number for number, item in enumerate(right)}
        ends = [at for item in left for at in sorted(place[n] for n in after[item])]
        counted = [0] * (len(right) + 1)  # a Fenwick tree of the ends so far
        for seen, end in enumerate(ends):
            count += seen - _sum(counted, end + 1)
            at = end + 1
            while at < len(counted):
                counted[at] += 1
                at += at & -at
    return count


def _sum(counted: Sequence[int], at: int) -> int:
    found = 0
    while at:
        found += counted[at]
        at -= at & -at
    return found


# --- places --------------------------------------------------------------------------------


def _placed(columns: Sequence[Sequence[Item]], links: Links, heights: Mapping[Item, float]) -> dict[Item, float]:
    """The vertical middle of each item: near those of its neighbours, and without overlap in its layer."""
    middles: dict[Item, float] = {}
    for column in columns:
        _stack(column, heights, lambda item: 0.0, middles)
    before, after = links
    last = range(len(columns) - 2, -1, -1)
    for near, numbers in ((before, range(1, len(columns))), (after, last), (before, range(1, len(columns)))) * 2:
        for number in numbers:

            def wish(item: Item, near: Mapping[Item, Sequence[Item]] = near) -> float:
                found = near[item]
                return sum(middles[n] for n in found) / len(found) if found else middles[item]

            _stack(columns[number], heights, wish, middles)
    return middles


def _stack(
    column: Sequence[Item], heights: Mapping[Item, float], wish: Callable[[Item], float], middles: dict[Item, float]
) -> None:
    """Place a layer's items in their order and without overlap, with the least sum of squared distances from their wishes.

    Items that would overlap form a block, which is placed at the mean of its members' wishes (pool adjacent violators).
    """
    blocks: list[tuple[float, int]] = []
    offsets: list[float] = []
    offset = 0.0
    for number, item in enumerate(column):
        if number:
            offset += (heights[column[number - 1]] + heights[item]) / 2 + NODE_GAP
        offsets.append(offset)
        at, size = wish(item) - offset, 1
        while blocks and blocks[-1][0] > at:
            other, count = blocks.pop()
            at, size = (other * count + at * size) / (count + size), count + size
        blocks.append((at, size))
    starts = [at for at, size in blocks for _ in range(size)]
    for item, start, offset in zip(column, starts, offsets, strict=True):
        middles[item] = start + offset


__all__ = ["Box", "Drawing", "lay_out", "layers"]
