"""Shows a long text in the person's pager, or prints it if there is none."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys

__all__ = ["page"]


def page(text: str) -> None:
    """Show a text in ``$PAGER`` (``less`` by default).  The pager cannot start other programs (``LESSSECURE``)."""
    command = _command(os.environ.get("PAGER", "less"))
    if not command or shutil.which(command[0]) is None or not sys.stdout.isatty():
        print(text, flush=True)
        return
    environment = {**os.environ, "LESSSECURE": "1", "LESS": os.environ.get("LESS", "-FRSX")}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, bufsize=0)
    assert process.stdin is not None
    rest = memoryview((text + "\n").encode("utf-8", "replace"))
    try:
        while rest:
            rest = rest[process.stdin.write(rest) :]
    except (BrokenPipeError, KeyboardInterrupt):  # the person has seen enough
        pass
    process.stdin.close()
    while process.poll() is None:
        try:
            process.wait()
        except KeyboardInterrupt:  # the pager's own business
            continue


def _command(wanted: str) -> list[str]:
    """The words of a command; none if it cannot be understood."""
    try:
        return shlex.split(wanted)
    except ValueError:
        return []
