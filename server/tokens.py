"""Consistency tokens as text.  A token has the offsets up to which a write goes; a read with it waits until it sees them."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from ..runtime.host import Token
from .problems import BAD_REQUEST, ApiError

HEADER = b"penstock-token"


def write_token(token: Token) -> str:
    """Convert a token to text without blanks."""
    ends = [[topic, partition, end] for (topic, partition), end in sorted(token.ends.items())]
    return base64.urlsafe_b64encode(msgspec.json.encode(ends)).decode()


def read_token(text: Any) -> Token:
    """Read a token from text.  Raises: ApiError, if the text is not a token."""
    try:
        ends = msgspec.json.decode(base64.urlsafe_b64decode(text), type=list[tuple[str, int, int]])
    except (msgspec.DecodeError, binascii.Error, ValueError, TypeError, AttributeError) as error:
        raise ApiError(BAD_REQUEST, "this server did not give this consistency token") from error
    return Token({(topic, partition): end for topic, partition, end in ends})


__all__ = ["HEADER", "read_token", "write_token"]
