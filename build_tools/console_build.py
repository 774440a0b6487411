"""Builds the web console: ``make console``.  It takes node with npm, and an installed penstock for the words of the dialect.

What it writes to ``server/console/dist`` is committed, with a digest of the sources, so that a test can tell if it is of
these sources: whoever installs Penstock needs no node.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

CONSOLE = Path(__file__).resolve().parent.parent / "server" / "console"
DIGEST = CONSOLE / "dist" / "sources.sha256"
WORDS = CONSOLE / "src" / "words.json"
_TYPES = "BOOLEAN INT INTEGER BIGINT DOUBLE DECIMAL DEC STRING VARCHAR BYTES DATE TIME TIMESTAMP ARRAY MAP STRUCT"


def sources() -> list[Path]:
    """All that the built files are made of."""
    single = [CONSOLE / name for name in ("index.html", "package.json", "package-lock.json", "vite.config.js")]
    return sorted([*single, *(p for folder in ("src", "public") for p in (CONSOLE / folder).rglob("*") if p.is_file())])


def digest() -> str:
    """Of all sources, with their names."""
    hashed = hashlib.sha256()
    for path in sources():
        data = path.read_bytes().replace(b"\r\n", b"\n")
        hashed.update(path.relative_to(CONSOLE).as_posix().encode() + b"\0" + data + b"\0")
    return hashed.hexdigest()


def words() -> str:
    """The dialect's words, for the editor's colours: keywords as the grammar has them, and names of types."""
    from penstock.grammar.words import keywords

    types = _TYPES.split()
    return json.dumps({"keywords": sorted(keywords() - set(types)), "types": types}, indent=1) + "\n"


def main() -> None:
    """Build it all."""
    WORDS.write_text(words(), encoding="utf-8")
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=CONSOLE, check=True)
    subprocess.run(["npm", "run", "build"], cwd=CONSOLE, check=True)
    DIGEST.write_text(digest() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
