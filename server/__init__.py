"""The server for other processes: ksqlDB's HTTP API, a schema registry, metrics, and a remote client."""
