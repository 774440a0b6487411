"""A partition's files: record batches, segments, indexes."""
