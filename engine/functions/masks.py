"""Masking: characters replaced by a sign for their class, to show the shape of a secret and not the secret."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from .java_text import from_units, to_units
from .registry import scalar

CATEGORY = "STRING"

_Masks = tuple[str | None, str | None, str | None, str | None]
_DEFAULTS: _Masks = ("X", "x", "n", "-")
_MASK_PARAMETERS = "upper STRING, lower STRING, digit STRING, other STRING"


class _Table(dict[int, int]):
    """For `str.translate`: the sign for each character, looked up in Unicode's classes when it is first met."""

    def __init__(self, masks: _Masks) -> None:
        self._upper, self._lower, self._digit, self._other = masks

    def __missing__(self, code: int) -> int:
        unit = chr(code)
        if unit.isupper():
            mask = self._upper
        elif unit.islower():
            mask = self._lower
        elif unit.isdecimal():
            mask = self._digit
        else:
            mask = self._other
        self[code] = sign = code if mask is None else ord(mask)
        return sign


@lru_cache(maxsize=64)
def _table(*given: str | None) -> _Table:
    """The first character of each mask counts; None leaves its class as it is.  Raises: ValueError, for an empty mask."""
    if "" in given:
        raise ValueError("a mask must have a character (or be NULL, to leave its class as it is)")
    upper, lower, digit, other = (None if mask is None else to_units(mask)[0] for mask in given or _DEFAULTS)
    return _Table((upper, lower, digit, other))


@scalar(
    "MASK",
    "The text with capitals, small letters, digits and other characters replaced (default X x n -; NULL: kept).",
    "(text STRING) -> STRING",
    f"(text STRING, {_MASK_PARAMETERS}) -> STRING",
    nulls=True,
    category=CATEGORY,
)
def mask(text: str | None, *masks: str | None) -> str | None:
    return None if text is None else from_units(to_units(text).translate(_table(*masks)))


def _define(name: str, meaning: str, cut: Callable[[str, int, _Table], str]) -> None:
    def function(text: str | None, count: int | None, *masks: str | None) -> str | None:
        if count is None or count < 0:
            raise ValueError(f"{name} needs a count of 0 or more, not {'NULL' if count is None else count}")
        return None if text is None else from_units(cut(to_units(text), count, _table(*masks)))

    signatures = ("(text STRING, count INT) -> STRING", f"(text STRING, count INT, {_MASK_PARAMETERS}) -> STRING")
    scalar(name, meaning, *signatures, nulls=True, category=CATEGORY)(function)


def _from_end(units: str, count: int) -> int:
    return max(len(units) - count, 0)


_define("MASK_LEFT", "The text with its first characters masked.", lambda u, n, m: u[:n].translate(m) + u[n:])
_define(
    "MASK_RIGHT",
    "The text with its last characters masked.",
    lambda u, n, m: u[: _from_end(u, n)] + u[_from_end(u, n) :].translate(m),
)
_define("MASK_KEEP_LEFT", "The text with all but its first characters masked.", lambda u, n, m: u[:n] + u[n:].translate(m))
_define(
    "MASK_KEEP_RIGHT",
    "The text with all but its last characters masked.",
    lambda u, n, m: u[: _from_end(u, n)].translate(m) + u[_from_end(u, n) :],
)
