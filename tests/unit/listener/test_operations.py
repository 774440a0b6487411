"""What clients are told that they may do."""

from __future__ import annotations

import pytest

from penstock.listener.security import operations

ROLES = {"read": ("read",), "write": ("read", "write"), "admin": ("read", "write", "admin")}


@pytest.mark.parametrize(
    ("kind", "role", "numbers"),
    [
        ("topic", "read", {3, 8, 10}),
        ("topic", "write", {3, 4, 8, 10}),
        ("topic", "admin", {3, 4, 5, 6, 7, 8, 10, 11}),
        ("group", "write", {3, 8}),
        ("group", "admin", {3, 6, 8}),
        ("cluster", "read", {8, 10}),
        ("cluster", "admin", {5, 7, 8, 10, 11}),
    ],
)
def test_operations_are_bits_by_kafkas_numbers(kind: str, role: str, numbers: set[int]) -> None:
    """A role's, and those of the roles below it."""
    found = operations(lambda action: action in ROLES[role], kind)
    assert {number for number in range(32) if found >> number & 1} == numbers
