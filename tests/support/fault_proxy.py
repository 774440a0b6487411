"""A TCP proxy that does to connections what networks do."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

_CHUNK = 65_536


class FaultProxy:
    """Hands on what comes to `address` to a target, as long as it is told to.

    Attributes:
        address: ``host:port`` at which it listens.
        target: port of this machine; may be set later.
        silent: connections stay open, and nothing gets through: half-open ones.
        delay_s: of every piece, in both directions.
    """

    def __init__(self, target: int = 0) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.target = target
        self.silent = False
        self.delay_s = 0.0
        self._guard = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target), 2)
            except OSError:
                near.close()
                continue
            with self._guard:
                self._open |= {near, far}
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._hand_on, args=(one, other), daemon=True).start()

    def _hand_on(self, one: socket.socket, other: socket.socket) -> None:
        lost = False
        with suppress(OSError):
            one.settimeout(None)
            while data := one.recv(_CHUNK):
                lost = lost or self.silent  # what a half-open connection swallowed does not come later
                if self.delay_s:
                    time.sleep(self.delay_s)
                if not lost:
                    other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        with self._guard:
            self._open -= {one, other}

    def cut(self) -> None:
        """End all connections that there are."""
        with self._guard:
            ends, self._open = self._open, set()
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Listen no more."""
        self._closed = True
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()
