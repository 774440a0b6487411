"""Penstock's own steps of the build.  The wheel contains a compiled library, which fits every Python 3 of its platform, and
the tables of the grammar.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import kernel_compiler
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext


class BuildKernels(build_ext):
    """Compiles with `kernel_compiler`: a plain library, not an extension module of one Python."""

    def build_extension(self, ext: Any) -> None:
        """Compile to where the build or, for an editable install, the checkout wants it."""
        library = Path(self.get_ext_fullpath(ext.name)).resolve()
        kernel_compiler.compile_library(library)
        write_tables(library.parents[1] / "grammar" / "tables.json")

    def get_ext_filename(self, fullname: str) -> str:
        """Without the tag of a Python version."""
        return str(Path(*fullname.split(".")[:-1], kernel_compiler.library_name()))

    def get_export_symbols(self, ext: Any) -> list[str]:
        """None that Python would look for."""
        return []


def write_tables(path: Path) -> None:
    """Write the tables of the grammar, which takes lark; ``penstock`` need not be installed."""
    source = Path(__file__).resolve().parent.parent / "grammar" / "tables.py"
    spec = importlib.util.spec_from_file_location("penstock_grammar_tables", source)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # (where dataclasses look for it)
    spec.loader.exec_module(module)
    module.write(path)


class PlatformWheel(bdist_wheel):
    """Tagged ``py3-none-<platform>``: the library knows nothing of Python."""

    def get_tag(self) -> tuple[str, str, str]:
        """See the class."""
        return "py3", "none", super().get_tag()[2]
