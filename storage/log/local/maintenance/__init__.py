"""Retention, compaction, verification and repair of segments."""
