"""Who a client is, and what it may do: SASL mechanisms, users, and the rights of their roles.

Without users everybody may do everything, and the listener binds to the machine itself only.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ..errors import StatementError

__all__ = ["Credentials", "Principal", "ScramExchange", "ScramSecret", "Security", "User"]

Role = Literal["read", "write", "admin"]
Credentials = tuple[str, Role] | tuple[str, Role, Sequence[str]]
"""A password, a role and, if wanted, prefixes."""
_ITERATIONS = 4096
"""Of SCRAM's key derivation: Kafka's default."""
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who was authenticated.

    Attributes:
        role: ``read`` consumes and describes, ``write`` produces, too, ``admin`` does all.
        prefixes: topics, groups and transactional ids whose names begin so; none: all.
    """

    name: str
    role: Role
    prefixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScramSecret:
    """What is kept of a password for SCRAM (RFC 5802): enough to check it, not to know it."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes

    @classmethod
    def of(cls, password: str, algorithm: str, salt: bytes | None = None) -> ScramSecret:
        """Of a password, with ``sha256`` or ``sha512``."""
        salt = salt or secrets.token_bytes(16)
        salted = hashlib.pbkdf2_hmac(algorithm, password.encode(), salt, _ITERATIONS)
        client_key = hmac.digest(salted, b"Client Key", algorithm)
        return cls(
            salt, _ITERATIONS, hashlib.new(algorithm, client_key).digest(), hmac.digest(salted, b"Server Key", algorithm)
        )


class User(Protocol):
    """Somebody who may log in."""

    @property
    def principal(self) -> Principal: ...

    def check(self, password: str) -> bool:
        """Whether this is the password."""

    def scram(self, algorithm: str) -> ScramSecret | None:
        """What SCRAM needs; None if it is not kept for this user."""


@dataclass(frozen=True, slots=True)
class PasswordUser:
    """A user whose password the embedding program gives: only keys that are derived from it are kept."""

    principal: Principal
    secrets: Mapping[str, ScramSecret]

    @classmethod
    def of(cls, principal: Principal, password: str) -> PasswordUser:
        """With keys for both of SCRAM's hash functions."""
        return cls(principal, {name: ScramSecret.of(password, name) for name in ("sha256", "sha512")})

    def check(self, password: str) -> bool:
        """See `User.check`."""
        secret = self.secrets["sha512"]
        return hmac.compare_digest(ScramSecret.of(password, "sha512", secret.salt).stored_key, secret.stored_key)

    def scram(self, algorithm: str) -> ScramSecret | None:
        """See `User.scram`."""
        return self.secrets[algorithm]


@dataclass(frozen=True, slots=True)
class Security:
    """The users of a listener.

    Attributes:
        users: by name; None: nobody logs in, and everybody may do everything.
        certificate, key: files of TLS, in PEM.
    """

    users: Callable[[str], User | None] | None = None
    certificate: str | None = None
    key: str | None = None

    @classmethod
    def of(
        cls, users: Mapping[str, tuple[str, Role] | tuple[str, Role, Sequence[str]]] | None, **files: str | None
    ) -> Security:
        """From name -> password, role and (optional) prefixes.

        Raises:
            StatementError: there is no such role.
        """
        if users is None:
            return cls(None, **files)
        made: dict[str, User] = {}
        for name, given in users.items():
            password, role, *rest = given
            if role not in ("read", "write", "admin"):
                raise StatementError(f"the role of {name!r} is read, write or admin, not {role!r}")
            prefixes = tuple(rest[0]) if rest else ()
            made[name] = PasswordUser.of(Principal(name, role, prefixes), password)
        return cls(made.get, **files)

    @property
    def is_needed(self) -> bool:
        """Whether clients have to log in."""
        return self.users is not None

    def plain(self, token: bytes) -> Principal | None:
        """Who a PLAIN message (RFC 4616) is from; None if it is nobody."""
        parts = token.split(b"\0")
        if len(parts) != 3 or self.users is None:
            return None
        try:
            acts_as, name, password = (p.decode() for p in parts)
        except UnicodeDecodeError:
            return None
        user = self.users(name)
        if user is None:
            ScramSecret.of(password, "sha512")  # takes as long as for a name that there is
            return None
        return user.principal if acts_as in ("", name) and user.check(password) else None

    def may(self, principal: Principal | None, action: str, kind: str, name: str) -> bool:
        """Whether somebody may do something.

        Args:
            action: ``read`` (describe, too), ``write`` or ``admin`` (create, alter, delete).
            kind: ``topic``, ``group``, ``transactional_id`` or ``cluster``.
        """
        if self.users is None:
            return True
        if principal is None:
            return False
        if principal.role == "admin":
            return True
        if kind != "cluster" and principal.prefixes and not name.startswith(principal.prefixes):
            return False
        if kind == "group":  # whoever reads keeps offsets
            return action in ("read", "write")
        return action == "read" or (action == "write" and principal.role == "write")


@dataclass(slots=True)
class ScramExchange:
    """The server's side of SCRAM (RFC 5802), without channel binding: two messages of the client, two answers."""

    algorithm: str
    users: Callable[[str], User | None]
    principal: Principal | None = None
    _user: User | None = None
    _secret: ScramSecret | None = None
    _first: str = ""
    _server_first: str = ""
    _nonce: str = ""
    _begun: bool = False
    _pepper: bytes = field(default_factory=lambda: os.urandom(16))

    def answer(self, message: bytes) -> bytes | None:
        """The answer to the client's next message; None if it is not who it says.  `principal` is set at the end."""
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
        self._user = self.users(name)
        self._secret = None if self._user is None else self._user.scram(self.algorithm)
        salt = self._secret.salt if self._secret else hmac.digest(self._pepper, name.encode(), "sha256")[:16]
        iterations = self._secret.iterations if self._secret else _ITERATIONS
        self._first, self._begun = bare, True
        self._nonce = fields["r"] + secrets.token_urlsafe(18)
        self._server_first = f"r={self._nonce},s={base64.b64encode(salt).decode()},i={iterations}"
        return self._server_first.encode()

    def _finish(self, text: str) -> bytes | None:
        without_proof, _, proof = text.rpartition(",p=")
        fields = dict(part.split("=", 1) for part in without_proof.split(","))
        if self._secret is None or self._user is None or fields["r"] != self._nonce or fields["c"] not in ("biws", "eSws"):
            return None
        signed = f"{self._first},{self._server_first},{without_proof}".encode()
        signature = hmac.digest(self._secret.stored_key, signed, self.algorithm)
        given = base64.b64decode(proof, validate=True)
        if len(given) != len(signature):
            return None
        client_key = bytes(a ^ b for a, b in zip(given, signature, strict=True))
        if not hmac.compare_digest(hashlib.new(self.algorithm, client_key).digest(), self._secret.stored_key):
            return None
        self.principal = self._user.principal
        return b"v=" + base64.b64encode(hmac.digest(self._secret.server_key, signed, self.algorithm))
