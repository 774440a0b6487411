"""The wheel holds what the checkout holds, and nothing else at the top of site-packages."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from penstock.repl.cli import parser
from tests.support.checkout import ROOMS, ROOT

LIBRARIES = {"libkernels.so", "libkernels.dylib", "kernels.dll"}


def declared_packages() -> set[str]:
    """The packages that pyproject.toml names."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return set(settings["tool"]["setuptools"]["packages"])


def test_every_folder_with_code_is_a_declared_package() -> None:
    """A sub-package missing from pyproject.toml would be dropped from the wheel without a word."""
    folders = {p.parent for room in ROOMS for p in (ROOT / room).rglob("*.py")}
    names = {"penstock", *("penstock." + ".".join(f.relative_to(ROOT).parts) for f in folders)}
    assert names == declared_packages()


def test_no_other_module_lies_at_the_root() -> None:
    """Any .py file at the root ships as a module of penstock."""
    modules = {"__init__", "__main__", "addresses", "arguments", "certificates", "errors", "limits", "paths"}
    assert {p.stem for p in ROOT.glob("*.py")} == modules


@pytest.mark.xdist_group("packaging")
def test_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    """Modules, grammar and its tables, py.typed, the console and the kernels; no tests, examples and benchmarks."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-cache-dir",
        "-w",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    assert "-py3-none-" in wheel.name and not wheel.name.endswith("-any.whl")
    names = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    assert {n.split("/")[0] for n in names} == {"penstock"}
    expected = {f"penstock/{p.name}" for p in ROOT.glob("*.py")}
    expected |= {f"penstock/{p.relative_to(ROOT)}" for room in ROOMS for p in (ROOT / room).rglob("*.py")}
    expected |= {f"penstock/grammar/{p.name}" for p in (ROOT / "grammar").glob("*.lark")}
    console = ROOT / "server" / "console" / "dist"
    expected |= {f"penstock/{p.relative_to(ROOT).as_posix()}" for p in console.rglob("*") if p.is_file()}
    (library,) = (n for n in names if n.removeprefix("penstock/kernels/") in LIBRARIES)
    assert names == {*expected, "penstock/grammar/tables.json", "penstock/py.typed", library}


def test_what_is_deployed_is_understood() -> None:
    """The systemd unit and the image start the server with options that it has, and install extras that there are."""
    unit = (ROOT / "deploy" / "penstock.service").read_text(encoding="utf-8").replace("\\\n", "")
    image = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    (started,) = re.findall(r"^ExecStart=(.+)$", unit, re.MULTILINE)
    (entered,) = re.findall(r"^ENTRYPOINT (.+)$", image, re.MULTILINE)
    for command in (shlex.split(started), json.loads(entered)):
        assert command[:2] == ["/opt/penstock/bin/penstock", "serve"]
        assert str(parser().parse_args(command[1:]).users) == "/etc/penstock/users.toml"
    (extras,) = re.findall(r"/source\[([a-z,]+)\]", image)
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(extras.split(",")) <= set(known)
