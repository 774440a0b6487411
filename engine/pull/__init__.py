"""A query that is answered once: any SELECT of the dialect over snapshots, column by column, with the dialect's types."""
