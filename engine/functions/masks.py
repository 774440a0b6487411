"""Masking: characters replaced by a sign for their class, to show the shape of a secret and not the secret."""

from __future__ import annotations

from collections.abc import Callable

from .java_text import from_units, to_units
from .registry import scalar

CATEGORY = "STRING"

_Masks = tuple[str | None, str | None, str | None, str | None]
_DEFAULTS: _Masks = ("X", "x", "n", "-")
_MASK_PARAMETERS = "upper STRING, lower STRING, digit STRING, other STRING"


def _masks(given: tuple[str | None, ...]) -> _Masks:
    """The first character of each mask; None leaves its class as it is.  Raises: ValueError, for an empty mask."""
    if not given:
        return _DEFAULTS
    if "" in given:
        raise ValueError("a mask must have a character (or be NULL, to leave its class as it is)")
    upper, lower, digit, other = (None if mask is None else to_units(mask)[0] for mask in given)
    return upper, lower, digit, other


def _masked(units: str, masks: _Masks) -> str:
    upper, lower, digit, other = masks
    result = []
    for unit in units:
        if unit.isupper():
            mask = upper
        elif unit.islower():
            mask = lower
        elif unit.isdecimal():
            mask = digit
        else:
            mask = other
        result.append(unit if mask is None else mask)
    return "".join(result)


@scalar(
    "MASK",
    "The text with capitals, small letters, digits and other characters replaced (default X x n -; NULL: kept).",
    "(text STRING) -> STRING",
    f"(text STRING, {_MASK_PARAMETERS}) -> STRING",
    nulls=True,
    category=CATEGORY,
)
def mask(text: str | None, *masks: str | None) -> str | None:
    return None if text is None else from_units(_masked(to_units(text), _masks(masks)))


def _define(name: str, meaning: str, cut: Callable[[str, int, _Masks], str]) -> None:
    def function(text: str | None, count: int | None, *masks: str | None) -> str | None:
        if count is None or count < 0:
            raise ValueError(f"{name} needs a count of 0 or more, not {'NULL' if count is None else count}")
        return None if text is None else from_units(cut(to_units(text), count, _masks(masks)))

    signatures = ("(text STRING, count INT) -> STRING", f"(text STRING, count INT, {_MASK_PARAMETERS}) -> STRING")
    scalar(name, meaning, *signatures, nulls=True, category=CATEGORY)(function)


def _from_end(units: str, count: int) -> int:
    return max(len(units) - count, 0)


_define("MASK_LEFT", "The text with its first characters masked.", lambda u, n, m: _masked(u[:n], m) + u[n:])
_define(
    "MASK_RIGHT",
    "The text with its last characters masked.",
    lambda u, n, m: u[: _from_end(u, n)] + _masked(u[_from_end(u, n) :], m),
)
_define("MASK_KEEP_LEFT", "The text with all but its first characters masked.", lambda u, n, m: u[:n] + _masked(u[n:], m))
_define(
    "MASK_KEEP_RIGHT",
    "The text with all but its last characters masked.",
    lambda u, n, m: _masked(u[: _from_end(u, n)], m) + u[_from_end(u, n) :],
)
