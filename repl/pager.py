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
    wanted = os.environ.get("PAGER", "less")
    command = shlex.split(wanted) if wanted else []
    if not command or shutil.which(command[0]) is None or not sys.stdout.isatty():
        print(text, flush=True)
        return
    environment = {**os.environ, "LESSSECURE": "1", "LESS": os.environ.get("LESS", "-FRSX")}
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, text=True, encoding="utf-8") as process:
        try:
            assert process.stdin is not None
            process.stdin.write(text + "\n")
            process.stdin.close()
        except (BrokenPipeError, KeyboardInterrupt):  # the person has seen enough
            pass
        while process.poll() is None:
            try:
                process.wait()
            except KeyboardInterrupt:  # the pager's own business
                continue
