"""``penstock group``: shows and resets consumer groups, as Kafka's ``kafka-consumer-groups`` does."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import StatementError
from . import render


def add_arguments(commands: Any, common: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add the arguments of the sub-command.

    Args:
        commands: what `argparse.ArgumentParser.add_subparsers` returned.
        common: adds the arguments that all sub-commands have.
    """
    group = commands.add_parser(
        "group",
        help="list, describe, reset and delete consumer groups",
        description="Look at the consumer groups of a data directory that no other process has open, or change them.",
    )
    actions = group.add_subparsers(dest="action", metavar="action", required=True)
    for name, what in (
        ("list", "the groups, with how far they are behind"),
        ("describe", "where a group is, partition by partition"),
        ("reset", "move a group's committed offsets"),
        ("delete", "forget a group"),
    ):
        action = actions.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        if name != "list":
            action.add_argument("group", help="the group's name")
        if name == "reset":
            action.add_argument("--topic", action="append", metavar="NAME", help="only this topic's (repeatable)")
            where = action.add_mutually_exclusive_group(required=True)
            where.add_argument("--to-earliest", action="store_true", help="the first records that there are")
            where.add_argument("--to-latest", action="store_true", help="after the last ones")
            where.add_argument("--to-offset", type=int, metavar="N", help="this offset")
            where.add_argument("--to-datetime", metavar="TIME", help="2026-01-31T12:00:00.000, in UTC unless it says else")
            where.add_argument("--shift-by", type=int, metavar="N", help="so many records forward, or back")
            action.add_argument("--dry-run", action="store_true", help="show what it would do, and do nothing")
        common(action)


def run_group(options: argparse.Namespace, settings: dict[str, str], write: Callable[[str], None]) -> int:
    """Run the sub-command.

    Raises:
        StatementError: there is no such directory, or no such group.
        ClientError: the change is refused.
        StorageError: the directory is damaged, or open elsewhere.
    """
    if options.data is None or not Path(options.data).is_dir():
        raise StatementError("penstock group needs the directory of a database: -d DIR")
    from .. import connect  # not before: the arguments are there at once

    width = shutil.get_terminal_size((120, 40)).columns
    with connect(options.data, settings=settings, threads=0, create=False) as database:
        groups = database.groups
        if options.action == "list":
            rows = [(name, group.state, len(group.partitions), group.lag) for name, group in groups.items()]
            write(render.table(["GROUP", "STATE", "PARTITIONS", "LAG"], rows, width) if rows else "(none)")
            return 0
        if options.action == "reset":
            moved = groups.reset(options.group, options.topic, dry_run=options.dry_run, **_where(options))
            write(render.table(["TOPIC", "PARTITION", "NEW-OFFSET"], [(*place, to) for place, to in moved.items()], width))
            if options.dry_run:
                write("nothing was changed (--dry-run)")
            return 0
        if options.group not in groups:
            raise StatementError(f"there is no group {options.group!r}")
        if options.action == "delete":
            groups.delete(options.group)
            write(f"group {options.group} deleted")
            return 0
        places = [(p.topic, p.partition, p.committed, p.end, p.lag) for p in groups[options.group].partitions]
        write(render.table(["TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG"], places, width))
        return 0


def _where(options: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `Groups.reset`.  Raises: StatementError, if a time cannot be read."""
    if options.to_earliest or options.to_latest:
        return {"to": "earliest" if options.to_earliest else "latest"}
    if options.to_offset is not None:
        return {"to_offset": options.to_offset}
    if options.shift_by is not None:
        return {"shift_by": options.shift_by}
    try:
        moment = datetime.fromisoformat(options.to_datetime)
    except ValueError as problem:
        raise StatementError(f"--to-datetime takes a time such as 2026-01-31T12:00:00.000: {problem}") from problem
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return {"to_timestamp": round(moment.timestamp() * 1000)}


__all__ = ["add_arguments", "run_group"]
