"""Makes TLS contexts from the certificate files that a user names."""

from __future__ import annotations

import ssl
from os import PathLike

from .errors import StatementError, StorageError, printable
from .paths import named_path

__all__ = ["server_context"]


def server_context(certificate: str | PathLike[str] | None, key: str | PathLike[str] | None) -> ssl.SSLContext | None:
    """Make the TLS context of a server; None without a certificate.

    Args:
        certificate: a PEM file with the certificate.  If ``key`` is None, it has the private key, too.
        key: a PEM file with the private key.

    Raises:
        StatementError: there is a key without a certificate.
        StorageError: the files cannot be read, or do not belong together.
    """
    if certificate is None:
        if key is not None:
            raise StatementError("TLS takes both: a certificate and its private key")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    files = [None if path is None else named_path(path) for path in (certificate, key)]
    try:
        context.load_cert_chain(files[0], files[1], password=_no_password)  # type: ignore[arg-type]
    except OSError as error:
        raise StorageError(
            f"the certificate and its private key cannot be used: {error.strerror or printable(str(error))}",
            path=str(files[0]),
            action="give PEM files: a certificate, and the private key that belongs to it, without a password",
        ) from error
    return context


def _no_password() -> str:
    """The password for an encrypted key: none.  Without this function, OpenSSL would ask for one at the terminal."""
    return ""
