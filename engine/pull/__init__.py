"""Pull queries: any SELECT of the dialect over snapshots, evaluated column by column, with the dialect's types."""
