"""Rules about how a plan runs.  They add stores and copies, and do not change any row."""
