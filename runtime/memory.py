"""The process's allocator: memory that a step gives back is there for the next one."""

from __future__ import annotations

from typing import Final

import numpy as np

__all__ = ["keep_freed_memory"]

_BLOCK_BYTES: Final = 31 << 20
"""Just below the largest block from which glibc learns (32 MiB)."""


def keep_freed_memory() -> None:
    """Have glibc's malloc keep up to 62 MiB of freed memory at the end of each of its arenas, instead of 128 KiB.

    It adapts to the largest block that a program has freed, so that blocks of a step's size come again without a call of the
    system, which clears each of their pages anew.  Whoever sets ``MALLOC_TRIM_THRESHOLD_`` or ``MALLOC_MMAP_THRESHOLD_`` is
    heeded: then it does not adapt.  The block is never touched, so it takes no memory.  Other allocators take no notice.
    """
    np.empty(_BLOCK_BYTES, np.uint8)
