"""Lowers plans to dataflows; only this folder names both plan nodes and operators."""
