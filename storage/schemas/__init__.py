"""Schemas: the registry, compatibility, and the schema languages Avro, protobuf and JSON Schema."""
