"""Schemas as contracts: the registry, compatibility, and the languages that they are written in."""
