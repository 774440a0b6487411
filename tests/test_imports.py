"""Who may import whom (docs/style.md): the rooms' order, and only imports that work where penstock is installed."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.checkout import ROOMS, ROOT

COMMON = {"addresses", "arguments", "certificates", "errors", "limits", "paths"}
MAY_IMPORT = {
    "aio": {"engine", "runtime", "server"},
    "dbapi": {"engine", "grammar", "runtime", ""},
    "testing": {"engine", "listener", "runtime"},
    "notebook": {"engine"},
    "grammar": set(),
    "kernels": set(),
    "storage": {"kernels"},
    "runtime": {"kernels", "storage"},
    "engine": {"grammar", "kernels", "runtime", "storage"},
    "listener": {"engine", "kernels", "storage"},
    "server": {"engine", "grammar", "runtime", "storage", ""},
    "repl": {"grammar", "listener", "server", ""},
}
"""What a room may import besides itself and `COMMON`; "" is the door."""
REPL_MAY_READ = {"grammar.complete", "grammar.lexer", "grammar.script_files", "grammar.words"}
"""The only parts of grammar that repl knows: how text is cut into words, not what it means."""
ORDER = {
    "kernels": (
        "source library booleans index texts varints hashing gathering merging folds top sessions intervals json_objects "
        "json_rows kafka_records windows"
    ),
    "listener": (
        "reading protocol security record_columns batches appender log_access state producers transactions groups offsets "
        "fetch_sessions quotas broker requests_cluster requests_data requests_groups requests_looking kafka_listener"
    ),
    "grammar": (
        "ast selects tables lexer build_queries build substitute words syntax_errors script_files complete parse unparse"
    ),
    "storage": (
        "interrupts forks file_protocol memory_files holding combining files layout optional_packages values schemas "
        "formats log state verify backup repair"
    ),
    "runtime": (
        "memory clock timeouts user_code user_clock batch clients metrics kernel state_values windows ordering segmented "
        "exact_sums operators "
        "dataflow processing_log source sink wakes topic_tail subscriptions query resuming scheduler push_queries "
        "views lookups host"
    ),
    "engine": (
        "long_work types same_values renaming schema relation live_rows query_options settings clients catalog columns java "
        "functions expressions analysis pull plan flow_layout flow_picture schema_log serdes intake stored_tables lowering "
        "results duckdb constants row_parameters parameters changes change_codec journal lookup_cache state every_update "
        "session_state statements texts handles delimited loading file_following callers session kafka_opening opened flow "
        "surface database script_tests"
    ),
    "engine/plan": "tree terms logical physical explain optimise",
    "engine/lowering": "builder timestamps scans rows aggregates joins sinks lower",
    "engine/statements": (
        "consume upgrade scripts topics inference outside planning checking context replacement new_queries "
        "source_definition named_types control_query drop_source alter_source create_source create_query insert_query "
        "definitions recorded carry_out follow_file following printing reading records settings submit insert delete "
        "reading_sources wanted answers select duckdb_query flows join_samples why_no_rows describe examine inspect lookups "
        "assertions dispatch"
    ),
    "server": (
        "problems accounts config values http tokens wire rowtexts jsonrows telemetry json_log audit commands sessions "
        "measures push service access entities statements queries arrow_bodies inserts registry own_api log_api "
        "checking topics static info openapi metrics websocket guard partitions app http1 other_protocols listening serving "
        "remote_connection remote_results remote_rows remote_log remote_examiner remote connecting"
    ),
}
"""Inside these folders, what may import whom: each file or folder only what stands before it."""
STORAGE_ISLANDS = ("log", "state", "formats")
"""Folders of storage that do not know each other."""

SEEN_BY_OPERATORS = (["storage", "state"], ["storage", "values"])


def imported_modules(path: Path) -> list[tuple[int, str]]:
    """(line, dotted name below penstock) of every import of ours in a file; bare room imports come as ``!room``."""
    package = path.relative_to(ROOT).parent.parts
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            module = ".".join((*base, *(node.module or "").split("."))).strip(".")
            if node.module:
                found.append((node.lineno, module))
            else:
                found.extend((node.lineno, _member(base, a.name)) for a in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.extend(_absolute(node.lineno, node.module))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                found.extend(_absolute(node.lineno, alias.name))
    return found


def _member(base: tuple[str, ...], name: str) -> str:
    """What ``from <base> import name`` imports: a module of ours, or else the package itself ("" is the door)."""
    place = ROOT.joinpath(*base, name)
    is_module = place.is_dir() or place.with_suffix(".py").exists()
    return ".".join((*base, name) if is_module else base)


def _absolute(line: int, name: str) -> list[tuple[int, str]]:
    top, _, rest = name.partition(".")
    if top == "penstock":
        return [(line, rest)]
    return [(line, f"!{name}")] if top in ROOMS else []


def violations() -> list[str]:
    """One sentence per import that breaks a rule."""
    found = []
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            place = path.relative_to(ROOT)
            for line, module in imported_modules(path):
                if module.startswith("!"):
                    found.append(
                        f"{place}:{line} imports {module[1:]}, which exists only in a checkout: use a relative import"
                    )
                    continue
                target = module.split(".")[0]
                allowed = target == room or target in COMMON or target in MAY_IMPORT[room]
                if room == "repl" and target == "grammar":
                    allowed = module in REPL_MAY_READ
                if allowed:
                    continue
                found.append(f"{place}:{line} imports {module or 'the door'}: {room} may not know {target or 'it'}")
            found.extend(_island_violations(path))
    return found


def order_violations(folder: str) -> list[str]:
    """One sentence per import inside a folder that does not go back in its `ORDER`, and per file that has no place there."""
    order = ORDER[folder].split()
    prefix = folder.replace("/", ".") + "."
    found = [
        f"{folder}/{path.name} has no place in the order of {folder} (`ORDER` in tests/test_imports.py)"
        for path in sorted((ROOT / folder).iterdir())
        if path.stem not in (*order, "__init__", "__pycache__") and (path.suffix == ".py" or (path / "__init__.py").exists())
    ]
    for path in sorted((ROOT / folder).rglob("*.py")):
        own = path.relative_to(ROOT / folder).parts[0].removesuffix(".py")
        for line, module in imported_modules(path):
            other = module.removeprefix(prefix).split(".")[0]
            if own not in order or not module.startswith(prefix) or other in (own, "__init__"):
                continue
            if other not in order or order.index(other) > order.index(own):
                found.append(f"{path.relative_to(ROOT)}:{line} imports {module}: {own} comes before {other}")
    return found


def _imports_by_module() -> dict[str, set[str]]:
    """What each module of ours imports of ours: everywhere in it, also inside functions and for annotations only."""
    modules: dict[str, Path] = {}
    for room in (".", *ROOMS):
        found = ROOT.glob("*.py") if room == "." else (ROOT / room).rglob("*.py")
        for path in found:
            modules[".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") or "__init__"] = path
    needs: dict[str, set[str]] = {}
    for name, path in modules.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        package = path.relative_to(ROOT).parent.parts
        needs[name] = set()
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom):
                continue
            if node.level:
                base = package[: len(package) - node.level + 1]
            elif (node.module or "").partition(".")[0] == "penstock":
                base = ()
            else:
                continue
            tail = (node.module or "") if node.level else (node.module or "").partition(".")[2]
            module = ".".join((*base, *tail.split("."))).strip(".")
            for alias in node.names:  # a module of a package, or something that stands in the module
                inside = f"{module}.{alias.name}".strip(".")
                needs[name].add(inside if inside in modules else module)
        needs[name] -= {name, ""}
        needs[name] &= set(modules)
    return needs


def loops() -> list[frozenset[str]]:
    """Groups of modules that need each other, directly or through others, by whatever import."""
    needs = _imports_by_module()
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[frozenset[str]] = []

    def visit(name: str) -> None:  # Tarjan's strongly connected components
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in sorted(needs[name]):
            if other not in order:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], order[other])
        if low[name] == order[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(frozenset(group))

    for name in sorted(needs):
        if name not in order:
            visit(name)
    return found


def _island_violations(path: Path) -> list[str]:
    parts = path.relative_to(ROOT).parts
    found = []
    for line, module in imported_modules(path):
        target = module.split(".")
        if parts[0] == "storage" and len(parts) > 2 and parts[1] in STORAGE_ISLANDS:
            others = set(STORAGE_ISLANDS) - {parts[1]}
            if target[0] == "storage" and len(target) > 1 and target[1] in others:
                found.append(
                    f"{'/'.join(parts)}:{line} imports {module}: storage/{parts[1]} does not know storage/{target[1]}"
                )
        if parts[:2] == ("runtime", "operators") and target[0] == "storage" and target[:2] not in SEEN_BY_OPERATORS:
            found.append(f"{'/'.join(parts)}:{line} imports {module}: operators see only storage/state and storage/values")
    return found


def test_rooms_import_only_what_lies_below_them() -> None:
    """Every import of ours points the way that docs/style.md says."""
    assert violations() == []


@pytest.mark.parametrize("folder", ORDER)
def test_inside_a_room_imports_go_one_way(folder: str) -> None:
    """Every import inside a folder goes back in its order, and every file has its place in it."""
    assert order_violations(folder) == []


def test_no_two_modules_need_each_other() -> None:
    """Two files that need each other are one file, or a third is missing.  Every import counts, of every folder."""
    assert [sorted(loop) for loop in loops()] == []


def test_importing_from_the_package_itself_is_importing_the_door() -> None:
    """`from .. import connect` in a room is the door; `from .. import limits` is that module."""
    assert _member((), "connect") == ""
    assert _member((), "limits") == "limits"
    assert _member(("grammar",), "words") == "grammar.words"
    assert _member(("engine", "statements"), "execute") == "engine.statements"
