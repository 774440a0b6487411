"""A log that lives in Kafka: see `kafka_log`."""
