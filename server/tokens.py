"""Penstock's tokens as texts: where a write ended, for reads that must see it."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from ..runtime.host import Token
from .problems import BAD_REQUEST, ApiError

HEADER = b"penstock-token"


def write_token(token: Token) -> str:
    """A token as a text without blanks."""
    ends = [[topic, partition, end] for (topic, partition), end in sorted(token.ends.items())]
    return base64.urlsafe_b64encode(msgspec.json.encode(ends)).decode()


def read_token(text: Any) -> Token:
    """The token of a text.  Raises: ApiError, for one that this server has not made."""
    try:
        ends = msgspec.json.decode(base64.urlsafe_b64decode(text), type=list[tuple[str, int, int]])
    except (msgspec.DecodeError, binascii.Error, ValueError, TypeError, AttributeError) as error:
        raise ApiError(BAD_REQUEST, "the consistency token is not one of this server") from error
    return Token({(topic, partition): end for topic, partition, end in ends})


__all__ = ["HEADER", "read_token", "write_token"]
