"""Compiles the native kernels (kernels/source) into one shared library with a plain C interface.

A system compiler is used where there is one that works; otherwise the one inside PyPI's ``ziglang``, which `backend` then
asks for.  The library needs no C++ runtime, so that one file fits every Python of a platform.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "kernels" / "source"

_OPTIONS = (
    "-std=c++17",
    "-O3",
    "-shared",
    "-fPIC",
    "-fno-exceptions",
    "-fno-rtti",
    "-fvisibility=hidden",
    "-fno-math-errno",
    "-ffp-contract=off",
    "-Wall",
    "-Wextra",
)
"""``-ffp-contract=off``: sums round as they do row by row, on every machine."""

_SANITIZE = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer")


class CompilationError(Exception):
    """No compiler made the library; the text says what each one said."""


def library_name() -> str:
    """The file name of the library on this platform."""
    return {"Windows": "kernels.dll", "Darwin": "libkernels.dylib"}.get(platform.system(), "libkernels.so")


def sources() -> list[Path]:
    """The files that are compiled."""
    return sorted(SOURCES.glob("*.cpp"))


def digest() -> str:
    """Of all sources; the library carries it, so that one that was made of others is noticed in a checkout."""
    hashed = hashlib.sha256()
    for path in sorted([*SOURCES.glob("*.cpp"), *SOURCES.glob("*.h")]):
        hashed.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return hashed.hexdigest()[:32]


def _machine_options() -> list[str]:
    """x86-64-v2 is every 64-bit x86 processor since 2009."""
    return ["-march=x86-64-v2"] if platform.machine().lower() in ("x86_64", "amd64") else []


def _system_compilers() -> list[list[str]]:
    named = shlex.split(os.environ.get("CXX", ""))
    if named:
        return [named]
    return [[found] for found in map(shutil.which, ("c++", "g++", "clang++")) if found]


def _zig() -> list[str] | None:
    """``python -m ziglang c++`` for this platform, against an old C library so that wheels run on older systems."""
    if importlib.util.find_spec("ziglang") is None:
        return None
    command = [sys.executable, "-m", "ziglang", "c++", "-nostdlib++"]
    if platform.system() == "Linux" and platform.libc_ver()[0] == "glibc":
        arch = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
        command += ["-target", f"{arch}-linux-gnu.2.17"]
    return command


def _command(
    compiler: Sequence[str], inputs: Sequence[Path], output: Path, extra: Sequence[str] = (), *, sanitize: bool = False
) -> list[str]:
    machine = _machine_options()
    if "ziglang" in compiler:
        machine = [option.replace("-march=x86-64-v2", "-mcpu=x86_64_v2") for option in machine]
    options = [option for option in _OPTIONS if not (option == "-fPIC" and platform.system() == "Windows")]
    # A C driver links no C++ runtime; the C++ drivers of GCC and Clang would.
    runtime = [] if "ziglang" in compiler or sanitize else ["-nodefaultlibs", "-lc"]
    return [*compiler, *options, *machine, *extra, *map(str, inputs), "-o", str(output), *runtime]


def _run(command: Sequence[str]) -> str | None:
    """What went wrong, or None."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else (done.stderr or done.stdout).strip()[-2000:]


def has_system_compiler() -> bool:
    """Whether a compiler of the system makes a library of a small C++ source."""
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder) / "probe.cpp"
        probe.write_text(
            '#include <stdint.h>\n#include <string.h>\nextern "C" int64_t probe() { return 1; }\n', encoding="utf-8"
        )
        output = Path(folder) / library_name()
        return any(_run(_command(c, [probe], output)) is None for c in _system_compilers())


def compile_library(output: Path, *, sanitize: bool = False) -> None:
    """Compile the kernels to ``output``, which is replaced in one instant.

    Args:
        sanitize: with checks of addresses and undefined behaviour (slow; `make sanitize`).

    Raises:
        CompilationError: see there.
    """
    compilers = _system_compilers()
    zig = _zig()
    if zig is not None:
        compilers.append(zig)
    extra = [f'-DKERNELS_DIGEST="{digest()}"', *(_SANITIZE if sanitize else ())]
    failures = []
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f"{output.name}.{os.getpid()}")
    for compiler in compilers:
        problem = _run(_command(compiler, sources(), partial, extra, sanitize=sanitize))
        if problem is None:
            os.replace(partial, output)
            return
        failures.append(f"{' '.join(compiler)}: {problem}")
    partial.unlink(missing_ok=True)
    said = "\n".join(failures) or "no C++ compiler was found, and the package ziglang is not installed"
    raise CompilationError(
        "penstock's kernels could not be compiled. Install a C++ compiler (g++ or clang++), or run\n"
        f"`pip install ziglang` and build again with --no-build-isolation.\n{said}"
    )


def is_current(library: Path) -> bool:
    """Whether a library was made of the sources as they are."""
    return library.exists() and digest().encode() in library.read_bytes()


def main(arguments: Sequence[str]) -> None:
    """``kernel_compiler.py [OUTPUT] [--sanitize] [--if-changed]``; the default is the library beside the bindings."""
    paths = [Path(a) for a in arguments if not a.startswith("-")]
    output = paths[0] if paths else ROOT / "kernels" / library_name()
    if "--if-changed" not in arguments or not is_current(output):
        compile_library(output, sanitize="--sanitize" in arguments)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CompilationError as error:
        sys.exit(str(error))
