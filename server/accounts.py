"""Accounts of a server: users with hashed passwords, tokens, and their roles, from one TOML file.

::

    [users.ada]
    password = "scrypt$17$8$1$<salt>$<key>"      # penstock password  makes one
    role = "admin"

    [users.bob]
    password = "scrypt$..."
    role = "read"                                # over everything; without it, only the prefixes count
    prefixes = { SHOP_ = "write" }               # over sources and topics whose names begin so

    [tokens.grafana]
    token = "sha256$<hex>"                       # penstock password --token  makes a token and this line
    role = "read"

Passwords are hashed with scrypt (`hashlib.scrypt`).  Tokens are 256 random bits, so they need no slow hash: SHA-256 is used.
The file is read again when it changes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import threading
import tomllib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..errors import StatementError

LEVELS: Final = {"none": 0, "read": 1, "write": 2, "admin": 3}
_SCRYPT = (15, 8, 1)
"""scrypt's log2(N), r and p: each check takes 32 MiB and about 0.1 s."""
_REMEMBERED_MAX: Final = 10_000
"""The largest number of checked credentials that are remembered, so that not every request needs scrypt."""


@dataclass(frozen=True, slots=True)
class Account:
    """The account that makes a request.

    Attributes:
        name: as in the file of accounts; the audit log has it.
        role: the role over everything: ``none``, ``read``, ``write`` or ``admin``.
        prefixes: prefix -> the role over sources and topics whose names begin with it.
    """

    name: str
    role: str = "none"
    prefixes: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"

    def may(self, role: str, *names: str) -> bool:
        """Whether the account has a role over a thing, by any of the thing's names (those of a source and its topic)."""
        if LEVELS[self.role] >= LEVELS[role]:
            return True
        return any(
            LEVELS[granted] >= LEVELS[role]
            for prefix, granted in self.prefixes.items()
            for name in names
            if name.casefold().startswith(prefix.casefold())
        )

    def may_somewhere(self, role: str) -> bool:
        """Whether the account has a role over at least one thing."""
        return LEVELS[self.role] >= LEVELS[role] or any(LEVELS[r] >= LEVELS[role] for r in self.prefixes.values())


EVERYBODY: Final = Account("anonymous", "admin")
"""The account of every request to a server without a file of accounts."""


def hash_password(password: str) -> str:
    """Hash a password; returns the text for the file of accounts."""
    salt = secrets.token_bytes(16)
    key = _scrypt(password, salt, *_SCRYPT)
    return "$".join(["scrypt", *map(str, _SCRYPT), _text(salt), _text(key)])


def new_token() -> tuple[str, str]:
    """Make a token; returns it, and its hash for the file of accounts."""
    token = secrets.token_urlsafe(32)
    return token, "sha256$" + hashlib.sha256(token.encode()).hexdigest()


def password_fits(password: str, kept: str) -> bool:
    """Whether a password matches a hash."""
    _, rounds, block, lanes, salt, key = kept.split("$")
    found = _scrypt(password, base64.b64decode(salt), int(rounds), int(block), int(lanes))
    return hmac.compare_digest(found, base64.b64decode(key))


def _scrypt(password: str, salt: bytes, rounds: int, block: int, lanes: int) -> bytes:
    memory = 128 * block * ((1 << rounds) + lanes + 2) + (1 << 20)
    return hashlib.scrypt(password.encode(), salt=salt, n=1 << rounds, r=block, p=lanes, maxmem=memory, dklen=32)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Accounts:
    """The accounts of a file.  Thread-safe.

    Args:
        path: the file.

    Raises:
        StatementError: the file cannot be read or is not valid.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._secret = os.urandom(32)
        self._known: OrderedDict[bytes, Account] = OrderedDict()
        self._stamp = self._stat()
        self._users, self._tokens = _read(path)
        self._decoy = hash_password(secrets.token_hex(8))
        """The hash that is checked for unknown users, so that the time of an answer does not tell which users exist."""

    def _stat(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError as error:
            raise StatementError(f"the file of users {self._path} cannot be read: {error.strerror}") from error
        return found.st_mtime_ns, found.st_size

    def refresh(self) -> None:
        """Read the file again if it has changed.  Raises: StatementError, if it is not valid; then the accounts stay."""
        stamp = self._stat()
        if stamp == self._stamp:
            return
        users, tokens = _read(self._path)
        with self._guard:
            self._users, self._tokens, self._stamp = users, tokens, stamp
            self._known.clear()

    def remembered(self, header: str) -> Account | None:
        """The account of an Authorization header that `check` accepted recently; None for all others.  Fast."""
        with self._guard:
            return self._known.get(self._digest(header))

    def check(self, header: str) -> Account | None:
        """Check an Authorization header; returns its account, or None if it is wrong.  A password takes 0.1 s of CPU."""
        found = self._checked(header)
        if found is not None:
            with self._guard:
                self._known[self._digest(header)] = found
                while len(self._known) > _REMEMBERED_MAX:
                    self._known.popitem(last=False)
        return found

    def _digest(self, header: str) -> bytes:
        return hmac.digest(self._secret, header.encode("utf-8", "surrogateescape"), "sha256")

    def _checked(self, header: str) -> Account | None:
        scheme, _, rest = header.partition(" ")
        match scheme.lower():
            case "bearer":
                return self._tokens.get(hashlib.sha256(rest.strip().encode()).hexdigest())
            case "basic":
                try:
                    name, found, password = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
                except (binascii.Error, UnicodeDecodeError):
                    return None
                if not found:
                    return None
                kept, account = self._users.get(name, (self._decoy, None))
                return account if password_fits(password, kept) else None
        return None


def _read(path: Path) -> tuple[dict[str, tuple[str, Account]], dict[str, Account]]:
    """Read a file of accounts: user name -> hash and account, and digest of a token -> account.  Raises: StatementError."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StatementError(f"the file of users {path} cannot be read: {error}") from error
    unknown = sorted(set(content) - {"users", "tokens"})
    if unknown:
        raise StatementError(
            f"the file of users {path} has a table {unknown[0]}", suggestion="It takes [users.NAME], [tokens.NAME]."
        )
    users: dict[str, tuple[str, Account]] = {}
    for name, entry in content.get("users", {}).items():
        kept = _entry(path, name, entry, "password")
        parts = kept.split("$")
        if len(parts) != 6 or parts[0] != "scrypt" or not all(p.isdigit() for p in parts[1:4]):
            raise StatementError(
                f"the password of {name} in {path} is not hashed", suggestion="`penstock password` makes a hash."
            )
        users[name] = kept, _account(path, name, entry)
    tokens: dict[str, Account] = {}
    for name, entry in content.get("tokens", {}).items():
        kept = _entry(path, name, entry, "token")
        if not kept.startswith("sha256$"):
            raise StatementError(
                f"the token {name} in {path} is not hashed", suggestion="`penstock password --token` makes one."
            )
        tokens[kept.removeprefix("sha256$")] = _account(path, name, entry)
    return users, tokens


def _entry(path: Path, name: str, entry: Any, key: str) -> str:
    if not isinstance(entry, dict) or not isinstance(entry.get(key), str):
        raise StatementError(f"{name} in {path} has no {key}")
    unknown = sorted(set(entry) - {key, "role", "prefixes"})
    if unknown:
        raise StatementError(
            f"{name} in {path} has an unknown key {unknown[0]}", suggestion=f"Keys are {key}, role, prefixes."
        )
    return str(entry[key])


def _account(path: Path, name: str, entry: dict[str, Any]) -> Account:
    prefixes = entry.get("prefixes", {})
    roles = [entry.get("role", "none"), *(prefixes.values() if isinstance(prefixes, dict) else [None])]
    for role in roles:
        if role not in LEVELS:
            raise StatementError(f"{name} in {path} has the role {role}", suggestion="Roles are read, write and admin.")
    if "admin" in roles[1:]:
        raise StatementError(f"{name} in {path} is admin of a prefix", suggestion="Over prefixes there are read and write.")
    return Account(name, roles[0], dict(prefixes))


__all__ = ["EVERYBODY", "LEVELS", "Account", "Accounts", "hash_password", "new_token", "password_fits"]
