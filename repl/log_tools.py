"""``penstock log inspect|verify|repair`` and ``penstock backup``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

Write = Callable[[str], None]


def add_commands(commands: Any) -> None:
    """Add the sub-commands to the command line."""
    log = commands.add_parser("log", help="look into, check or repair the files of a database")
    tools = log.add_subparsers(dest="tool", metavar="inspect|verify|repair", required=True)
    inspect = tools.add_parser(
        "inspect",
        help="show topics, segments, frames and the journal",
        description="Show what the files hold. Takes no lock and changes nothing: also beside a process that has the "
        "database open, and for one that cannot be opened.",
    )
    _data(inspect)
    inspect.add_argument("--topic", metavar="NAME", help="only this topic")
    inspect.add_argument("--partition", type=int, metavar="N", help="only this partition")
    inspect.add_argument("--frames", action="store_true", help="every frame, its checksum verified")
    inspect.add_argument("--journal", action="store_true", help="every record of the commit journal")
    verify = tools.add_parser(
        "verify",
        help="read every byte, check every checksum and what files say of each other",
        description="Print everything that is not as it should be. Exit code 1 if there is anything but what a crash "
        "leaves behind and the next open removes. Takes no lock and changes nothing.",
    )
    _data(verify)
    repair = tools.add_parser(
        "repair",
        help="make a damaged database one that opens, and say what is lost",
        description="Put right what can be, keep a copy of every file that is changed or removed in a folder beside "
        "the directory, and say what is lost. Asks first.",
    )
    _data(repair)
    repair.add_argument("--dry-run", action="store_true", help="only say what would be done")
    repair.add_argument("--yes", action="store_true", help="do not ask")
    backup = commands.add_parser(
        "backup",
        help="take a consistent copy of a database",
        description="Copy a database as of one commit, also while a process has it open and writes. The copy is read "
        "once and verified.",
    )
    backup.add_argument("target", metavar="DIR", help="a new or an empty directory")
    _data(backup)
    backup.add_argument("--no-verify", action="store_true", help="do not read the copy again")


def _data(arguments: argparse.ArgumentParser) -> None:
    arguments.add_argument("-d", "--data", metavar="DIR", required=True, help="the database's directory")
    arguments.set_defaults(set=[])


def run(options: argparse.Namespace, write: Write) -> int:
    """Run the sub-command.  Raises: StorageError."""
    if options.command == "backup":
        return take_backup(options.data, options.target, write, verify=not options.no_verify)
    if options.tool == "inspect":
        return inspect(options, write)
    if options.tool == "repair":
        return repair(options, write)
    return verify(options.data, write)


def inspect(options: argparse.Namespace, write: Write) -> int:
    """Print the content of the log's files."""
    from .. import inspect_directory

    for line in inspect_directory(
        options.data, topic=options.topic, partition=options.partition, frames=options.frames, journal=options.journal
    ):
        write(line)
    return 0


def verify(directory: str, write: Write) -> int:
    """Print every finding.  Returns: 1 if one is more than a crash leaves behind."""
    from .. import verify_directory

    findings = verify_directory(directory)
    for finding in findings:
        place = finding.path + ("" if finding.offset is None else f" at byte {finding.offset}")
        write(f"{'note' if finding.harmless else 'DAMAGE'}: {finding.message}\n  {place}")
        if finding.action:
            write(f"  operator action: {finding.action}")
    damage = sum(not f.harmless for f in findings)
    write(f"{damage} findings" if damage else "all files are whole")
    return 1 if damage else 0


def repair(options: argparse.Namespace, write: Write) -> int:
    """Print what is damaged and what a repair would lose; repair if the person agrees."""
    from .. import plan_repair

    with plan_repair(options.data) as plan:
        for step in plan.steps:
            write(f"{step.action}\n  {step.path}\n  lost: {step.loss}")
        for refusal in plan.refused:
            write(f"cannot be repaired: {refusal.message}\n  {refusal.path}\n  operator action: {refusal.action}")
        if not plan.steps:
            write("nothing to repair" if not plan.refused else "nothing was changed")
            return 1 if plan.refused else 0
        if options.dry_run:
            return 1
        if not options.yes and not _agreed(write):
            write("nothing was changed")
            return 1
        kept = plan.apply()
        write(f"repaired; what was changed or removed is kept in {kept}")
        return 1 if plan.refused else 0


def _agreed(write: Write) -> bool:
    if not sys.stdin.isatty():
        write("answer with --yes to repair")
        return False
    return input("Repair? [y/N] ").strip().lower() in ("y", "yes")


def take_backup(directory: str, target: str, write: Write, *, verify: bool) -> int:
    """Copy a database, and verify the copy."""
    from .. import backup_directory, verify_directory

    made = backup_directory(directory, target)
    if verify and (findings := verify_directory(target)):
        for finding in findings:
            write(f"DAMAGE: {finding.message}\n  {finding.path}")
        write("the copy is no better than its source: see `penstock log verify`")
        return 1
    checked = ", verified" if verify else ""
    write(f"{target}: all commits up to {made.epoch}, {made.files} files, {made.bytes:,} bytes{checked}")
    return 0
