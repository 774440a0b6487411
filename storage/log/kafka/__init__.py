"""A log in Kafka, see `kafka_log`."""
