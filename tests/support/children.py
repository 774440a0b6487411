"""Work in a forked process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable


def in_child(work: Callable[[], object], timeout_s: float = 60.0) -> str:
    """What ``work`` gives or raises in a forked process, as text; how the process ended if it could not say that.

    A process that takes longer than ``timeout_s`` seconds is killed.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            text = f"gave {work()!r}"
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(write, text.encode()[:4000])
        os._exit(0)
    os.close(write)
    killer = threading.Timer(timeout_s, os.kill, (child, 9))
    killer.start()
    with os.fdopen(read, "rb") as pipe:
        told = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    killer.cancel()
    return told or f"ended with {status}"
