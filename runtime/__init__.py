"""Time and progress: batches, operators, steps, commits.  Nothing here knows SQL."""
