"""Results as notebooks show them: HTML, and the same as plain text."""

from __future__ import annotations

import html
from typing import Any

from ..engine.results import Description, Listing, Message


class Text:
    """A text in a fixed font."""

    def __init__(self, text: str, *, error: bool = False) -> None:
        self.text = text
        self._error = error

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        style = ' style="color: #b00020"' if self._error else ""
        return f"<pre{style}>{html.escape(self.text)}</pre>"


class Sections:
    """A description: headings with texts and tables."""

    def __init__(self, description: Description) -> None:
        self.description = description

    def __repr__(self) -> str:
        parts = [self.description.title]
        parts += [f"{heading}: {content}" if heading else str(content) for heading, content in self.description.sections]
        return "\n".join(part for part in parts if part)

    def _repr_html_(self) -> str:
        parts = [f"<h4>{html.escape(self.description.title)}</h4>"] if self.description.title else []
        for heading, content in self.description.sections:
            body = content._repr_html_() if isinstance(content, Listing) else f"<pre>{html.escape(content)}</pre>"
            parts.append((f"<h5>{html.escape(heading)}</h5>" if heading else "") + body)
        return "".join(parts)


def shown(result: Any) -> Any:
    """The result, or what stands for it in a notebook."""
    match result:
        case Message():
            return Text(result.text)
        case Description():
            return Sections(result)
    return result
