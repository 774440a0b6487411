"""Making a damaged database one that opens: what can be put right, what is lost by it, and what has to be refused.

* A damaged or missing ``format``: written again.
* A journal damaged before its end: the whole log goes back to the last commit before the damage, all partitions together,
  so that queries, their state and their positions agree.  A checkpoint that is newer goes, if the changelog still has all.
* A segment that is damaged, cut off or missing: its whole frames are kept, the lost offsets become a gap.  Nothing is
  processed again; who had not read the lost records will not get them.  For a changelog that is allowed only where a
  checkpoint covers the gap; the statements, the schemas and other internal topics must be whole.
* Bytes in segments behind what a journal that was closed in order knows: what a forked process wrote is put behind the rest
  as far as it is whole (see `leftovers`), the rest is cut.
* A damaged checkpoint: removed, if the changelog still has all of its store.

Everything that is changed or removed is copied to a folder beside the directory first.  What happens, happens when the new
journal has its name, as in any rewrite: a repair that is interrupted is begun again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote

from ..errors import StorageError
from .files import Files, RealFiles
from .layout import (
    CHANGELOG_PREFIX,
    FORMAT,
    FORMAT_VERSION,
    JOURNALS,
    LOCK,
    STATE,
    TOPICS,
    UNFINISHED,
    check_version,
    check_whole,
    journal_path,
    segment_path,
    topic_directory,
)
from .log.local.commit.journal import CommitJournal
from .log.local.maintenance.inspect import LogContents, read_log
from .log.local.maintenance.leftovers import Leftover, find_leftovers, put_behind
from .log.local.maintenance.repair import rescue_segment
from .log.local.maintenance.verify import first_problem
from .log.local.manifest import SegmentState
from .state.checkpoint import SUFFIXES, CheckpointFiles
from .verify import LogFault

__all__ = ["RepairPlan", "RepairStep", "plan_repair"]

_FROM_BACKUP = "restore the database from a backup"


@dataclass(frozen=True, slots=True)
class RepairStep:
    """One action of a repair on the file ``path``, and the data ``lost`` by it."""

    action: str
    path: str
    loss: str


@dataclass(slots=True)
class RepairPlan:
    """The actions of a repair.  It holds the directory until it is closed.

    Attributes:
        steps: in order.
        refused: damage that cannot be repaired; if there is any, nothing is done.
    """

    files: Files
    log: LogContents
    steps: list[RepairStep] = field(default_factory=list)
    refused: list[LogFault] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    written: dict[str, tuple[object, ...]] = field(default_factory=dict)
    new_journal: bool = False

    def __enter__(self) -> RepairPlan:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.files.close()

    def apply(self) -> str:
        """Carry out the repair, and return the folder with copies of what was changed or removed.

        Raises:
            StorageError: something cannot be repaired, or the disk is full or failing.
        """
        if self.refused:
            first = self.refused[0]
            raise StorageError(first.message, path=first.path, offset=first.offset, action=first.action)
        kept = self._keep()
        files = self.files
        if self.new_journal:
            for path, pieces in self.log.carried.items():
                if path not in self.removed:
                    _write(files, path, pieces)
            for path, chunks in self.written.items():
                files.remove(path)
                _write(files, path, [(0, b"".join(chunks))])  # type: ignore[arg-type]  # bytes and memoryviews
            assert self.log.number is not None
            CommitJournal.create(files, self.log.number + 1, self.log.manifest).close()
            files.remove(journal_path(self.log.number))
        for path in self.removed:
            files.remove(path)
            files.sync_directory(path.rpartition("/")[0])
        if any(step.path.endswith(f"/{FORMAT}") for step in self.steps):
            files.replace(FORMAT, b"penstock %d\n" % FORMAT_VERSION)
        return kept

    def _keep(self) -> str:
        """Copy what will change, durably, to a new folder beside the directory."""
        number = 1
        while Path(f"{self.files.root}.broken-{number}").exists():
            number += 1
        copies = RealFiles(f"{self.files.root}.broken-{number}")
        copies.make_directory("")
        for path in dict.fromkeys(self.kept + self.removed):
            if self.files.exists(path):
                copies.make_directory(path.rpartition("/")[0])
                copies.replace(path, self.files.read_bytes(path))
        copies.close()
        return copies.root


def _write(files: Files, path: str, pieces: list[tuple[int, bytes]]) -> None:
    file = files.open(path, create=True)
    try:
        for position, data in pieces:
            file.write(position, data)
        file.sync()
    finally:
        file.close()
    files.sync_directory(path.rpartition("/")[0])


def plan_repair(path: str | Path) -> RepairPlan:
    """Plan the repair of a directory, which is held until the plan is closed.

    Raises:
        StorageError: there is no such directory, it is open elsewhere, or it is an unfinished backup.
    """
    if not Path(path).is_dir():
        raise StorageError("there is no such directory", path=str(path))
    files = RealFiles(path)
    if not (files.exists(FORMAT) or files.exists(UNFINISHED) or files.list(JOURNALS)):
        raise StorageError("the directory holds no database", path=str(path))
    files.lock(LOCK)
    try:
        check_whole(files)
        plan = RepairPlan(files, read_log(files))
        _plan_format(plan)
        if _plan_journal(plan):
            left = find_leftovers(plan.files, plan.log) if plan.log.problem is None else []
            _plan_segments(plan)
            _plan_leftovers(plan, left)
            _plan_checkpoints(plan)
    except BaseException:
        files.close()
        raise
    return plan


def _plan_format(plan: RepairPlan) -> None:
    place = f"{plan.files.root}/{FORMAT}"
    try:
        if plan.files.exists(FORMAT):
            check_version(plan.files)
            return
    except StorageError:
        plan.kept.append(FORMAT)
    if not plan.log.records:
        plan.refused.append(LogFault("the version is unknown, and the journal cannot be read", place, 0, _FROM_BACKUP))
        return
    plan.steps.append(
        RepairStep(f"write 'penstock {FORMAT_VERSION}', the version that can read the journal", place, "nothing")
    )


def _plan_journal(plan: RepairPlan) -> bool:
    """Returns whether there is a log to go on with."""
    log = plan.log
    if log.problem is None:
        return True
    if not log.records or log.number is None:
        plan.refused.append(LogFault(log.problem.message, log.problem.path or "", log.problem.offset, _FROM_BACKUP))
        return False
    path = journal_path(log.number)
    plan.steps.append(
        RepairStep(
            f"take the whole log back to commit {log.manifest.epoch}, the last before the damage",
            f"{plan.files.root}/{path}",
            f"all commits from {log.manifest.epoch + 1} on, in all topics, groups and queries; what follows from them in "
            "other systems does not go back",
        )
    )
    plan.kept.append(path)
    plan.kept.extend(_beyond(plan.files, log))
    plan.new_journal = True
    return True


def _beyond(files: Files, log: LogContents) -> Iterator[str]:
    """The files below ``log/topics`` that the next open will cut or remove, since later commits wrote them."""
    lengths = {
        segment_path(name, topic.id, number, s.base, s.generation): s.length
        for name, topic in log.manifest.topics.items()
        for number, state in enumerate(topic.partitions)
        for s in state.segments
    }
    for topic in files.list(TOPICS):
        for partition in files.list(f"{TOPICS}/{topic}"):
            for name in files.list(f"{TOPICS}/{topic}/{partition}"):
                path = f"{TOPICS}/{topic}/{partition}/{name}"
                if len(files.read_bytes(path)) > lengths.get(path, -1):
                    yield path


def _plan_segments(plan: RepairPlan) -> None:
    manifest = plan.log.manifest
    for name, topic in manifest.topics.items():
        for number, partition in enumerate(topic.partitions):
            left: list[SegmentState] = []
            for state in partition.segments:
                problem = first_problem(plan.files, plan.log, name, number, state)
                left.extend([state] if problem is None else _plan_segment(plan, name, number, state, problem))
            partition.segments = left


def _plan_segment(plan: RepairPlan, topic: str, number: int, state: SegmentState, problem: LogFault) -> list[SegmentState]:
    config = plan.log.manifest.topics[topic]
    path = segment_path(topic, config.id, number, state.base, state.generation)
    rescue = rescue_segment(plan.files, plan.log, topic, number, state)
    ranges = ", ".join(f"{a} to {b - 1}" for a, b in rescue.lost)
    if config.internal and rescue.lost and rescue.lost[-1][1] > _covered(plan, topic, number):
        what = "the changelog of a query, and no checkpoint covers it" if topic.startswith(CHANGELOG_PREFIX) else "internal"
        plan.refused.append(
            LogFault(
                f"{problem.message}: offsets {ranges} of {topic}, partition {number}, are lost, and the topic is {what}",
                f"{plan.files.root}/{path}",
                problem.offset,
                _FROM_BACKUP,
            )
        )
        return [state]
    plan.steps.append(
        RepairStep(
            f"{problem.message}: keep the whole frames of {topic}, partition {number}",
            f"{plan.files.root}/{path}",
            f"offsets {ranges}" if ranges else "nothing",
        )
    )
    plan.removed.append(path)
    plan.new_journal = True
    plan.kept.append(journal_path(plan.log.number or 0))
    if rescue.state is None:
        return []
    plan.written[segment_path(topic, config.id, number, rescue.state.base, rescue.state.generation)] = rescue.chunks
    return [rescue.state]


def _plan_leftovers(plan: RepairPlan, left: list[Leftover]) -> None:
    """Bytes behind what a journal that was closed in order knows: the database does not open with them."""
    for one in left:
        steps = [f"put {one.rows} records of {one.topic}, partition {one.partition}, behind the others"] if one.rows else []
        if one.cut:
            steps.append(f"go on without what stands behind the {one.length} bytes of this file that the journal knows")
        plan.steps.append(
            RepairStep(
                "the journal was closed in order, and another process wrote: " + ", and ".join(steps),
                f"{plan.files.root}/{one.path}",
                "what a process that was forked from the one that had the database open wrote, where it is not put behind; "
                "if the journal was replaced by an older one: everything later, so put the newest one back instead",
            )
        )
        plan.kept.append(one.path)
        if one.cut and not one.length:
            plan.removed.append(one.path)
    if left:
        plan.written.update(put_behind(plan.log, left))
        plan.kept.append(journal_path(plan.log.number or 0))
        plan.new_journal = True
    for directory in _unknown_topics(plan):
        plan.steps.append(
            RepairStep(
                "the journal does not know this topic: go on without it", f"{plan.files.root}/{directory}", "the topic"
            )
        )
        for partition in plan.files.list(directory):
            names = [f"{directory}/{partition}/{name}" for name in plan.files.list(f"{directory}/{partition}")]
            plan.removed.extend(names)
        plan.kept.append(journal_path(plan.log.number or 0))
        plan.new_journal = True


def _unknown_topics(plan: RepairPlan) -> list[str]:
    """Directories with files, of topics that a journal that was closed in order does not know."""
    if not plan.log.closed or plan.log.problem is not None:
        return []
    known = {topic_directory(name, topic.id) for name, topic in plan.log.manifest.topics.items()}
    found = [f"{TOPICS}/{entry}" for entry in plan.files.list(TOPICS) if f"{TOPICS}/{entry}" not in known]
    return [path for path in found if any(plan.files.list(f"{path}/{part}") for part in plan.files.list(path))]


def _covered(plan: RepairPlan, topic: str, number: int) -> int:
    """The changelog offset up to which a checkpoint that is whole holds a store's changes; 0 if there is none."""
    newest = 0
    for path, owner, partition, offset in _checkpoints(plan.files):
        if owner == topic and partition == number:
            try:
                CheckpointFiles(plan.files).check(path)
            except StorageError:
                return 0
            newest = max(newest, offset)
    return newest


def _checkpoints(files: Files) -> Iterator[tuple[str, str, int, int]]:
    """Path, changelog topic, partition and offset of every checkpoint, by their names."""
    for query in files.list(STATE):
        for name in files.list(f"{STATE}/{query}"):
            rest, _, offset = name.rpartition(".")[0].rpartition("-")
            store, _, partition = rest.rpartition("-")
            if name.endswith(SUFFIXES) and offset.isdigit() and partition.isdigit():
                topic = f"{CHANGELOG_PREFIX}{unquote(query)}-{unquote(store)}"
                yield f"{STATE}/{query}/{name}", topic, int(partition), int(offset)


def _plan_checkpoints(plan: RepairPlan) -> None:
    for path, topic, number, offset in _checkpoints(plan.files):
        described = plan.log.manifest.topics.get(topic)
        state = None if described is None or number >= len(described.partitions) else described.partitions[number]
        what = ""
        try:
            CheckpointFiles(plan.files).check(path)
        except StorageError as error:
            what = error.message
        if not what and state is not None and offset > state.end:
            what = f"the checkpoint is of changelog offset {offset}, the log ends at {state.end}"
        if not what:
            continue
        place = f"{plan.files.root}/{path}"
        if state is not None and state.start == 0:
            plan.steps.append(RepairStep(f"{what}: remove it", place, "nothing: the changelog holds all of the store"))
            plan.removed.append(path)
        else:
            plan.refused.append(
                LogFault(
                    f"{what}, and the changelog does not reach back to the store's beginning", place, None, _FROM_BACKUP
                )
            )
