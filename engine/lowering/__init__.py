"""Lowers plans to dataflows.  Only this folder names both plan nodes and operators."""
