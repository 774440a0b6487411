"""``/console/``: serves the console's built files to browsers.

A Content-Security-Policy allows its pages scripts and data from this server only, forbids inline code, and forbids other
sites to show them in a frame.
"""

from __future__ import annotations

import gzip
import mimetypes
from pathlib import Path
from typing import Final

from .http import Request

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"vary", b"accept-encoding"),
)
_FOR_EVER: Final = b"public, max-age=31536000, immutable"
"""The Cache-Control of files in ``assets/``: their names have a hash of the content, so they never change."""
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}
"""File ending -> content type.  The operating system's list may have others."""


class ConsoleFiles:
    """Serves the files of a directory.  Each is read once, since they are few and do not change while the server runs."""

    def __init__(self, directory: Path) -> None:
        self._files = {f"/console/{p.relative_to(directory).as_posix()}": p for p in directory.rglob("*") if p.is_file()}
        self._read: dict[str, tuple[bytes, bytes]] = {}

    async def answer(self, request: Request) -> None:
        """Answer with a file; for the directory itself, with its ``index.html``."""
        path = request.scope["path"]
        if path == "/console":
            await request.respond(b"", None, 308, [(b"location", b"/console/")])
            return
        if path == "/console/":
            path = "/console/index.html"
        file = self._files.get(path)
        if file is None:
            await request.respond(b"Not Found", "text/plain; charset=utf-8", 404, _HEADERS)
            return
        if path not in self._read:
            data = file.read_bytes()
            self._read[path] = (data, gzip.compress(data, 6, mtime=0))
        plain, packed = self._read[path]
        headers = [*_HEADERS, (b"cache-control", _FOR_EVER if path.startswith("/console/assets/") else b"no-cache")]
        packs = "gzip" in request.headers.get("accept-encoding", "")
        if packs:
            headers.append((b"content-encoding", b"gzip"))
        type_ = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        data = packed if packs else plain
        if request.scope["method"] == "HEAD":
            data = b""
        charset = "; charset=utf-8" if type_.startswith("text/") else ""
        await request.respond(data, type_ + charset, 200, headers)


__all__ = ["POLICY", "ConsoleFiles"]
