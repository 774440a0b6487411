"""Authenticates clients by SASL and decides what they may do: users, their roles and their rights.

Without users every client may do everything; the listener then takes only an address that other machines cannot reach,
unless it is told otherwise (``insecure``).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from ..errors import StatementError

__all__ = ["Credentials", "Principal", "ScramExchange", "ScramSecret", "Security", "User", "operations"]

Role = Literal["read", "write", "admin"]
Credentials = tuple[str, Role] | tuple[str, Role, Sequence[str]]
"""A user's password, role and, optionally, prefixes of names, see `User`."""
_ITERATIONS = 4096
"""The iterations of SCRAM's key derivation: Kafka's default."""
_LEVELS = {"read": 1, "write": 2, "admin": 3}

_CODES: Final = {
    "READ": 3, "WRITE": 4, "CREATE": 5, "DELETE": 6, "ALTER": 7, "DESCRIBE": 8, "DESCRIBE_CONFIGS": 10, "ALTER_CONFIGS": 11,
}  # fmt: skip
"""Kafka's numbers of operations (KIP-430)."""
_OPERATIONS: Final = {
    "topic": {
        "read": ("READ", "DESCRIBE", "DESCRIBE_CONFIGS"),
        "write": ("WRITE",),
        "admin": ("CREATE", "DELETE", "ALTER", "ALTER_CONFIGS"),
    },
    "group": {"read": ("READ", "DESCRIBE"), "admin": ("DELETE",)},
    "cluster": {"read": ("DESCRIBE", "DESCRIBE_CONFIGS"), "admin": ("CREATE", "ALTER", "ALTER_CONFIGS")},
}
"""Kind of thing -> role -> the operations of Kafka that the role allows."""


def operations(may: Callable[[str], bool], kind: str) -> int:
    """The operations that a client may carry out, as a bit field by Kafka's numbers (KIP-430).

    Args:
        may: whether the client may ``read``, ``write`` or ``admin``.
        kind: ``topic``, ``group`` or ``cluster``.
    """
    allowed = [name for action, names in _OPERATIONS[kind].items() if may(action) for name in names]
    return sum(1 << _CODES[name] for name in allowed)


class Principal(Protocol):
    """An authenticated user."""

    @property
    def name(self) -> str: ...

    def may(self, role: str, *names: str) -> bool:
        """Whether the user has a role (``read``, ``write``, ``admin``) for things of these names; without names, for all."""
        ...


@dataclass(frozen=True, slots=True)
class User:
    """A user whose password the program gives (see `broker`).

    Attributes:
        role: ``read`` may consume and describe, ``write`` may also produce, ``admin`` may do everything.
        prefixes: the user may use topics, groups and transactional ids whose names begin with one of these; all if empty.
        secrets: ``sha256`` and ``sha512`` -> the secret derived from the password, which itself is not kept.
    """

    name: str
    role: Role
    prefixes: tuple[str, ...]
    secrets: Mapping[str, ScramSecret]

    @classmethod
    def of(cls, name: str, password: str, role: Role, prefixes: Sequence[str] = ()) -> User:
        """Make a user from a password."""
        return cls(name, role, tuple(prefixes), {n: ScramSecret.of(password, n) for n in ("sha256", "sha512")})

    def may(self, role: str, *names: str) -> bool:
        """See `Principal.may`."""
        if _LEVELS[self.role] < _LEVELS[role]:
            return False
        return not self.prefixes or any(name.startswith(self.prefixes) for name in names)

    def check(self, password: str) -> bool:
        """Whether a password is the user's."""
        secret = self.secrets["sha512"]
        return hmac.compare_digest(ScramSecret.of(password, "sha512", secret.salt).stored_key, secret.stored_key)


@dataclass(frozen=True, slots=True)
class ScramSecret:
    """What a server keeps of a password for SCRAM (RFC 5802): keys that can check the password, but not reveal it."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes

    @classmethod
    def of(cls, password: str, algorithm: str, salt: bytes | None = None) -> ScramSecret:
        """Derive the secret of a password, with ``sha256`` or ``sha512``."""
        salt = salt or secrets.token_bytes(16)
        salted = hashlib.pbkdf2_hmac(algorithm, password.encode(), salt, _ITERATIONS)
        client_key = hmac.digest(salted, b"Client Key", algorithm)
        return cls(
            salt, _ITERATIONS, hashlib.new(algorithm, client_key).digest(), hmac.digest(salted, b"Server Key", algorithm)
        )


@dataclass(frozen=True, slots=True)
class Security:
    """How clients log in.

    Attributes:
        check: finds a user by name and password (for PLAIN).  None: clients do not log in and may do everything.
        scram: finds a user and the secret of the password by name and hash function.  None: no SCRAM.
        certificate, key: PEM files for TLS.
    """

    check: Callable[[str, str], Principal | None] | None = None
    scram: Callable[[str, str], tuple[Principal, ScramSecret] | None] | None = None
    certificate: str | None = None
    key: str | None = None

    @classmethod
    def of(cls, users: Mapping[str, Credentials] | None, **files: str | None) -> Security:
        """Make it from users (name -> password, role and, optionally, prefixes) and the files for TLS.

        Raises:
            StatementError: a role does not exist.
        """
        if users is None:
            return cls(None, None, **files)
        made: dict[str, User] = {}
        for name, given in users.items():
            password, role, *rest = given
            if role not in _LEVELS:
                raise StatementError(f"the role of {name!r} must be read, write or admin, not {role!r}")
            made[name] = User.of(name, password, role, tuple(rest[0]) if rest else ())
        decoy = User.of("", os.urandom(8).hex(), "read")

        def check(name: str, password: str) -> User | None:
            user = made.get(name, decoy)  # takes as long for a name that nobody has
            return user if user.check(password) and user is not decoy else None

        def scram(name: str, algorithm: str) -> tuple[User, ScramSecret] | None:
            user = made.get(name)
            return None if user is None else (user, user.secrets[algorithm])

        return cls(check, scram, **files)

    @property
    def is_needed(self) -> bool:
        """Whether clients must log in."""
        return self.check is not None

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """The names of the SASL mechanisms that clients may use."""
        if self.check is None:
            return ()
        return ("PLAIN",) if self.scram is None else ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")

    def plain(self, token: bytes) -> Principal | None:
        """The user that a PLAIN message (RFC 4616) authenticates; None if name or password are wrong."""
        parts = token.split(b"\0")
        if len(parts) != 3 or self.check is None:
            return None
        try:
            acts_as, name, password = (p.decode() for p in parts)
        except UnicodeDecodeError:
            return None
        return self.check(name, password) if acts_as in ("", name) else None

    def may(self, principal: Principal | None, action: str, kind: str, name: str) -> bool:
        """Whether a user may do something.

        Args:
            action: ``read`` (also describe), ``write`` or ``admin`` (create, alter, delete).
            kind: ``topic``, ``group``, ``transactional_id`` or ``cluster``.
        """
        if self.check is None:
            return True
        if principal is None:
            return False
        if kind == "cluster":
            return principal.may(action)
        if kind == "group" and action != "admin":  # whoever reads keeps offsets
            return principal.may("read", name)
        return principal.may(action, name)


@dataclass(slots=True)
class ScramExchange:
    """The server's side of one SCRAM login (RFC 5802) without channel binding: it answers two messages of the client."""

    algorithm: str
    known: Callable[[str, str], tuple[Principal, ScramSecret] | None]
    principal: Principal | None = None
    _user: tuple[Principal, ScramSecret] | None = None
    _first: str = ""
    _server_first: str = ""
    _nonce: str = ""
    _begun: bool = False
    _pepper: bytes = field(default_factory=lambda: os.urandom(16))

    def answer(self, message: bytes) -> bytes | None:
        """Answer the client's next message; None if the login has failed.  The second answer sets ``principal``."""
        try:
            text = message.decode()
            return self._begin(text) if not self._begun else self._finish(text)
        except (UnicodeDecodeError, ValueError, KeyError):
            return None

    def _begin(self, text: str) -> bytes | None:
        if not text.startswith(("n,", "y,")):
            return None
        _, acts_as, bare = text.split(",", 2)
        fields = dict(part.split("=", 1) for part in bare.split(","))
        name = fields["n"].replace("=2C", ",").replace("=3D", "=")
        if acts_as and acts_as != f"a={fields['n']}":
            return None
        self._user = self.known(name, self.algorithm)
        salt, iterations = hmac.digest(self._pepper, name.encode(), "sha256")[:16], _ITERATIONS
        if self._user is not None:
            salt, iterations = self._user[1].salt, self._user[1].iterations
        self._first, self._begun = bare, True
        self._nonce = fields["r"] + secrets.token_urlsafe(18)
        self._server_first = f"r={self._nonce},s={base64.b64encode(salt).decode()},i={iterations}"
        return self._server_first.encode()

    def _finish(self, text: str) -> bytes | None:
        without_proof, _, proof = text.rpartition(",p=")
        fields = dict(part.split("=", 1) for part in without_proof.split(","))
        if self._user is None or fields["r"] != self._nonce or fields["c"] not in ("biws", "eSws"):
            return None
        principal, secret = self._user
        signed = f"{self._first},{self._server_first},{without_proof}".encode()
        signature = hmac.digest(secret.stored_key, signed, self.algorithm)
        given = base64.b64decode(proof, validate=True)
        if len(given) != len(signature):
            return None
        client_key = bytes(a ^ b for a, b in zip(given, signature, strict=True))
        if not hmac.compare_digest(hashlib.new(self.algorithm, client_key).digest(), secret.stored_key):
            return None
        self.principal = principal
        return b"v=" + base64.b64encode(hmac.digest(secret.server_key, signed, self.algorithm))
