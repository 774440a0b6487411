"""Loads the compiled library, and checks every array before a kernel gets its address.

A kernel trusts its arguments.  So this module checks that an array has the right type, is contiguous and long enough, and is
writable if the kernel writes to it.  Trap: hold each array in a variable; one made inside an argument list would be freed
before the kernel reads it.  ctypes releases the GIL during a call.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import InternalError

__all__ = ["DIGEST", "Address", "Function", "address", "bits", "function", "library_path"]

Address = int

_HERE: Final = Path(__file__).resolve().parent
_NAMES: Final = {"win32": "kernels.dll", "darwin": "libkernels.dylib"}

_KINDS: Final[dict[str, Any]] = {
    "p": ctypes.c_void_p,
    "i": ctypes.c_int64,
    "d": ctypes.c_double,
    "-": None,
    "s": ctypes.c_char_p,
}


def library_path() -> Path:
    """The path of the library: beside this file, or as PENSTOCK_KERNELS says (`make sanitize`)."""
    named = os.environ.get("PENSTOCK_KERNELS")
    return Path(named) if named else _HERE / _NAMES.get(sys.platform, "libkernels.so")


def _source_digest() -> str | None:
    """The digest of the C++ sources, as in `build_tools/kernel_compiler.py`; None in an installed package without them."""
    folder = _HERE / "source"
    if not folder.is_dir():
        return None
    hashed = hashlib.sha256()
    for path in sorted([*folder.glob("*.cpp"), *folder.glob("*.h")]):
        hashed.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return hashed.hexdigest()[:32]


def _load() -> ctypes.CDLL:
    path = library_path()
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise ImportError(
            f"penstock's compiled kernels cannot be loaded from {path}: {error}. Install penstock again (in a checkout: "
            "`make setup`), with a C++ compiler on the PATH or with the package ziglang."
        ) from error
    library.kernels_digest.restype = ctypes.c_char_p
    made_of = library.kernels_digest().decode()
    if _source_digest() not in (None, made_of):
        raise ImportError(
            f"penstock's compiled kernels in {path} were made of other sources than those beside it: run `make setup`."
        )
    return library


_LIBRARY: Final = _load()
DIGEST: Final[str] = _LIBRARY.kernels_digest().decode()
"""The digest of the sources from which the library was compiled."""

Function = Any


def function(name: str, result: str, arguments: str) -> Function:
    """Find a kernel by name.

    Args:
        result, arguments: a letter each: ``p`` an address, ``i`` int64, ``d`` double, ``-`` nothing.
    """
    found = getattr(_LIBRARY, name)
    found.restype = _KINDS[result]
    found.argtypes = [_KINDS[kind] for kind in arguments]
    return found


def address(array: npt.NDArray[Any], dtype: Any, length: int, *, write: bool = False) -> Address:
    """The address of an array, for a kernel that uses its first ``length`` items.

    Trap: hold the array in a variable, since it must outlive the call.

    Raises:
        InternalError: the array is not what the kernel takes.
    """
    if array.dtype != dtype or not array.flags.c_contiguous or len(array) < length or (write and not array.flags.writeable):
        raise InternalError(
            f"a kernel takes {length} contiguous items of {np.dtype(dtype)}{', writable' if write else ''}, "
            f"not {len(array)} of {array.dtype} with strides {array.strides}"
        )
    data: int = array.__array_interface__["data"][0]
    return data


def bits(array: Any, length: int) -> tuple[Address, int]:
    """The address of an Arrow array's validity bits, and the bit of its first row; (0, 0) if it has no nulls."""
    buffer = array.buffers()[0]
    if buffer is None or array.null_count == 0:
        return 0, 0
    if (array.offset + length + 7) // 8 > buffer.size:
        raise InternalError("an Arrow array's validity bits are shorter than the array")
    where: int = buffer.address
    return where, int(array.offset)
