"""Regular expressions, in Java's dialect."""

from __future__ import annotations

from .java_regex import compile_java, replacement
from .registry import scalar

CATEGORY = "STRING"


@scalar(
    "REGEXP_EXTRACT",
    "The first piece of the text that matches the pattern, or a group of it; null if there is none.",
    "(pattern STRING, text STRING) -> STRING",
    "(pattern STRING, text STRING, group INT) -> STRING",
    category=CATEGORY,
)
def regexp_extract(pattern: str, text: str, group: int = 0) -> str | None:
    compiled = compile_java(pattern)
    if _has_group(compiled.groups, group) and (match := compiled.search(text)):
        found: str | None = match[group]
        return found
    return None


@scalar(
    "REGEXP_EXTRACT_ALL",
    "All pieces of the text that match the pattern, or a group of each.",
    "(pattern STRING, text STRING) -> ARRAY<STRING>",
    "(pattern STRING, text STRING, group INT) -> ARRAY<STRING>",
    category=CATEGORY,
)
def regexp_extract_all(pattern: str, text: str, group: int = 0) -> list[str | None] | None:
    compiled = compile_java(pattern)
    return [match[group] for match in compiled.finditer(text)] if _has_group(compiled.groups, group) else None


def _has_group(groups: int, group: int) -> bool:
    """Raises: ValueError, for a negative group."""
    if group < 0:
        raise ValueError(f"a group's number must be 0 or more, not {group}")
    return group <= groups


@scalar(
    "REGEXP_REPLACE",
    "The text with all matches of the pattern replaced; $1 stands for what its first group matched.",
    "(text STRING, pattern STRING, new STRING) -> STRING",
    category=CATEGORY,
)
def regexp_replace(text: str, pattern: str, new: str) -> str:
    compiled = compile_java(pattern)
    if "\\" not in new and "$" not in new:
        return compiled.sub(lambda _: new, text)
    if not compiled.search(text):
        return text
    return compiled.sub(replacement(new, compiled), text)


@scalar(
    "REGEXP_SPLIT_TO_ARRAY",
    "The pieces between matches of the pattern, empty ones included; the single characters, for an empty pattern.",
    "(text STRING, pattern STRING) -> ARRAY<STRING>",
    category=CATEGORY,
)
def regexp_split_to_array(text: str, pattern: str) -> list[str]:
    """A pattern that matches nothing at all splits as Java's ``Pattern.split`` does: no empty piece at the end."""
    compiled = compile_java(pattern)
    gaps_too = compiled.fullmatch("") is not None
    pieces: list[str] = []
    begin = 0
    for match in compiled.finditer(text):
        if gaps_too and begin == 0 and match.end() == 0:
            continue
        pieces.append(text[begin : match.start()])
        begin = match.end()
    if gaps_too and not pieces:
        return [text]
    pieces.append(text[begin:])
    while gaps_too and pieces and not pieces[-1]:
        pieces.pop()
    return pieces
