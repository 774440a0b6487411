"""The functions of ksqlDB's test classpath that cases tagged ``needs:test-udfs`` use (the kit's README lists them)."""

from __future__ import annotations

from penstock.engine.functions import load_built_ins
from penstock.engine.functions.registry import Registry


def registry() -> Registry:
    """A fresh registry: the built-in functions and the test functions."""
    functions = Registry(load_built_ins())
    return functions
