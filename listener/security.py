"""Who a client is and what it may do: SASL mechanisms, users, and the rights of roles.

Without users everybody may do everything, and the listener binds to the machine's own address only.
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
"""A password, a role and, optionally, prefixes."""
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
"""What each kind of action allows, as Kafka's operations."""


def operations(may: Callable[[str], bool], kind: str) -> int:
    """The operations that somebody may carry out, as bits by Kafka's numbers.

    Args:
        may: whether they may ``read``, ``write`` or ``admin``.
        kind: ``topic``, ``group`` or ``cluster``.
    """
    allowed = [name for action, names in _OPERATIONS[kind].items() if may(action) for name in names]
    return sum(1 << _CODES[name] for name in allowed)


class Principal(Protocol):
    """An authenticated user."""

    @property
    def name(self) -> str: ...

    def may(self, role: str, *names: str) -> bool:
        """Whether the user has a role (``read``, ``write``, ``admin``) for a thing; without names, for everything."""
        ...


@dataclass(frozen=True, slots=True)
class User:
    """A user of the embedding program.

    Attributes:
        role: ``read`` consumes and describes, ``write`` also produces, ``admin`` does everything.
        prefixes: the user may use topics, groups and transactional ids whose names begin with one of these; if empty, all.
        secrets: keys derived from the password, for ``sha256`` and ``sha512``.  The password itself is not kept.
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
    """What SCRAM (RFC 5802) keeps of a password: enough to check it, not to know it."""

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
        check: finds a user by name and password (for PLAIN); None: nobody logs in, and everybody may do everything.
        scram: finds a user and the secret of his password, by name and hash function; None: no SCRAM.
        certificate, key: files of TLS, in PEM.
    """

    check: Callable[[str, str], Principal | None] | None = None
    scram: Callable[[str, str], tuple[Principal, ScramSecret] | None] | None = None
    certificate: str | None = None
    key: str | None = None

    @classmethod
    def of(cls, users: Mapping[str, Credentials] | None, **files: str | None) -> Security:
        """Make it from name -> password, role and (optional) prefixes.

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
        """The SASL mechanisms that are offered."""
        if self.check is None:
            return ()
        return ("PLAIN",) if self.scram is None else ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")

    def plain(self, token: bytes) -> Principal | None:
        """The user that a PLAIN message (RFC 4616) authenticates; None if it does not."""
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
    """The server's side of a SCRAM login (RFC 5802), without channel binding: two messages of the client, two answers."""

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
        """Answer the client's next message; None if its proof is wrong.  `principal` is set at the end."""
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
