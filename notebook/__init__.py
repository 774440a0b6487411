"""Penstock in notebooks: ``%load_ext penstock`` gives ``%ksql`` and ``%%ksql``."""
