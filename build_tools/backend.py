"""The build backend: setuptools', which also asks for a compiler from PyPI where the system has none."""

from __future__ import annotations

from typing import Any

from kernel_compiler import has_system_compiler
from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    build_sdist,
    build_wheel,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

ZIG = "ziglang==0.15.1"
"""A C++ compiler as a wheel (Clang with its headers); the version that was tried."""


def _compiler() -> list[str]:
    return [] if has_system_compiler() else [ZIG]


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    """Setuptools' own requirements, and a compiler if none is there."""
    return [*build_meta.get_requires_for_build_wheel(config_settings), *_compiler()]


def get_requires_for_build_editable(config_settings: Any = None) -> list[str]:
    """See `get_requires_for_build_wheel`."""
    return [*build_meta.get_requires_for_build_editable(config_settings), *_compiler()]
