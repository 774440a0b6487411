"""Pull queries: any SELECT of the dialect over snapshots.  It is evaluated column by column, with the dialect's types."""
