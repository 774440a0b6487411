"""Kafka's assignors, as pure functions: they decide which member of a group reads which partition.

Names are those of Kafka's ``partition.assignment.strategy``.  ``sticky`` and ``cooperative-sticky`` are the same here, since
every rebalance moves only partitions that change their owner (see `coordinator`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...storage.log.protocol import TopicPartition

__all__ = ["STRATEGIES", "Assignor"]

Assignor = Callable[
    [Mapping[str, frozenset[str]], Mapping[str, int], Mapping[TopicPartition, str]], dict[TopicPartition, str]
]
"""(topics of each member, in order of joining; partitions of each topic; present owners) -> the owner of every partition
that at least one member wants.
"""


def _wanted(members: Mapping[str, frozenset[str]], partitions: Mapping[str, int]) -> list[tuple[str, list[str]]]:
    """The topics that members want, in order of their names, each with these members."""
    found = [(topic, [m for m, topics in members.items() if topic in topics]) for topic in sorted(partitions)]
    return [(topic, readers) for topic, readers in found if readers]


def range_(
    members: Mapping[str, frozenset[str]], partitions: Mapping[str, int], owners: Mapping[TopicPartition, str]
) -> dict[TopicPartition, str]:
    """Give each member neighbouring partitions, topic by topic.

    If they do not divide evenly, the first members get one more.
    """
    assigned: dict[TopicPartition, str] = {}
    for topic, readers in _wanted(members, partitions):
        share, more = divmod(partitions[topic], len(readers))
        first = 0
        for place, member in enumerate(readers):
            after = first + share + (place < more)
            assigned.update({(topic, number): member for number in range(first, after)})
            first = after
    return assigned


def round_robin(
    members: Mapping[str, frozenset[str]], partitions: Mapping[str, int], owners: Mapping[TopicPartition, str]
) -> dict[TopicPartition, str]:
    """Give all partitions in order to the members in turn; a member that does not want a topic is skipped."""
    order = list(members)
    turn = 0
    assigned: dict[TopicPartition, str] = {}
    for topic, readers in _wanted(members, partitions):
        for number in range(partitions[topic]):
            while order[turn % len(order)] not in readers:
                turn += 1
            assigned[topic, number] = order[turn % len(order)]
            turn += 1
    return assigned


def sticky(
    members: Mapping[str, frozenset[str]], partitions: Mapping[str, int], owners: Mapping[TopicPartition, str]
) -> dict[TopicPartition, str]:
    """Assign as evenly as possible, and move few partitions.

    Owners keep the partitions that they still want.  Free ones go to the member with the fewest.  Then single partitions
    move to members that have at least two fewer, until there is no such pair.  Each move makes the assignment more even, so
    this ends.
    """
    readers = dict(_wanted(members, partitions))
    held: dict[str, list[TopicPartition]] = {member: [] for member in members}
    free: list[TopicPartition] = []
    for topic in readers:
        for number in range(partitions[topic]):
            owner = owners.get((topic, number))
            if owner in held and topic in members[owner]:
                held[owner].append((topic, number))
            else:
                free.append((topic, number))
    for place in free:
        least = min(readers[place[0]], key=lambda m: len(held[m]))
        held[least].append(place)
    while _move_one(members, held):
        pass
    return {place: member for member, places in held.items() for place in places}


def _move_one(members: Mapping[str, frozenset[str]], held: dict[str, list[TopicPartition]]) -> bool:
    by_load: Sequence[str] = sorted(held, key=lambda m: len(held[m]))
    for giver in reversed(by_load):
        for taker in by_load:
            if len(held[giver]) - len(held[taker]) < 2:
                break
            for index in range(len(held[giver]) - 1, -1, -1):
                if held[giver][index][0] in members[taker]:
                    held[taker].append(held[giver].pop(index))
                    return True
    return False


STRATEGIES: Mapping[str, Assignor] = {
    "cooperative-sticky": sticky,
    "sticky": sticky,
    "range": range_,
    "roundrobin": round_robin,
}
