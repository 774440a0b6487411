"""What of the build is ours: the wheel has a compiled library in it, which fits every Python 3 of its platform."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kernel_compiler
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext


class BuildKernels(build_ext):
    """Compiles with `kernel_compiler`: a plain library, not an extension module of one Python."""

    def build_extension(self, ext: Any) -> None:
        """Compile to where the build or, for an editable install, the checkout wants it."""
        kernel_compiler.compile_library(Path(self.get_ext_fullpath(ext.name)).resolve())

    def get_ext_filename(self, fullname: str) -> str:
        """Without the tag of a Python version."""
        return str(Path(*fullname.split(".")[:-1], kernel_compiler.library_name()))

    def get_export_symbols(self, ext: Any) -> list[str]:
        """None that Python would look for."""
        return []


class PlatformWheel(bdist_wheel):
    """Tagged ``py3-none-<platform>``: the library knows nothing of Python."""

    def get_tag(self) -> tuple[str, str, str]:
        """See the class."""
        return "py3", "none", super().get_tag()[2]
