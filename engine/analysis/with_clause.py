"""WITH (name = value, ..): reads the properties of a statement with their types (section 3 of the reference)."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Literal

from ...errors import Span, StatementError
from ...grammar import ast
from ...storage.values.time_units import UNIT_MS
from ..catalog import WindowInfo

FORMAT_PROPERTIES = frozenset(
    {
        "FORMAT",
        "KEY_FORMAT",
        "VALUE_FORMAT",
        "KEY_DELIMITER",
        "VALUE_DELIMITER",
        "WRAP_SINGLE_VALUE",
        "KEY_SCHEMA_ID",
        "VALUE_SCHEMA_ID",
        "KEY_SCHEMA_FULL_NAME",
        "VALUE_SCHEMA_FULL_NAME",
        "VALUE_AVRO_SCHEMA_FULL_NAME",
        "KEY_PROTOBUF_NULLABLE_REPRESENTATION",
        "VALUE_PROTOBUF_NULLABLE_REPRESENTATION",
    }
)
TOPIC_PROPERTIES = frozenset({"KAFKA_TOPIC", "PARTITIONS", "REPLICAS", "RETENTION_MS", "CLEANUP_POLICY"})
TIME_PROPERTIES = frozenset({"TIMESTAMP", "TIMESTAMP_FORMAT"})
WINDOW_PROPERTIES = frozenset({"WINDOW_TYPE", "WINDOW_SIZE"})

CREATE_SOURCE = FORMAT_PROPERTIES | TOPIC_PROPERTIES | TIME_PROPERTIES | WINDOW_PROPERTIES | {"SOURCED_BY_CONNECTOR"}
CREATE_AS = FORMAT_PROPERTIES | TOPIC_PROPERTIES | TIME_PROPERTIES
INSERT_INTO = frozenset({"QUERY_ID"})


CleanupPolicy = Literal["delete", "compact", "compact,delete"]


def unknown_property(name: str, allowed: frozenset[str], span: Span | None = None) -> StatementError:
    """Make the error for a property that is not in ``allowed``."""
    near = difflib.get_close_matches(name.upper(), sorted(allowed), 1)
    return StatementError(
        f"the WITH clause of this statement has no property {name}",
        span=span,
        suggestion=f"Did you mean {near[0]}?" if near else f"It knows {', '.join(sorted(allowed))}.",
    )


class WithClause:
    """The properties of one statement.

    Args:
        allowed: the names of properties that this kind of statement can have.

    Raises:
        StatementError: a property is unknown or repeated, or FORMAT stands beside KEY_FORMAT or VALUE_FORMAT.
    """

    def __init__(self, properties: Sequence[ast.Property], allowed: frozenset[str]) -> None:
        self._values: dict[str, ast.Property] = {}
        for item in properties:
            name = item.name.upper()
            if name not in allowed:
                raise unknown_property(item.name, allowed, item.span)
            if name in self._values:
                raise StatementError(
                    f"the WITH clause has {name} twice", span=item.span, suggestion="Leave one of them out."
                )
            self._values[name] = item
        for side in ("KEY_FORMAT", "VALUE_FORMAT"):
            if side in self._values and "FORMAT" in self._values:
                raise StatementError(
                    f"FORMAT sets the formats of key and value, so it excludes {side}",
                    span=self.span(side),
                    suggestion="Use FORMAT alone, or KEY_FORMAT and VALUE_FORMAT.",
                )

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def span(self, name: str) -> Span | None:
        """The place of a property in the text; None if the statement does not have it."""
        found = self._values.get(name)
        return None if found is None else found.span

    def text(self, name: str) -> str | None:
        """A property as text; numbers and booleans are converted."""
        found = self._values.get(name)
        if found is None:
            return None
        match found.value:
            case ast.StringLiteral(value=value):
                return value
            case ast.IntegerLiteral(value=number):
                return str(number)
            case ast.BooleanLiteral(value=truth):
                return "true" if truth else "false"
            case ast.DecimalLiteral(text=digits):
                return digits
        raise StatementError(f"{name} must be a literal", span=found.span, suggestion=f"For example: {name} = 'text'.")

    def integer(self, name: str, least: int = 0, most: int = 2**63 - 1) -> int | None:
        """A property as an integer.  It may be written as a string.

        Raises:
            StatementError: it is not an integer, or is below ``least`` or above ``most``.
        """
        written = self.text(name)
        if written is None:
            return None
        try:
            value = int(written)
        except ValueError:
            raise StatementError(
                f"{name} must be a whole number, not {written!r}",
                span=self.span(name),
                suggestion=f"For example: {name} = {max(least, 1)}.",
            ) from None
        if value < least:
            raise StatementError(f"{name} must be at least {least}, not {value}", span=self.span(name))
        if value > most:
            raise StatementError(f"{name} must be at most {most}, not {value}", span=self.span(name))
        return value

    def boolean(self, name: str) -> bool | None:
        """A property as a boolean.

        Raises:
            StatementError: it is neither true nor false.
        """
        written = self.text(name)
        if written is None:
            return None
        if written.lower() not in ("true", "false"):
            raise StatementError(f"{name} must be true or false, not {written!r}", span=self.span(name))
        return written.lower() == "true"

    def cleanup_policy(self) -> CleanupPolicy | None:
        """CLEANUP_POLICY in the way topics write it, such as ``compact,delete``.

        Raises:
            StatementError: the policy is unknown.
        """
        written = self.text("CLEANUP_POLICY")
        if written is None:
            return None
        match written.lower().replace(" ", ""):
            case "delete":
                return "delete"
            case "compact":
                return "compact"
            case "compact,delete" | "delete,compact":
                return "compact,delete"
        raise StatementError(
            f"CLEANUP_POLICY must be delete, compact or 'compact,delete', not {written!r}", span=self.span("CLEANUP_POLICY")
        )

    def window(self) -> WindowInfo | None:
        """WINDOW_TYPE and WINDOW_SIZE.

        Raises:
            StatementError: there is a size without a type, a time window without a size, or a session window with a size.
        """
        written = self.text("WINDOW_TYPE")
        if written is None:
            if "WINDOW_SIZE" in self:
                raise StatementError(
                    "WINDOW_SIZE needs a WINDOW_TYPE",
                    span=self.span("WINDOW_SIZE"),
                    suggestion="Add WINDOW_TYPE = 'TUMBLING' or 'HOPPING'.",
                )
            return None
        match written.upper():
            case "SESSION":
                if "WINDOW_SIZE" in self:
                    raise StatementError(
                        "session windows have no WINDOW_SIZE",
                        span=self.span("WINDOW_SIZE"),
                        suggestion="Leave WINDOW_SIZE out.",
                    )
                return WindowInfo("SESSION")
            case "TUMBLING" | "HOPPING" as type_:
                size = self._window_size()
                return WindowInfo("TUMBLING" if type_ == "TUMBLING" else "HOPPING", size)
        raise StatementError(
            f"WINDOW_TYPE must be TUMBLING, HOPPING or SESSION, not {written!r}", span=self.span("WINDOW_TYPE")
        )

    def _window_size(self) -> int:
        written = self.text("WINDOW_SIZE")
        if written is None:
            raise StatementError(
                "time windows need a WINDOW_SIZE",
                span=self.span("WINDOW_TYPE"),
                suggestion="For example: WINDOW_SIZE = '30 SECONDS'.",
            )
        parts = written.split()
        unit = None if len(parts) != 2 else UNIT_MS.get(parts[1].upper().removesuffix("S"))
        if unit is None or not parts[0].isdigit() or int(parts[0]) == 0:
            raise StatementError(
                f"WINDOW_SIZE must be a duration such as '30 SECONDS', not {written!r}", span=self.span("WINDOW_SIZE")
            )
        return int(parts[0]) * unit
