"""Whether a commit that nobody answered happened: its records are looked for."""

from __future__ import annotations

from collections.abc import Callable

from ....errors import LogUnavailableError, StorageError
from .ends import Place
from .parts import Parts
from .reading import OutsideError
from .writing import Delivered

__all__ = ["was_committed"]


def was_committed(log: Parts, delivered: Delivered, compacted: Callable[[Place], bool]) -> bool | None:
    """Look for the first record of a transaction in each partition, until one tells how the transaction ended.

    A record that is there was committed.  One that is not there was not, unless it may have gone since: other processes
    delete what they have taken in (of repartition topics), retention what is old, and compaction what has a newer value.

    Args:
        delivered: where the records came to lie.  Nothing that belongs to their transaction happens any more.
        compacted: whether records of a partition's topic go when their keys get newer values.

    Returns:
        None, if no partition tells.

    Raises:
        LogUnavailableError: no broker answers.
    """
    if delivered.untold:
        return None
    for place, start in sorted(delivered.starts.items(), key=lambda item: (compacted(item[0]), item[0])):
        try:
            log.ends.settle([place])
            found = log.seekers.read(place, start, 1, None, 0)
            if len(found) and int(found.offsets[0]) == start:
                return True
            if not compacted(place) and log.ends.starts([place])[place] <= start:
                return False
        except LogUnavailableError:
            raise
        except (OutsideError, StorageError):  # it was deleted meanwhile, or its topic was
            continue
    return None
