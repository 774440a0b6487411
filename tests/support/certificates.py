"""Certificates for servers that only a test reaches."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


def certificate(folder: Path, *names: str) -> tuple[Path, Path]:
    """Make a certificate that signs itself, for some names or addresses, and its key: two new files of a folder.

    The test is skipped where there is no openssl.
    """
    found, key = folder / f"{names[0]}.pem", folder / f"{names[0]}.key"
    alternatives = ",".join(f"{'IP' if name[0].isdigit() else 'DNS'}:{name}" for name in names)
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(found)]
    command += ["-days", "2", "-subj", "/CN=penstock", "-addext", f"subjectAltName={alternatives}"]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no openssl here to make a certificate with")
    return found, key
