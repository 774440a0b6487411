"""The Kafka listener: clients of Kafka produce to, consume from and administer a database's log."""
