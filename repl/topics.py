"""``penstock topic list|create|alter|delete|describe``: topics of a data directory, on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from .pairs import name_and_value
from .user_functions import add_functions

__all__ = ["add_topic_commands", "run_topic_command"]

_CONFIG_HELP = "a value by Kafka's name, for example retention.ms=3600000; -1 is no limit (repeatable)"


def add_topic_commands(commands: Any) -> None:
    """Add ``topic`` to the sub-commands of ``penstock``."""
    topic: argparse.ArgumentParser = commands.add_parser(
        "topic",
        help="list, create, alter, delete and describe topics",
        description="Topics of a data directory that no other process has open.",
    )
    actions = topic.add_subparsers(dest="action", metavar="action", required=True)

    def action(name: str, text: str, *, named: bool = True) -> argparse.ArgumentParser:
        found: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if named:
            found.add_argument("name", help="the topic; its case counts")
        found.add_argument("-d", "--data", metavar="DIR", required=True, help="data directory")
        add_functions(found)
        return found

    listing = action("list", "list topics: partitions, bytes, config", named=False)
    listing.add_argument("--all", action="store_true", help="internal ones, too")
    create = action("create", "create a topic of bytes")
    create.add_argument("-p", "--partitions", type=int, default=1, metavar="N", help="how many partitions (1)")
    create.add_argument("-c", "--config", metavar="NAME=VALUE", action="append", default=[], help=_CONFIG_HELP)
    alter = action("alter", "set a topic's config, or add partitions")
    alter.add_argument(
        "-p", "--partitions", type=int, metavar="N", help="how many there are to be; only while no record has a key"
    )
    alter.add_argument("-c", "--config", metavar="NAME=VALUE", action="append", default=[], help=_CONFIG_HELP)
    alter.add_argument("--default", metavar="NAME", action="append", default=[], help="back to the default (repeatable)")
    action("delete", "delete a topic and its records; refused while a source or query stands on it")
    action("describe", "show a topic's config, partitions, offsets, segments, bytes and times")


def run_topic_command(options: argparse.Namespace, show: Callable[[str], None]) -> int:
    """Run ``penstock topic``.

    Raises:
        StatementError: it is not possible; nothing has changed.
        StorageError: the directory is open elsewhere, or damaged.
    """
    from .. import connect

    config: dict[str, object] = dict(name_and_value("--config", text) for text in getattr(options, "config", ()))
    with connect(options.data, threads=0, create=options.action == "create") as database:
        match options.action:
            case "list":
                _list(database, options.all, show)
            case "create":
                database.create_topic(options.name, partitions=options.partitions, config=config)
                show(f"topic {options.name} created")
            case "alter":
                config.update(dict.fromkeys(options.default))
                database.alter_topic(options.name, config, partitions=options.partitions)
                show(f"topic {options.name} altered")
            case "delete":
                database.delete_topic(options.name)
                show(f"topic {options.name} deleted")
            case "describe":
                _describe(database.describe_topic(options.name), show)
    return 0


def _list(database: Any, everything: bool, show: Callable[[str], None]) -> None:
    from .render import result

    for listing in database.execute(f"SHOW {'ALL ' if everything else ''}TOPICS EXTENDED;"):
        show(result(listing))


def _describe(topic: Any, show: Callable[[str], None]) -> None:
    from .render import table

    show(f"{topic.name}: {len(topic.partitions)} partitions, {topic.size_bytes} bytes")
    if topic.sources:
        show(f"sources: {', '.join(topic.sources)}")
    show(table(("Config", "Value"), list(topic.config.items())))
    rows = [(p.partition, p.start_offset, p.end_offset, p.segments, p.size_bytes, *p.times) for p in topic.partitions]
    columns = ("Partition", "Start Offset", "End Offset", "Segments", "Bytes", "First Record", "Last Record")
    show(table(columns, rows))
