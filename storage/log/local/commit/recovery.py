"""Opening a log: the commit steps read backwards.

The newest journal's manifest and the entries behind it say what has happened.  Then the files are made to agree with them:

* bytes that commit records carry are written to their segments (again);
* each segment is cut to its recorded length, since the bytes behind it were not committed.  But if the log was closed in
  order, a segment has no such bytes; if it has, the journal is older than the segment, and nothing is cut: that is damage;
* files and directories that the manifest does not know are removed.  They belong to topics, segments and rewrites that were
  not committed or were deleted;
* if any entry was replayed, the journal is rolled.

A segment that is missing or shorter than recorded, and a journal that is damaged before its tail, are a `StorageError`.
After a crash during recovery the next recovery does the same again.
"""

from __future__ import annotations

from collections.abc import Iterable

from .....errors import StorageError
from ....files import Files, is_extension
from ....layout import JOURNALS, TOPICS, index_path, journal_path, partition_directory, segment_path, topic_directory
from ..manifest import Committed, Entry, Manifest, TopicDefined
from .journal import CommitJournal, newest_journal

__all__ = ["recover", "replay"]


def recover(files: Files) -> tuple[CommitJournal, Manifest]:
    """Open the journal and make all files agree with it.

    Returns:
        the journal, and the state of the log.

    Raises:
        StorageError: something is damaged or missing.
    """
    files.make_directory(JOURNALS)
    files.make_directory(TOPICS)
    number = newest_journal(files)
    if number is None:
        return _start(files)
    # The process before us may have been killed, or stopped by a failed sync: names that we see need not be durable.
    files.sync_directory(JOURNALS)
    journal, manifest, entries, torn = CommitJournal.load(files, number)
    carried, touched = replay(manifest, entries)
    changed = _cut_torn_tails(files, manifest, carried, journal.closed)
    for directory in sorted(touched):
        if files.exists(directory):
            files.sync_directory(directory)
    _remove_unknown_files(files, manifest, journal.closed)
    if entries or torn or changed:
        journal.close()
        journal = CommitJournal.create(files, number + 1, manifest)
    else:
        journal.reopen()
    for name in files.list(JOURNALS):
        if f"{JOURNALS}/{name}" != journal_path(journal.number):
            files.remove(f"{JOURNALS}/{name}")
    return journal, manifest


def replay(manifest: Manifest, entries: Iterable[Entry]) -> tuple[dict[str, list[tuple[int, bytes]]], set[str]]:
    """Apply a journal's entries to its manifest.

    Returns:
        the bytes that the entries carry for segments that were not synced (path -> pairs of position and bytes, in order),
        and the directories in which names may not be durable.
    """
    carried: dict[str, list[tuple[int, bytes]]] = {}
    touched: set[str] = set()
    for entry in entries:
        if isinstance(entry, Committed):
            for part in entry.appended:
                topic = manifest.topics[part.topic]
                touched.add(partition_directory(part.topic, topic.id, part.partition))
                if part.data is not None:
                    path = segment_path(part.topic, topic.id, part.partition, part.base, part.generation)
                    carried.setdefault(path, []).append((part.position, part.data))
        elif isinstance(entry, TopicDefined):
            touched.update((TOPICS, topic_directory(entry.name, entry.state.id)))
        manifest.apply(entry)
    return carried, touched


def _start(files: Files) -> tuple[CommitJournal, Manifest]:
    if any(files.list(f"{TOPICS}/{name}") for name in files.list(TOPICS)):
        raise StorageError(
            "the commit journal is missing",
            path=f"{files.root}/{JOURNALS}",
            action="restore it from a backup; without it nobody knows what was committed",
        )
    manifest = Manifest()
    return CommitJournal.create(files, 1, manifest), manifest


_OLDER = (
    "restore the newest commit journal, or the whole database, from one backup: this journal is older than its segments, "
    "and opening it would cut off what came later"
)


def _cut_torn_tails(files: Files, manifest: Manifest, carried: dict[str, list[tuple[int, bytes]]], closed: bool) -> bool:
    """Write the bytes that commit records carried, then cut every segment to its recorded length.

    Args:
        carried: see `replay`.
        closed: the log was closed in order, so no segment can have a torn tail.  A longer segment is then damage and is not
            cut, unless its additional bytes are only zeros that extended the file (`is_extension`).

    Returns:
        whether any file was changed.

    Raises:
        StorageError: a segment is shorter than recorded, or longer although the log was closed in order.
    """
    changed = False
    for name, topic in manifest.topics.items():
        for partition, state in enumerate(topic.partitions):
            directory = partition_directory(name, topic.id, partition)
            files.make_directory(directory)
            for segment in state.segments:
                path = segment_path(name, topic.id, partition, segment.base, segment.generation)
                pieces = carried.get(path, [])
                file = files.open(path, create=bool(pieces))
                try:
                    if pieces and pieces[0][0] > file.size():
                        raise StorageError(
                            f"a segment has {file.size()} bytes, the journal carries what comes after {pieces[0][0]}",
                            path=file.path,
                            offset=file.size(),
                            action="restore the file from a backup, or delete the topic",
                        )
                    if closed and file.size() > segment.length and not is_extension(file, segment.length):
                        raise StorageError(
                            f"a segment has {file.size()} bytes, the journal knows {segment.length} and was closed in order",
                            path=file.path,
                            offset=segment.length,
                            action=_OLDER,
                        )
                    for position, data in pieces:
                        file.write(position, data)
                    size = file.size()
                    if size < segment.length:
                        raise StorageError(
                            f"a segment has {size} bytes, the journal says {segment.length}",
                            path=file.path,
                            offset=size,
                            action="restore the file from a backup, or delete the topic",
                        )
                    if size > segment.length:
                        file.truncate(segment.length)
                    if pieces or size > segment.length:
                        file.sync()
                        changed = True
                finally:
                    file.close()
    return changed


def _remove_unknown_files(files: Files, manifest: Manifest, closed: bool) -> None:
    changed: set[str] = set()
    topics = {topic_directory(name, topic.id).rpartition("/")[2]: (name, topic) for name, topic in manifest.topics.items()}
    for entry in files.list(TOPICS):
        if entry not in topics:
            number = entry.rpartition(".")[2]
            newer = closed and number.isdigit() and int(number) >= manifest.next_topic_id
            if newer and any(files.list(f"{TOPICS}/{entry}/{p}") for p in files.list(f"{TOPICS}/{entry}")):
                raise _later(files, f"{TOPICS}/{entry}", "topic")
            files.remove_directory(f"{TOPICS}/{entry}")
            changed.add(TOPICS)
            continue
        name, topic = topics[entry]
        for partition, state in enumerate(topic.partitions):
            directory = partition_directory(name, topic.id, partition)
            known = {segment_path(name, topic.id, partition, s.base, s.generation) for s in state.segments}
            indexes = {index_path(path) for path in known}  # they are verified when they are used
            for file in files.list(directory):
                if f"{directory}/{file}" not in known and f"{directory}/{file}" not in indexes:
                    base = file.partition("-")[0]
                    if closed and file.endswith("-0.segment") and base.isdigit() and int(base) >= state.end:
                        raise _later(files, f"{directory}/{file}", "segment")
                    files.remove(f"{directory}/{file}")
                    changed.add(directory)
    for directory in sorted(changed):
        files.sync_directory(directory)  # they must not come back under a journal that is closed in order


def _later(files: Files, path: str, what: str) -> StorageError:
    return StorageError(
        f"the commit journal was closed in order and does not know this {what}, which is newer",
        path=f"{files.root}/{path}",
        action=_OLDER,
    )
