"""``python -m penstock`` is the command line."""

from __future__ import annotations

import sys

from .repl.cli import main

if __name__ == "__main__":
    sys.exit(main())
