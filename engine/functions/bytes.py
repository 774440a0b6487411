"""Bytes: their text encodings, and numbers read from them."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Callable

import pyarrow as pa

from ...runtime.kernel import Evaluated
from ..columns.arrow import by_prepared
from ..columns.kinds import Datum
from .registry import scalar

CATEGORY = "BYTES"

_ENCODINGS = "hex, utf8, ascii or base64"


# --- texts of bytes ------------------------------------------------------------------------


def _from_hex(text: str) -> bytes:
    try:
        if text.strip() != text or " " in text:
            raise ValueError
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"not hexadecimal digits, two for a byte: {text!r}") from None


def _to_ascii(text: str) -> bytes:
    """Characters that ASCII does not have become ``?``."""
    return text.encode("ascii", "replace")


def _from_ascii(data: bytes) -> str:
    return data.decode("ascii", "replace")


@scalar(
    "TO_BYTES",
    f"The bytes of a text in an encoding: {_ENCODINGS}.",
    "(text STRING, encoding STRING) -> BYTES",
    category=CATEGORY,
)
def to_bytes(text: str, encoding: str) -> bytes:
    """Encode a text.

    Raises:
        ValueError: the text cannot be read in the encoding, or the encoding is unknown.
    """
    match encoding.lower():
        case "hex":
            return _from_hex(text)
        case "utf8":
            return text.encode()
        case "ascii":
            return _to_ascii(text)
        case "base64":
            return decode_base64(text)
    raise ValueError(f"unknown encoding {encoding!r}: it must be {_ENCODINGS}")


@scalar(
    "FROM_BYTES",
    f"The text of bytes in an encoding: {_ENCODINGS}.",
    "(bytes BYTES, encoding STRING) -> STRING",
    category=CATEGORY,
)
def from_bytes(data: bytes, encoding: str) -> str:
    match encoding.lower():
        case "hex":
            return data.hex().upper()
        case "utf8":
            return data.decode("utf-8", "replace")
        case "ascii":
            return _from_ascii(data)
        case "base64":
            return base64.b64encode(data).decode()
    raise ValueError(f"unknown encoding {encoding!r}: it must be {_ENCODINGS}")


def decode_base64(text: str) -> bytes:
    """Decode standard base64.  Padding is optional, and line breaks are skipped (MIME and ksqlDB have one after 76
    characters).

    Raises:
        ValueError: the text is not base64.
    """
    digits = text.replace("\r", "").replace("\n", "")
    try:
        return base64.b64decode(digits + "=" * (-len(digits) % 4) if "=" not in digits else digits, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"not base64 text: {text!r}") from error


# --- ENCODE --------------------------------------------------------------------------------


def _from_written_hex(text: str) -> bytes:
    """Decode hexadecimal digits, also as ``0x..`` or ``X'..'``.  If their number is odd, the first digit is a byte of its
    own.
    """
    if text.startswith("0x"):
        text = text[2:]
    elif match := re.fullmatch(r"[xX]'(.*)'", text, re.DOTALL):
        text = match[1]
    return _from_hex("0" + text if len(text) % 2 else text)


_NO_BASE64 = re.compile(r"[^A-Za-z0-9+/]")
_URL_SAFE = str.maketrans("-_", "+/")


def _from_lenient_base64(text: str) -> bytes:
    """Decode base64 in either alphabet up to a padding sign.  Other characters are skipped."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        pass
    digits = _NO_BASE64.sub("", text.split("=", 1)[0].translate(_URL_SAFE))
    if len(digits) % 4 == 1:
        digits = digits[:-1]
    return base64.b64decode(digits + "=" * (-len(digits) % 4))


_DECODERS: dict[str, Callable[[str], bytes]] = {
    "hex": _from_written_hex,
    "utf8": str.encode,
    "ascii": _to_ascii,
    "base64": _from_lenient_base64,
}
_ENCODERS: dict[str, Callable[[bytes], str]] = {
    "hex": bytes.hex,
    "utf8": lambda data: data.decode("utf-8", "replace"),
    "ascii": _from_ascii,
    "base64": lambda data: base64.b64encode(data).decode(),
}


@scalar(
    "ENCODE",
    f"A text in one encoding as text in another: {_ENCODINGS}.",
    "(text STRING, from STRING, to STRING) -> STRING",
    style="arrow",
    category="STRING",
)
def encode(text: Datum, from_: Datum, to: Datum) -> Evaluated:
    """A row fails if its text cannot be read in the encoding, or the encoding is unknown."""
    return by_prepared(_recoder, pa.string(), text, from_, to)


def _recoder(from_: str, to: str) -> Callable[[str], str]:
    decoder, encoder = _DECODERS.get(from_.lower()), _ENCODERS.get(to.lower())
    if decoder is None or encoder is None:
        raise ValueError(f"unknown encoding {from_ if decoder is None else to!r}: it must be {_ENCODINGS}")
    return lambda text: encoder(decoder(text))


# --- numbers -------------------------------------------------------------------------------

_ORDERS = {"BIG_ENDIAN": ">", "LITTLE_ENDIAN": "<"}


def _define(name: str, type_: str, code: str) -> None:
    size = struct.calcsize(">" + code)

    def function(data: bytes, order: str = "BIG_ENDIAN") -> object:
        if len(data) != size:
            raise ValueError(f"{name} needs {size} bytes, not {len(data)}")
        if order.upper() not in _ORDERS:
            raise ValueError(f"unknown byte order {order!r}: it must be BIG_ENDIAN or LITTLE_ENDIAN")
        return struct.unpack(_ORDERS[order.upper()] + code, data)[0]

    meaning = f"The {type_} that {size} bytes hold, in BIG_ENDIAN (the default) or LITTLE_ENDIAN order."
    scalar(name, meaning, f"(bytes BYTES) -> {type_}", f"(bytes BYTES, order STRING) -> {type_}", category=CATEGORY)(
        function
    )


_define("INT_FROM_BYTES", "INT", "i")
_define("BIGINT_FROM_BYTES", "BIGINT", "q")
_define("DOUBLE_FROM_BYTES", "DOUBLE", "d")
