"""One surface: who has which methods of a database, with which parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import penstock
from penstock.aio.database import ELSEWHERE, AsyncDatabase
from penstock.engine.session import Session
from penstock.engine.surface import DatabaseSurface, QuerySurface, SessionSurface
from penstock.server.remote import RemoteDatabase
from penstock.server.remote_log import HERE_ONLY, OBJECTS_HERE_ONLY
from penstock.server.remote_results import RemoteQuery


def public(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


def members(surface: type) -> set[str]:
    """What a protocol asks for."""
    bases = [base for base in surface.__mro__ if base not in (object,) and base.__module__ == surface.__module__]
    named = {name for base in bases for name in (*vars(base), *vars(base).get("__annotations__", {}))}
    return {name for name in named if not name.startswith("_")}


def parameters(function: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    """Name, kind and default of each parameter but ``self``."""
    found = inspect.signature(function).parameters.values()
    return [(p.name, p.kind, p.default) for p in found if p.name != "self"]


def differences(surface: type, cls: type, less: set[str]) -> Iterator[str]:
    """Where a class has another method than the surface says."""
    for name in sorted(members(surface) - less):
        wanted = inspect.getattr_static(surface, name, None)
        if wanted is None:  # an attribute
            continue
        found = inspect.getattr_static(cls, name, None)
        if found is None:
            yield f"{cls.__name__} has no {name}"
        elif isinstance(wanted, property) != isinstance(found, property):
            yield f"{cls.__name__}.{name} is a property in one place and a method in another"
        elif not isinstance(wanted, property):
            mine, theirs = parameters(getattr(cls, name)), parameters(wanted)
            if mine[: len(theirs)] != theirs or any(p[2] is inspect.Parameter.empty for p in mine[len(theirs) :]):
                yield f"{cls.__name__}.{name}{inspect.signature(getattr(cls, name))}, not {inspect.signature(wanted)}"


@pytest.mark.parametrize(
    ("surface", "cls", "less"),
    [
        (SessionSurface, Session, set()),
        (DatabaseSurface, penstock.Database, set()),
        (DatabaseSurface, RemoteDatabase, set()),
        (DatabaseSurface, AsyncDatabase, set(ELSEWHERE)),
        (QuerySurface, penstock.QueryHandle, set()),
        (QuerySurface, RemoteQuery, set()),
    ],
)
def test_each_has_every_method_with_the_same_parameters(surface: type, cls: type, less: set[str]) -> None:
    assert list(differences(surface, cls, less)) == []


def test_what_a_database_has_beyond_the_surface_says_why_it_is_nowhere_else() -> None:
    """A new public method of `Database` is in the surface, or among those that only a database of this process has."""
    beyond = public(penstock.Database) - members(DatabaseSurface)
    assert beyond == set(HERE_ONLY) | set(OBJECTS_HERE_ONLY)


def test_what_an_async_database_lacks_says_what_to_use() -> None:
    assert not set(ELSEWHERE) & public(AsyncDatabase)
    assert set(ELSEWHERE) <= members(DatabaseSurface)
    with pytest.raises(AttributeError, match=r"AsyncDatabase has no steps: .* use `execute`"):
        AsyncDatabase.__getattr__(object.__new__(AsyncDatabase), "steps")
    blocking = {
        name for name in members(DatabaseSurface) - set(ELSEWHERE) if name not in ("catalog", "settings", "subscribe")
    }
    assert all(inspect.iscoroutinefunction(getattr(AsyncDatabase, name)) for name in blocking)
