"""Moves rows to the partition of their new key through topics, where processes share the partitions of a query.

Within one process an `Exchange` moves rows in memory.  If partitions are in several processes, a repartition topic takes
its place, as in Kafka Streams: the nodes before it write to the topic, the nodes behind it read from it, and both write,
read and commit in the transactions of the query's steps.  Such topics cut a query into subtopologies.  A process has a task
of a subtopology for each partition of the subtopology's topics that it has.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future
from contextvars import copy_context
from dataclasses import replace
from functools import partial

import pyarrow as pa

from ...errors import StorageError
from ...storage.log.protocol import Log, TopicConfig, TopicPartition
from ..dataflow import Dataflow, Exchange, Node, OperatorNode, Sink, Source, Tap, inputs_of
from ..operators.base import OperatorContext
from ..operators.moving import Pack, Unpack, moving_schema
from .step_data import Input

__all__ = [
    "COPY_OF",
    "PURGE_S",
    "REPARTITION_PREFIX",
    "Purging",
    "ensure_moving_topic",
    "ensure_moving_topics",
    "subtopologies",
    "through_topics",
]

COPY_OF = "copy.of"
"""The property of an internal topic that names the query which copies (or moves) rows to it."""
_LOGGER = logging.getLogger("penstock.queries")
PURGE_S = 30.0
"""How often processed records are deleted, in seconds: Kafka Streams' ``repartition.purge.interval.ms``."""

REPARTITION_PREFIX = "_penstock-repartition-"
"""The prefix of repartition topics; the query and the place in it follow, with a ``-`` between them."""


def through_topics(dataflow: Dataflow, query_id: str, partitions: int) -> Dataflow:
    """The query with a repartition topic in place of each exchange.

    An exchange needs none if only the query's own topic follows, which places rows by their key anyway.

    Args:
        partitions: the largest number of partitions of its sources; a query over one partition cannot be shared and stays
            as it is.
    """
    if partitions == 1:
        return dataflow
    nodes: list[Node] = []
    lines: list[int] = []
    numbers: list[int] = []
    """The new number of each node."""
    for old, node in enumerate(dataflow.nodes):
        if isinstance(node, Exchange) and _only_written(dataflow, old):
            numbers.append(numbers[node.input])
            continue
        if isinstance(node, Exchange):
            nodes += _moved(node, query_id, partitions, numbers[node.input], len(nodes))
        elif isinstance(node, OperatorNode):
            nodes.append(replace(node, inputs=tuple(numbers[i] for i in node.inputs)))
        elif isinstance(node, Sink | Tap):
            nodes.append(replace(node, input=numbers[node.input]))
        else:
            nodes.append(node)
        numbers.append(len(nodes) - 1)
        if dataflow.lines:
            lines += [dataflow.lines[old]] * (len(nodes) - len(lines))
    return replace(dataflow, nodes=tuple(nodes), lines=tuple(lines))


def _only_written(dataflow: Dataflow, number: int) -> bool:
    """Whether what follows a node does no more than change rows one by one, and write them."""
    followers = [(n, node) for n, node in enumerate(dataflow.nodes) if number in inputs_of(node)]
    return all(
        isinstance(node, Sink)
        or (
            isinstance(node, OperatorNode)
            and len(node.inputs) == 1
            and (made := node.make(OperatorContext(node.name))).row_preserving
            and not made.stores
            and _only_written(dataflow, n)
        )
        for n, node in followers
    )


def _moved(node: Exchange, query_id: str, partitions: int, input_: int, first: int) -> list[Node]:
    """What takes an exchange's place, numbered from ``first`` on."""
    moving = moving_schema(node.schema, node.key_count)
    topic = f"{REPARTITION_PREFIX}{query_id}-{node.name}"
    count = 1 if node.key_serde is None else min(node.partitions or partitions, partitions)
    config = TopicConfig(count, pa.struct(list(moving)), internal=True, properties={COPY_OF: query_id})
    unpack = partial(Unpack, schema=node.schema, key_count=node.key_count, before=node.before)
    return [
        OperatorNode(f"{node.name}-pack", (input_,), partial(Pack, schema=node.schema, key_count=node.key_count)),
        Sink(f"{node.name}-topic", first, topic, node.key_serde, None, copy=config, moves=True),
        Source(node.name, topic, False, None, pa.schema([]), None, moving, moved_by=first + 1),
        OperatorNode(f"{node.name}-unpack", (first + 2,), unpack),
    ]


def subtopologies(dataflow: Dataflow) -> tuple[int, ...]:
    """The subtopology of each node, numbered in the order of their first nodes."""
    found = list(range(len(dataflow.nodes)))

    def root(number: int) -> int:
        while found[number] != number:
            number = found[number]
        return number

    for number, node in enumerate(dataflow.nodes):
        for other in inputs_of(node):
            one, two = sorted((root(number), root(other)))
            found[two] = one
    roots: dict[int, int] = {}
    return tuple(roots.setdefault(root(number), len(roots)) for number in range(len(found)))


def ensure_moving_topics(log: Log, dataflow: Dataflow) -> None:
    """Create the repartition topics of a query, see `ensure_moving_topic`."""
    for node in dataflow.nodes:
        if isinstance(node, Sink) and node.moves and node.topic is not None and node.copy is not None:
            ensure_moving_topic(log, node.topic, node.copy)


def ensure_moving_topic(log: Log, topic: str, config: TopicConfig) -> None:
    """Create a repartition topic, or extend it, so that it can hold these columns.

    A query that is replaced adds columns; records on their way keep theirs.

    Raises:
        StorageError: it holds columns of other types.
    """
    have = log.config(topic)
    if have is None:
        log.create_topic(topic, config, durable=False)
        return
    fields = list(have.value_type or ())
    kept: Mapping[str, pa.DataType] = {f.name: f.type for f in fields}
    wanted: Mapping[str, pa.DataType] = {f.name: f.type for f in config.value_type or ()}
    others = sorted(name for name in kept.keys() & wanted.keys() if kept[name] != wanted[name])
    if others or have.partitions != config.partitions:
        raise StorageError(
            f"rows are on their way through {topic} in another form than the changed query moves them"
            + "".join(f"; {n.partition('.')[2]} was {kept[n]}, not {wanted[n]}" for n in others),
            action="DROP what the query fills and create it again, which reads its sources from the beginning",
        )
    if added := [pa.field(name, type_) for name, type_ in wanted.items() if name not in kept]:
        log.alter_topic(topic, replace(have, value_type=pa.struct([*fields, *added])))


class Purging:
    """Deletes processed records of repartition topics, and expired ones of changelogs, from time to time, beside the query's
    steps.

    Args:
        executor: runs it; None runs it on the caller's thread.
    """

    def __init__(self, log: Log, executor: Executor | None) -> None:
        self._log = log
        self._executor = executor
        self._last_s = time.monotonic()
        self._done: dict[TopicPartition, int] = {}
        self._running: Future[None] | None = None

    def committed(self, inputs: Iterable[Input], expired: Callable[[], Mapping[TopicPartition, int]]) -> None:
        """Note that a step was committed.

        Args:
            inputs: all inputs of the query.
            expired: see `StateKeeper.expired`.
        """
        if time.monotonic() - self._last_s < PURGE_S or (self._running is not None and not self._running.done()):
            return
        self._last_s = time.monotonic()
        # who takes over begins at the kept position, and is to find it
        moved = {(i.source.topic, i.partition): i.kept for i in inputs if i.source.moved_by is not None}
        due = {place: offset for place, offset in moved.items() if offset > self._done.get(place, 0)} | dict(expired())
        if self._executor is None:
            self._purge(due)
        elif due:
            self._running = self._executor.submit(copy_context().run, self._purge, due)

    def _purge(self, due: Mapping[TopicPartition, int]) -> None:
        try:
            for place, offset in due.items():
                self._log.delete_before(*place, offset)
                self._done[place] = offset
        except StorageError as error:
            _LOGGER.warning("records that are no longer needed could not be deleted now: %s", error)
