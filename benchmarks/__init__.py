"""Named workloads, measured through the public API: ``python -m benchmarks``, or ``make bench``."""
