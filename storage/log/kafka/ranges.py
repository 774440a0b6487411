"""Kafka's assignor ``range``: which member of a group gets which partitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from ..protocol import TopicPartition

__all__ = ["assigned", "spares"]


def assigned(members: Sequence[str], counts: Mapping[str, int]) -> dict[str, set[TopicPartition]]:
    """Every member's partitions.

    Args:
        members: in the order of the group.
        counts: how many partitions each topic has.
    """
    found: dict[str, set[TopicPartition]] = {member: set() for member in members}
    for topic, count in counts.items():
        each, more = divmod(count, len(members)) if members else (0, 0)
        start = 0
        for number, member in enumerate(members):
            stop = start + each + (number < more)
            found[member] |= {(topic, partition) for partition in range(start, stop)}
            start = stop
    return found


def spares(members: Sequence[str], own: str, counts: Mapping[str, int], deaths: int) -> set[TopicPartition]:
    """The partitions that a member would get if so many of the others ended, beyond those that it has."""
    others = [member for member in members if member != own]
    found: set[TopicPartition] = set()
    for gone in combinations(others, min(deaths, len(others))):
        left = [member for member in members if member not in gone]
        found |= assigned(left, counts).get(own, set())
    return found - assigned(members, counts).get(own, set())
